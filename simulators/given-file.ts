import { openSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { UsageError } from './settings.ts';

// Files that the user has named. One that cannot be opened is a matter of the command line, and the error names its flag.

/** Opens for reading. Throws UsageError. */
export async function openGivenFile(path: string, flag: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path);
  } catch (error) {
    throw unusable(`${flag} ${path} cannot be read`, error);
  }
  if (!(await file.stat()).isDirectory()) return file;
  await file.close();
  throw new UsageError(`${flag} ${path} cannot be read: it is a folder`);
}

/** Opens for appending and reading; the file is made when there is none. Throws UsageError. */
export function openGivenFileToAppend(path: string, flag: string): number {
  try {
    return openSync(path, 'a+');
  } catch (error) {
    throw unusable(`${flag} ${path} cannot be written`, error);
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'this user has no right to',
  EROFS: 'its disk is read-only',
};

function unusable(what: string, cause: unknown): UsageError {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return new UsageError(`${what}: ${WORDS[code] ?? message}`, { cause });
}
