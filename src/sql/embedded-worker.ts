import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import { prepareFolder } from './embedded-folder.ts';
import { describeDriverError, type SqlResult } from './sql-database.ts';

// The thread of the embedded database: answers requests one after the other.

export type DatabaseRequest =
  | { readonly kind: 'query'; readonly id: number; readonly text: string; readonly parameters: readonly unknown[] }
  | { readonly kind: 'script'; readonly id: number; readonly text: string }
  | { readonly kind: 'close'; readonly id: number };

export type DatabaseAnswer =
  | { readonly id: number; readonly result: SqlResult }
  | { readonly id: number; readonly error: { readonly message: string; readonly code: string | null } };

const { folder, cacheFolder } = workerData as { folder: string; cacheFolder: string | null };
await prepareFolder(folder, cacheFolder);
const database = new PGlite(folder);

async function answer(request: DatabaseRequest): Promise<SqlResult> {
  if (request.kind === 'query') {
    const { rows, affectedRows } = await database.query(request.text, [...request.parameters]);
    return { rows: rows as SqlResult['rows'], rowCount: affectedRows ?? rows.length };
  }
  if (request.kind === 'script') await database.exec(`begin;${request.text};commit`);
  else await database.close();
  return { rows: [], rowCount: 0 };
}

let turn: Promise<void> = Promise.resolve();

async function respond(request: DatabaseRequest): Promise<void> {
  try {
    parentPort!.postMessage({ id: request.id, result: await answer(request) } satisfies DatabaseAnswer);
  } catch (error) {
    // A script that fails half-way leaves its transaction open.
    if (request.kind === 'script') await database.exec('rollback').catch(() => {});
    parentPort!.postMessage({ id: request.id, error: describeDriverError(error) } satisfies DatabaseAnswer);
  }
  if (request.kind === 'close') parentPort!.close();
}

parentPort!.on('message', (request: DatabaseRequest) => {
  turn = turn.then(() => respond(request));
});
