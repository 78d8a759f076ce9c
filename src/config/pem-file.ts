import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { whyUnreadable } from './file-failure.ts';

// Certificates and keys in PEM files: what is wrong with one, and what a TLS client is given of them.

/** What the label of a block in the file ends with: `-----BEGIN EC PRIVATE KEY-----` is a key too. */
export type PemBlock = 'CERTIFICATE' | 'PRIVATE KEY';

/** Paths as they are in the configuration; null when not given. */
export interface TlsFiles {
  /** Certificates of the CAs that are trusted instead of the usual ones. */
  readonly caFile: string | null;
  /** Our own certificate, followed by those in between when there are any, and its key without a passphrase. */
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

/** PEM texts, named as Node's TLS options are. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const FILE_BYTES_MAX = 1024 ** 2;
/** The newer form and the traditional one. */
const ENCRYPTED = /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

/** Why a file does not serve, for an error message; null when it does. */
export function pemFileProblem(path: string, block: PemBlock): string | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return whyUnreadable(error);
  }
  if (text.trim() === '') return 'it is empty';
  if (text.length > FILE_BYTES_MAX) return `it is larger than ${FILE_BYTES_MAX} bytes`;
  if (block === 'PRIVATE KEY' && ENCRYPTED.test(text)) return 'its key has a passphrase';
  if (!new RegExp(`-----BEGIN (?:[A-Z0-9]+ )?${block}-----`).test(text)) return `it has no line -----BEGIN ${block}-----`;
  return null;
}

/** Why the files do not serve together, one sentence each. `prefix` is the beginning of their variables: `MQTT_TLS`. */
export function tlsFilesProblems(prefix: string, files: TlsFiles): readonly string[] {
  if ((files.certFile === null) !== (files.keyFile === null)) {
    return [`${prefix}_CERT_FILE and ${prefix}_KEY_FILE go together; give both or none.`];
  }
  try {
    createSecureContext(readTlsFiles(files));
    return [];
  } catch (error) {
    const given = Object.entries({ CA: files.caFile, CERT: files.certFile, KEY: files.keyFile }).filter(([, path]) => path !== null);
    const names = given.map(([name, path]) => `${prefix}_${name}_FILE (${path})`).join(', ');
    return [
      `${names}: these cannot be used (${(error as Error).message}); allowed are PEM files, and a key that belongs to its certificate.`,
    ];
  }
}

/** Reads what is given. Throws what Node's `fs` throws; the configuration has been checked before. */
export function readTlsFiles({ caFile, certFile, keyFile }: TlsFiles): TlsMaterial {
  return {
    ...(caFile === null ? {} : { ca: readFileSync(caFile, 'utf8') }),
    ...(certFile === null ? {} : { cert: readFileSync(certFile, 'utf8') }),
    ...(keyFile === null ? {} : { key: readFileSync(keyFile, 'utf8') }),
  };
}
