import { readFileSync } from 'node:fs';
import { IngotError } from '../errors.ts';
import { tablesMigrated } from '../ops/sink-events.ts';
import type { SqlDatabase } from './sql-database.ts';

// Brings the tables of a database to the version of this code. Each version is a file, run once and never changed afterwards.

const VERSIONS: readonly { readonly version: number; readonly file: string }[] = [{ version: 1, file: 'tables.sql' }];

const LATEST_VERSION = VERSIONS.at(-1)!.version;

// Any number will do, as long as every version of Ingot uses the same: whoever holds this lock is the one who migrates.
const LOCK_KEY = 7_305_166_894;

/** IngotErrors of the database; `DATABASE_NEWER` when a later version of Ingot has made the tables. */
export async function migrate(database: SqlDatabase): Promise<void> {
  for (const { version, file } of VERSIONS) {
    if ((await tablesVersion(database)) >= version) continue;
    await database.runScript(guarded(version, readFileSync(new URL(file, import.meta.url), 'utf8')));
    tablesMigrated({ version, address: database.address });
  }
  const found = await tablesVersion(database);
  if (found > LATEST_VERSION) {
    throw new IngotError(
      'DATABASE_NEWER',
      `The tables at ${database.address} are of version ${found}, this Ingot knows ${LATEST_VERSION}. Run the later Ingot, or use another database.`,
    );
  }
}

async function tablesVersion(database: SqlDatabase): Promise<number> {
  await database.runScript(`select pg_advisory_xact_lock(${LOCK_KEY});
    create table if not exists ingot_tables (version integer primary key, migrated_at timestamptz not null default now())`);
  const { rows } = await database.query('select coalesce(max(version), 0)::text as version from ingot_tables');
  return Number(rows[0]!.version);
}

/** The script of a version as one statement that does nothing when another process was quicker. */
function guarded(version: number, script: string): string {
  return `do $ingot$ begin
    perform pg_advisory_xact_lock(${LOCK_KEY});
    if not exists (select from ingot_tables where version = ${version}) then
      execute $tables$${script}$tables$;
      insert into ingot_tables (version) values (${version});
    end if;
  end $ingot$`;
}
