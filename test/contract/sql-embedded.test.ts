import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { cacheFolder } from '../../src/local-stack/setup/installed-parts.mjs';
import { openEmbeddedDatabase } from '../../src/sql/embedded.ts';
import type { SqlDatabase } from '../../src/sql/sql-database.ts';
import { sqlContract } from './sql-contract.ts';

describe('PGlite', () => {
  // To start one takes a second or more, so the tests share one and empty it.
  let folder: string;
  let database: SqlDatabase;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ingot-sql-'));
    database = openEmbeddedDatabase(join(folder, 'database'), cacheFolder());
    await database.query('select 1');
  }, 120_000);
  afterAll(async () => {
    await database.close(5_000);
    await rm(folder, { recursive: true });
  });

  sqlContract(async () => {
    await database.runScript('drop schema public cascade; create schema public');
    return database;
  });
});
