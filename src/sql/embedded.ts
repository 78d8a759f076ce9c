import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { IngotError } from '../errors.ts';
import { type FileLock, takeFileLock } from '../ops/file-lock.ts';
import type { DatabaseAnswer, DatabaseRequest } from './embedded-worker.ts';
import { type SqlDatabase, type SqlResult, type SqlSession, toDatabaseError } from './sql-database.ts';

// The embedded database: PGlite in a thread of its own, because its statements run to their end without letting anything else of their
// thread run. Two processes that have the folder open destroy it, and nothing in PGlite prevents that: hence a lock of our own beside it.

// PGlite writes some 10 000 rows in a second, and whoever reads the tables waits meanwhile.
const ROWS_PER_TRANSACTION = 2_000;
// A transaction of one row keeps a processor busy for 10 ms, which a machine that runs the whole pipeline needs for other things.
const TRANSACTION_INTERVAL_MS = 250;

/**
 * Takes the folder for this process until it is closed; IngotError `DATABASE_IN_USE`. Starts the thread when it is first used. `folder` is made when it is not there, with what is kept in `cacheFolder` so that it is made
 * quickly.
 */
export function openEmbeddedDatabase(folder: string, cacheFolder: string | null = null): SqlDatabase {
  const address = `embedded database in ${folder}`;
  const lock = lockOf(folder);
  let thread: DatabaseThread | null = null;
  let turn: Promise<unknown> = Promise.resolve();

  const current = (): DatabaseThread => {
    // A thread that died is replaced; PGlite recovers from its write-ahead log.
    if (thread === null || thread.hasEnded) thread = new DatabaseThread({ folder, cacheFolder }, address);
    return thread;
  };
  /** One after the other: the database has one session, and a transaction must not be interleaved with anything. */
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  };

  return {
    address,
    rowsPerTransaction: ROWS_PER_TRANSACTION,
    transactionIntervalMs: TRANSACTION_INTERVAL_MS,
    query: (text, parameters) => inTurn(() => current().query(text, parameters)),
    runScript: (text) => inTurn(() => current().runScript(text)),
    transaction: (work) => inTurn(() => inTransaction(current(), work)),
    close: async (deadlineMs) => {
      await thread?.close(deadlineMs);
      thread = null;
      lock.release();
    },
  };
}

function lockOf(folder: string): FileLock {
  mkdirSync(dirname(folder), { recursive: true });
  const lock = takeFileLock(`${folder}.lock`);
  if (lock !== null) return lock;
  throw new IngotError(
    'DATABASE_IN_USE',
    `Another process has the embedded database in ${folder} open; 'ingot up' is one with its own sink. Stop it, or give this one DATABASE_URL or another DATA_FOLDER.`,
  );
}

async function inTransaction<Result>(thread: DatabaseThread, work: (session: SqlSession) => Promise<Result>): Promise<Result> {
  await thread.query('begin');
  try {
    const result = await work({ query: (text, parameters) => thread.query(text, parameters) });
    await thread.query('commit');
    return result;
  } catch (error) {
    // When this fails too the thread is gone, and the transaction with it.
    await thread.query('rollback').catch(() => {});
    throw error;
  }
}

type Waiting = Pick<PromiseWithResolvers<SqlResult>, 'resolve' | 'reject'>;

/** The other end of embedded-worker.ts. */
class DatabaseThread {
  readonly #worker: Worker;
  readonly #address: string;
  readonly #waiting = new Map<number, Waiting>();
  #requests = 0;
  #ended: Error | null = null;

  constructor(workerData: { folder: string; cacheFolder: string | null }, address: string) {
    this.#address = address;
    this.#worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), { workerData, stdout: true, stderr: true });
    this.#worker.on('message', (answer: DatabaseAnswer) => this.#settle(answer));
    this.#worker.on('error', (error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', () => this.#end(new Error('its thread has ended')));
  }

  get hasEnded(): boolean {
    return this.#ended !== null;
  }

  query(text: string, parameters: readonly unknown[] = []): Promise<SqlResult> {
    return this.#ask({ kind: 'query', id: ++this.#requests, text, parameters });
  }

  async runScript(text: string): Promise<void> {
    await this.#ask({ kind: 'script', id: ++this.#requests, text });
  }

  async close(deadlineMs: number): Promise<void> {
    const { promise: deadline, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, deadlineMs);
    const ended = this.hasEnded ? Promise.resolve() : once(this.#worker, 'exit');
    this.#ask({ kind: 'close', id: ++this.#requests }).catch(() => {});
    await Promise.race([ended, deadline]);
    clearTimeout(timer);
    await this.#worker.terminate();
  }

  #ask(request: DatabaseRequest): Promise<SqlResult> {
    if (this.#ended !== null) return Promise.reject(toDatabaseError(this.#ended, this.#address));
    const { promise, resolve, reject } = Promise.withResolvers<SqlResult>();
    this.#waiting.set(request.id, { resolve, reject });
    this.#worker.postMessage(request);
    return promise;
  }

  #settle(answer: DatabaseAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('result' in answer) waiting?.resolve(answer.result);
    else waiting?.reject(toDatabaseError(Object.assign(new Error(answer.error.message), { code: answer.error.code }), this.#address));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(toDatabaseError(error, this.#address));
    this.#waiting.clear();
  }
}
