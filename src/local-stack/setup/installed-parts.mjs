// Where the parts of the local stack are on this machine. Plain JavaScript without packages, because it runs before there are any.

import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

const lockText = readFileSync(new URL('parts.lock.json', import.meta.url), 'utf8');

/** Names, versions and SHA-256 of what Maven brings. */
export const PARTS_LOCK = JSON.parse(lockText);

/** The file that marks a folder of the cache as complete; it lists the size of each file. */
export const COMPLETE_MARK = '.complete.json';

/** Per user, outside the work tree: clones share it, and deleting it is safe. */
export function cacheFolder() {
  const configured = process.env.XDG_CACHE_HOME;
  return join(configured ? configured : join(homedir(), '.cache'), 'ingot');
}

/** A change of the lock makes a new folder, so clones of different versions do not disturb each other. */
export function partFolder(part) {
  const hash = createHash('sha256').update(JSON.stringify(PARTS_LOCK[part])).digest('hex').slice(0, 12);
  return join(cacheFolder(), `${part}-${PARTS_LOCK[part].version}-${hash}`);
}

/** Whether every file is there with its size. The hashes were compared when the folder was made. */
export function isPartComplete(part) {
  const folder = partFolder(part);
  let sizes;
  try {
    sizes = JSON.parse(readFileSync(join(folder, COMPLETE_MARK), 'utf8'));
  } catch {
    return false;
  }
  return Object.entries(sizes).every(([name, size]) => statSync(join(folder, name), { throwIfNoEntry: false })?.size === size);
}

/** The full path of a program in PATH or in one of the further folders; null when there is none. */
export function findProgram(name, furtherFolders = []) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...furtherFolders];
  return folders.map((folder) => join(folder, name)).find(isExecutable) ?? null;
}

export function findJava() {
  return findProgram('java', process.env.JAVA_HOME ? [join(process.env.JAVA_HOME, 'bin')] : []);
}

/**
 * Where the classes of a part are kept as the JVM has laid them out once; null without Java. It only fits the very same Java. It may not be
 * there.
 */
export function classArchiveFile(part) {
  const java = findJava();
  if (java === null) return null;
  const { size, mtimeMs } = statSync(java);
  const hash = createHash('sha256')
    .update(`${realpathSync(java)} ${size} ${mtimeMs}`)
    .digest('hex')
    .slice(0, 12);
  return join(partFolder(part), `classes-${hash}.jsa`);
}

/** Debian keeps daemons in /usr/sbin, which is not in every PATH; Homebrew has a folder of its own for them. */
export function findMosquitto() {
  return findProgram('mosquitto', ['/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin']);
}

/** The folder with `initdb` and `postgres`, the newest version first; null when there is none. */
export function findPostgresFolder() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((left, right) => Number(right) - Number(left)) : [];
  const folders = [...versions.map((version) => join(debian, version, 'bin')), ...(process.env.PATH ?? '').split(delimiter)];
  return folders.find((folder) => isExecutable(join(folder, 'initdb')) && isExecutable(join(folder, 'postgres'))) ?? null;
}

export function findChromium() {
  return ['chromium', 'chromium-browser', 'google-chrome'].map((name) => findProgram(name)).find((path) => path !== null) ?? null;
}

/** It makes the certificates of the tests. */
export function findOpenssl() {
  return findProgram('openssl');
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
