import { execFile } from 'node:child_process';
import { chownSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { IngotError } from '../errors.ts';
import { type RunningChild, startChild } from './child.ts';
import { runToEnd } from './one-shot.ts';
import { keptPorts, LOOPBACK } from './ports.ts';
import { requirePostgresFolder } from './required-program.ts';

// A real PostgreSQL as a child, for the tests of the SQL sink.

export interface PostgresOptions {
  /** When we are root, the user postgres must be able to reach it: every folder above must let others pass. */
  readonly folder: string;
  readonly onCrash?: ((error: IngotError) => void) | undefined;
}

export interface RunningPostgres extends RunningChild {
  /** Of a database `ingot` whose owner needs no password. */
  readonly url: string;
}

const READY_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 10_000;
const OWNER = 'ingot';

const run = promisify(execFile);

/** IngotError `COMPONENT_MISSING`, `COMPONENT_FAILED`. */
export async function startPostgres({ folder, onCrash }: PostgresOptions): Promise<RunningPostgres> {
  const programs = requirePostgresFolder();
  const user = await unprivilegedUser();
  mkdirSync(folder, { recursive: true });
  const { sql } = await keptPorts(join(folder, 'ports.json'), { sql: null });
  if (user) chownSync(folder, user.uid, user.gid);
  const dataFolder = join(folder, 'data');
  if (!existsSync(join(dataFolder, 'PG_VERSION'))) {
    const args = ['-D', dataFolder, '-U', OWNER, '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
    await runToEnd('Making the PostgreSQL folder', join(programs, 'initdb'), args, { user });
  }
  const child = await startChild({
    name: 'PostgreSQL',
    program: join(programs, 'postgres'),
    args: ['-D', dataFolder, '-p', String(sql), '-c', `listen_addresses=${LOOPBACK}`, '-c', `unix_socket_directories=${folder}`],
    workFolder: folder,
    logFile: join(folder, 'postgres.log'),
    user,
    isReady: async () => {
      await run(join(programs, 'psql'), ['-h', LOOPBACK, '-p', String(sql), '-U', OWNER, '-d', 'postgres', '-c', 'select 1'], {
        timeout: 5_000,
      });
      return true;
    },
    readyDeadlineMs: READY_DEADLINE_MS,
    // Fast shutdown: open connections are ended rather than waited for.
    stopSignal: 'SIGINT',
    stopDeadlineMs: STOP_DEADLINE_MS,
    onCrash,
  });
  await makeDatabase(programs, sql);
  return { ...child, url: `postgres://${OWNER}@${LOOPBACK}:${sql}/${OWNER}` };
}

async function makeDatabase(programs: string, port: number): Promise<void> {
  const connection = ['-h', LOOPBACK, '-p', String(port), '-U', OWNER];
  const { stdout } = await run(join(programs, 'psql'), [
    ...connection,
    '-d',
    'postgres',
    '-Atc',
    `select 1 from pg_database where datname = '${OWNER}'`,
  ]);
  if (stdout.trim() !== '1') await runToEnd('Making the database', join(programs, 'createdb'), [...connection, OWNER]);
}

/** PostgreSQL refuses to run as root; its Debian package has made a user for it. */
async function unprivilegedUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = await Promise.all(['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'postgres'])).stdout)));
  return { uid: uid!, gid: gid! };
}
