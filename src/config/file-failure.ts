import { YAMLParseError } from 'yaml';

/** Why a file could not be read, for an error message. */
export function whyUnreadable(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return `it cannot be read: ${code === undefined ? message : (WORDS[code] ?? code)}`;
}

/** What the parser found, and where; null when the error is none of the parser's. It shows the place below its first line, and ends that with a colon. */
export function whyNoYaml(error: unknown): string | null {
  return error instanceof YAMLParseError ? error.message.split('\n', 1)[0]!.replace(/:$/, '') : null;
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is no folder',
  EISDIR: 'it is a folder',
  EACCES: 'this user may not read it',
  EPERM: 'this user may not read it',
};
