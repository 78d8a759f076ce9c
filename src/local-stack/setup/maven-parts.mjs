import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { COMPLETE_MARK, cacheFolder, findProgram, isPartComplete, PARTS_LOCK, partFolder } from './installed-parts.mjs';
import { oneAtATime } from './one-at-a-time.mjs';
import { runProgram } from './run-program.mjs';

const POM = fileURLToPath(new URL('pom.xml', import.meta.url));

/** How Maven, as it is configured on this machine, is asked for each part. */
const MAVEN_ARGUMENTS = {
  kafka: (folder) => ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`],
  registry: (folder) => ['dependency:copy', `-Dartifact=${PARTS_LOCK.registry.artifact}`, `-DoutputDirectory=${folder}`],
};

/**
 * Brings the missing parts into the cache, one after the other: two Mavens at once can spoil their shared repository. A part is made
 * in a temporary folder, compared with the lock, and becomes visible by one rename. Calls `onDone(part, durationMs)` after each.
 */
export async function installMavenParts(parts, onDone) {
  await oneAtATime(join(cacheFolder(), 'maven.lock'), async () => {
    removeLeftovers();
    for (const part of parts) {
      const startedAtMs = Date.now();
      if (!isPartComplete(part)) await installPart(part);
      onDone(part, Date.now() - startedAtMs);
    }
  });
}

async function installPart(part) {
  const making = mkdtempSync(join(cacheFolder(), 'making-'));
  try {
    await runProgram(findProgram('mvn'), ['-q', '-B', '-f', POM, ...MAVEN_ARGUMENTS[part](making)]);
    await compareWithLock(part, making);
    if (part === 'registry') await unpack(making);
    writeFileSync(join(making, COMPLETE_MARK), JSON.stringify(sizesBelow(making)));
    const target = partFolder(part);
    // A damaged folder steps aside; a running process keeps the files that it has open.
    rmSync(target, { recursive: true, force: true });
    mkdirSync(dirname(target), { recursive: true });
    renameSync(making, target);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}

async function compareWithLock(part, folder) {
  const wanted = PARTS_LOCK[part].files;
  const found = readdirSync(folder);
  const unknown = found.filter((name) => !(name in wanted));
  const missing = Object.keys(wanted).filter((name) => !found.includes(name));
  const changed = [];
  for (const name of found) if (name in wanted && (await sha256(join(folder, name))) !== wanted[name]) changed.push(name);
  const wrong = [
    ...unknown.map((name) => `not in the lock: ${name}`),
    ...missing.map((name) => `missing: ${name}`),
    ...changed.map((name) => `other content: ${name}`),
  ];
  if (wrong.length > 0) {
    throw new Error(
      `What Maven brought for ${part} is not what ${basename(dirname(POM))}/parts.lock.json says, so it is not used.\n${wrong.join('\n')}`,
    );
  }
}

async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function unpack(folder) {
  for (const archive of readdirSync(folder)) {
    await runProgram('tar', ['-xzf', join(folder, archive), '-C', folder, '--no-same-owner']);
    rmSync(join(folder, archive));
  }
}

function sizesBelow(folder) {
  const names = readdirSync(folder, { recursive: true });
  return Object.fromEntries(
    names
      .map((name) => [name, statSync(join(folder, name))])
      .filter(([, stat]) => stat.isFile())
      .map(([name, stat]) => [name, stat.size]),
  );
}

/** Folders that a killed set-up left behind. Only the holder of the lock calls this. */
function removeLeftovers() {
  for (const name of readdirSync(cacheFolder())) {
    if (name.startsWith('making-')) rmSync(join(cacheFolder(), name), { recursive: true, force: true });
  }
}
