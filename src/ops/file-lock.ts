import { DatabaseSync } from 'node:sqlite';

// An exclusive lock on a file. It is the operating system's, taken through SQLite since Node has no flock: it ends with the process,
// however it ends, and it also holds between containers that share the folder.

export interface FileLock {
  /** May be called twice. */
  release(): void;
}

const SQLITE_BUSY = 5;

/** Null when another process has it. Throws what SQLite says when the file cannot be made, or the file system has no locks. */
export function takeFileLock(path: string): FileLock | null {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return null;
    throw error;
  }
  return {
    release() {
      if (database.isOpen) database.close();
    },
  };
}
