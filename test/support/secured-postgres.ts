import { chownSync, copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startPostgres } from '../../src/local-stack/postgres.ts';
import { openPostgres } from '../../src/sql/postgres.ts';
import type { Certificates, KeyPair } from './certificates.ts';

// A PostgreSQL of its own whose user `secured` needs TLS and a password.

export interface SecuredPostgres {
  readonly port: number;
  stop(): Promise<void>;
}

export interface SecuredPostgresOptions {
  readonly folder: string;
  readonly certificates: Certificates;
  readonly username: string;
  readonly password: string;
}

const CLOSE_MS = 2_000;

export async function startSecuredPostgres({ folder, certificates, username, password }: SecuredPostgresOptions): Promise<SecuredPostgres> {
  const workFolder = join(folder, 'postgres');
  const server = await startPostgres({ folder: workFolder });
  const dataFolder = join(workFolder, 'data');
  const pair = copyFor(dataFolder, certificates.server);
  const hba = join(dataFolder, 'pg_hba.conf');
  const rules = [`hostssl all ${username} 127.0.0.1/32 scram-sha-256`, `hostnossl all ${username} 127.0.0.1/32 reject`];
  writeFileSync(hba, `${rules.join('\n')}\n${readFileSync(hba, 'utf8')}`);
  const owner = openPostgres(server.url);
  await owner.query(`create role ${username} login password '${password}'`);
  await owner.query(`grant all on schema public to ${username}`);
  for (const [name, value] of Object.entries({ ssl: 'on', ssl_cert_file: pair.cert, ssl_key_file: pair.key })) {
    await owner.query(`alter system set ${name} = '${value}'`);
  }
  await owner.query('select pg_reload_conf()');
  await owner.close(CLOSE_MS);
  return { port: Number(new URL(server.url).port), stop: () => server.stop() };
}

/** The server takes only a key that belongs to the user that it runs as. */
function copyFor(dataFolder: string, { cert, key }: KeyPair): KeyPair {
  const { uid, gid } = statSync(dataFolder);
  const copied = { cert: join(dataFolder, 'server.crt'), key: join(dataFolder, 'server.key') };
  copyFileSync(cert, copied.cert);
  copyFileSync(key, copied.key);
  for (const path of Object.values(copied)) chownSync(path, uid, gid);
  return copied;
}
