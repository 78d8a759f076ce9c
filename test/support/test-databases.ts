import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../src/local-stack/setup/installed-parts.mjs';
import { openEmbeddedDatabase } from '../../src/sql/embedded.ts';
import { openPostgres } from '../../src/sql/postgres.ts';
import type { SqlDatabase } from '../../src/sql/sql-database.ts';
import { freshName, stack } from './stack.ts';

const CLOSE_MS = 5_000;

/** The URL of a new, empty database on the test run's PostgreSQL. */
export async function freshPostgresUrl(): Promise<string> {
  const name = freshName('ingot_test').replaceAll('-', '_');
  const server = openPostgres(stack().postgresUrl);
  await server.query(`create database ${name}`);
  await server.close(CLOSE_MS);
  const url = new URL(stack().postgresUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Databases of one test file; `close` them after each test. */
export function testDatabases(): { postgres(): Promise<SqlDatabase>; embedded(): Promise<SqlDatabase>; close(): Promise<void> } {
  const closing: (() => Promise<void>)[] = [];
  const kept = (database: SqlDatabase): SqlDatabase => {
    closing.push(() => database.close(CLOSE_MS));
    return database;
  };
  return {
    postgres: async () => kept(openPostgres(await freshPostgresUrl())),
    embedded: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'ingot-sql-'));
      const database = kept(openEmbeddedDatabase(join(folder, 'database'), cacheFolder()));
      closing.push(() => rm(folder, { recursive: true, force: true }));
      return database;
    },
    close: async () => {
      for (const close of closing.splice(0)) await close();
    },
  };
}
