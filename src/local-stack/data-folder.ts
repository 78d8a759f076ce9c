import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import { takeFileLock } from '../ops/file-lock.ts';
import { requireUsableFolder } from '../ops/usable-folder.ts';
import { PID_FILE, signalGroup } from './child.ts';
import { isAlive, readStackFile } from './stack-file.ts';

// The one folder of a local stack: `data` in the project (DATA_FOLDER), with a folder below it for each component. One stack at a
// time works on it.

export interface DataFolder {
  readonly path: string;
  /** Gives the folder free, and deletes it when it is temporary. */
  release(): void;
}

/** Kafka alone needs some of this for the segments and indexes that it reserves; a full disk stops it in the middle of a write. */
const FREE_BYTES_MIN = 512 * 1024 ** 2;

/**
 * Takes the folder for this process, and ends what a killed predecessor may have left running on it. IngotError
 * `DATA_FOLDER_IN_USE`, `DATA_FOLDER_UNUSABLE`.
 */
export async function openDataFolder(path: string): Promise<DataFolder> {
  requireUsableFolder(path);
  requireFreeSpace(path);
  const unlock = lock(path);
  await endOrphans(path);
  return { path, release: unlock };
}

/** A new folder for --ephemeral, gone after `release`. IngotError `DATA_FOLDER_UNUSABLE`. */
export function openTemporaryFolder(): DataFolder {
  requireFreeSpace(tmpdir());
  const path = mkdtempSync(join(tmpdir(), 'ingot-'));
  return { path, release: () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }) };
}

function requireFreeSpace(path: string): void {
  const { bavail, bsize } = statfsSync(path);
  const freeBytes = bavail * bsize;
  if (freeBytes >= FREE_BYTES_MIN) return;
  const inMiB = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`;
  throw new IngotError(
    'DATA_FOLDER_UNUSABLE',
    `Only ${inMiB(freeBytes)} are free on the disk of ${path}; the local stack needs ${inMiB(FREE_BYTES_MIN)}. Free some space, or use another DATA_FOLDER.`,
  );
}

function lock(path: string): () => void {
  const taken = takeFileLock(join(path, 'up.lock'));
  if (taken) return taken.release;
  const pid = readStackFile(path)?.pid;
  const who = pid === undefined ? '' : ` (process ${pid})`;
  throw new IngotError(
    'DATA_FOLDER_IN_USE',
    `Another 'ingot up' already runs on ${path}${who}. Stop it, or start this one with --ephemeral or another DATA_FOLDER.`,
  );
}

const ORPHAN_POLL_MS = 100;
/** Longer than the orphan guard gives them. */
const ORPHAN_DEADLINE_MS = 8_000;

/** Children of a predecessor that was killed. Their guard may be stopping them; as long as they run they hold ports and Kafka's lock file. */
async function endOrphans(path: string): Promise<void> {
  const pids = childrenBelow(path).filter((pid) => isAlive(pid) && isChildOn(pid, path));
  for (const pid of pids) signalGroup(pid, 'SIGTERM');
  const deadline = performance.now() + ORPHAN_DEADLINE_MS;
  while (pids.some(isAlive)) {
    if (performance.now() > deadline) for (const pid of pids) signalGroup(pid, 'SIGKILL');
    await wait(ORPHAN_POLL_MS);
  }
}

function childrenBelow(path: string): number[] {
  return readdirSync(path).flatMap((component) => {
    try {
      const pid = Number(readFileSync(join(path, component, PID_FILE), 'utf8'));
      return Number.isSafeInteger(pid) && pid > 1 ? [pid] : [];
    } catch {
      return [];
    }
  });
}

/** Process numbers are reused: only a process whose command line names this folder is one of ours. */
function isChildOn(pid: number, path: string): boolean {
  try {
    return execFileSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).includes(path);
  } catch {
    return false;
  }
}
