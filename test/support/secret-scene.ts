import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A temporary folder whose secrets are in files, as a container gets them. */
export interface SecretScene {
  readonly folder: string;
  /** Writes a text into a new file, with the line end that an editor leaves, and returns its path. */
  secretFile(name: string, text: string): string;
  remove(): void;
}

export function openSecretScene(): SecretScene {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-security-'));
  // A server that runs as a user of its own must pass through.
  chmodSync(folder, 0o755);
  return {
    folder,
    secretFile: (name, text) => {
      const path = join(folder, name);
      writeFileSync(path, `${text}\n`, { mode: 0o600 });
      return path;
    },
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}
