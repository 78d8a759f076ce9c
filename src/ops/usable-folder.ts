import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { IngotError } from '../errors.ts';

// The data folder before anything relies on it: made, and written to once, so that a disk that is full or read-only is said at the start.

/** Larger than what a file system keeps beside the name of a file. */
const PROBE = Buffer.alloc(16 * 1024);

/** Makes the folder and those above it. IngotError `DATA_FOLDER_UNUSABLE` when it cannot be made or written. */
export function requireUsableFolder(path: string): void {
  const probe = join(path, `.writable-${process.pid}-${threadId}`);
  try {
    makeFolder(path);
    try {
      writeFileSync(probe, PROBE);
    } finally {
      rmSync(probe, { force: true });
    }
  } catch (error) {
    throw folderUnusable(path, error);
  }
}

/** What is said of a data folder that failed with `cause`. */
export function folderUnusable(path: string, cause: unknown): IngotError {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return new IngotError('DATA_FOLDER_UNUSABLE', `${path} cannot be written: ${WORDS[code] ?? message}. Use another DATA_FOLDER.`, {
    cause,
  });
}

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'this user has no right to',
  EPERM: 'this user has no right to',
  ENOENT: 'it cannot be made there',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'it is a file',
  ENOSPC: 'its disk is full',
  EDQUOT: "this user's share of its disk is used up",
  EROFS: 'its disk is read-only',
};

/** One at a time: below /proc, `mkdir` with `recursive` of Node 24 never returns, it takes what it is told there for a missing folder above. */
function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let at = path; statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) missing.push(at);
  for (const folder of missing.reverse()) makeOne(folder);
  // A file in its place is said here.
  makeOne(path);
}

function makeOne(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(folder).isDirectory()) throw error;
  }
}
