import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './installed-parts.mjs';
import { oneAtATime } from './one-at-a-time.mjs';
import { runProgram } from './run-program.mjs';

/**
 * Whether node_modules holds what package-lock.json says. npm writes node_modules/.package-lock.json as the last thing of an
 * install, so a broken one is noticed, and an install by hand counts.
 */
export function arePackagesInstalled(projectFolder) {
  const wanted = packagesOf(join(projectFolder, 'package-lock.json'));
  const installed = packagesOf(join(projectFolder, 'node_modules', '.package-lock.json'));
  if (wanted === null) throw new Error(`${projectFolder} has no package-lock.json.`);
  if (installed === null || !existsSync(join(projectFolder, 'node_modules', '.bin', 'node'))) return false;
  return Object.entries(wanted).every(([path, { version, optional, devOptional }]) => {
    if (path === '') return true;
    const found = installed[path];
    return found === undefined ? Boolean(optional ?? devOptional) : found.version === version;
  });
}

export async function installPackages(projectFolder) {
  const name = createHash('sha256').update(projectFolder).digest('hex').slice(0, 12);
  await oneAtATime(join(cacheFolder(), `packages-${name}.lock`), async () => {
    if (arePackagesInstalled(projectFolder)) return;
    const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
    // Inside `npm start` npm says how it was called; from a shell it is in PATH.
    const npm = process.env.npm_execpath;
    const output = await (npm
      ? runProgram(process.execPath, [npm, ...args], { cwd: projectFolder })
      : runProgram('npm', args, { cwd: projectFolder }));
    if (!arePackagesInstalled(projectFolder)) {
      throw new Error(`'npm ci' did not install everything. Does your npm configuration switch install scripts off?\n${output}`);
    }
  });
}

function packagesOf(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}
