import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openEmbeddedDatabase } from '../../src/sql/embedded.ts';

const folder = mkdtempSync(join(tmpdir(), 'ingot-embedded-'));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

// Two processes that had it open left rows twice and an index that could not be made again.
test('an embedded database is open once', async () => {
  const first = openEmbeddedDatabase(join(folder, 'sql'));
  expect(() => openEmbeddedDatabase(join(folder, 'sql'))).toThrow(expect.objectContaining({ code: 'DATABASE_IN_USE' }));
  await first.close(1_000);
  await openEmbeddedDatabase(join(folder, 'sql')).close(1_000);
});
