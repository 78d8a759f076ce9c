import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

// Certificates of one test file, made by openssl in its temporary folder: a CA with a server and a client, and another CA with a client
// that nobody trusts.

const run = promisify(execFile);

/** Paths of PEM files. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  readonly ca: string;
  readonly otherCa: string;
  /** For `localhost`, and for no address: 127.0.0.1 is the wrong name. */
  readonly server: KeyPair;
  /** Its common name is `ingot`. */
  readonly client: KeyPair;
  /** Signed by the other CA. */
  readonly stranger: KeyPair;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const DAYS = ['-days', '2'];

export async function makeCertificates(folder: string): Promise<Certificates> {
  const [ca, other] = await Promise.all([makeCa(folder, 'ca'), makeCa(folder, 'other-ca')]);
  const [server, client, stranger] = await Promise.all([
    makeSigned(folder, { name: 'server', commonName: 'server', ca, extensions: 'subjectAltName=DNS:localhost' }),
    makeSigned(folder, { name: 'client', commonName: 'ingot', ca, extensions: 'extendedKeyUsage=clientAuth' }),
    makeSigned(folder, { name: 'stranger', commonName: 'ingot', ca: other, extensions: 'extendedKeyUsage=clientAuth' }),
  ]);
  return { ca: ca.cert, otherCa: other.cert, server, client, stranger };
}

async function makeCa(folder: string, name: string): Promise<KeyPair> {
  const pair = pairIn(folder, name);
  await run('openssl', ['req', '-x509', ...NEW_KEY, ...DAYS, '-subj', `/CN=${name}`, '-keyout', pair.key, '-out', pair.cert]);
  return pair;
}

interface Signed {
  readonly name: string;
  readonly commonName: string;
  readonly ca: KeyPair;
  readonly extensions: string;
}

async function makeSigned(folder: string, { name, commonName, ca, extensions }: Signed): Promise<KeyPair> {
  const pair = pairIn(folder, name);
  const request = join(folder, `${name}.csr`);
  const extensionsFile = join(folder, `${name}.ext`);
  await writeFile(extensionsFile, `${extensions}\n`);
  await run('openssl', ['req', ...NEW_KEY, '-subj', `/CN=${commonName}`, '-keyout', pair.key, '-out', request]);
  const signing = ['-CA', ca.cert, '-CAkey', ca.key, '-set_serial', String(Date.now()), '-extfile', extensionsFile];
  await run('openssl', ['x509', '-req', '-in', request, ...signing, ...DAYS, '-out', pair.cert]);
  return pair;
}

function pairIn(folder: string, name: string): KeyPair {
  return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
}
