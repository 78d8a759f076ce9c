import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import * as events from '../ops/sink-events.ts';
import { recordsIn, type SinkSlice } from './sink-slice.ts';
import type { SqlDatabase } from './sql-database.ts';
import { type WrittenSlices, writeSlices } from './write-slices.ts';

// All partitions of a process write through one door: between two transactions the slices of the partitions gather, and the next one takes
// them together.

export interface RowWriter {
  /**
   * Resolves when the slice is in the database, or `moved` when its partition has another position than the slice begins at. As long as
   * the database does not take it, it is tried again. Rejects with the signal's reason when the writer was closed before.
   * One slice per partition at a time.
   */
  write(slice: SinkSlice): Promise<'written' | 'moved'>;
  /** Ends after the transaction that is under way; what waits is rejected. */
  close(): Promise<void>;
}

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

interface Waiting {
  readonly slice: SinkSlice;
  readonly resolve: (outcome: 'written' | 'moved') => void;
  readonly reject: (error: unknown) => void;
}

/** `onHealth` hears whether the database takes rows. */
export function createRowWriter(database: SqlDatabase, onHealth: (error: Error | null) => void): RowWriter {
  const waiting: Waiting[] = [];
  const closing = new AbortController();
  let running: Promise<void> | null = null;

  let earliestAtMs = 0;
  const run = async (): Promise<void> => {
    while (waiting.length > 0 && !closing.signal.aborted) {
      if (rowsIn(waiting) < database.rowsPerTransaction) await pauseUntil(earliestAtMs, closing.signal);
      earliestAtMs = performance.now() + database.transactionIntervalMs;
      if (closing.signal.aborted) break;
      const taken = takeTogether(waiting, database.rowsPerTransaction);
      try {
        const { moved } = await writePatiently(
          database,
          taken.map(({ slice }) => slice),
          { signal: closing.signal, onHealth },
        );
        for (const { slice, resolve } of taken) resolve(moved.has(slice) ? 'moved' : 'written');
      } catch (error) {
        for (const { reject } of taken) reject(error);
      }
    }
    running = null;
  };

  return {
    write(slice) {
      if (closing.signal.aborted) return Promise.reject(closing.signal.reason);
      const { promise, resolve, reject } = Promise.withResolvers<'written' | 'moved'>();
      waiting.push({ slice, resolve, reject });
      running ??= run();
      return promise;
    },
    async close() {
      closing.abort();
      await running;
      for (const { reject } of waiting.splice(0)) reject(closing.signal.reason);
    },
  };
}

function rowsIn(waiting: readonly Waiting[]): number {
  return waiting.reduce((rows, { slice }) => rows + recordsIn(slice), 0);
}

/** Also ends when the signal is aborted. */
async function pauseUntil(atMs: number, signal: AbortSignal): Promise<void> {
  const pauseMs = atMs - performance.now();
  if (pauseMs > 0) await sleep(pauseMs, undefined, { signal }).catch(() => {});
}

/** The first slice in any case, and as many more as fit. */
function takeTogether(waiting: Waiting[], rowsMax: number): Waiting[] {
  let rows = 0;
  const end = waiting.findIndex(({ slice }, index) => (rows += recordsIn(slice)) > rowsMax && index > 0);
  return waiting.splice(0, end < 0 ? waiting.length : end);
}

interface Patience {
  readonly signal: AbortSignal;
  readonly onHealth: (error: Error | null) => void;
}

async function writePatiently(database: SqlDatabase, slices: readonly SinkSlice[], { signal, onHealth }: Patience): Promise<WrittenSlices> {
  for (let retryInMs = FIRST_RETRY_MS; ; retryInMs = Math.min(retryInMs * 2, LAST_RETRY_MS)) {
    const startedAtMs = performance.now();
    try {
      const written = await writeSlices(database, slices);
      onHealth(null);
      report(written, performance.now() - startedAtMs);
      return written;
    } catch (error) {
      // A refusal is tried again as well: rights can be given back, and going on without the rows would lose them.
      if (!(error instanceof IngotError)) throw error;
      onHealth(error);
      events.sinkDatabaseFailed({ error: error.message, retryInMs });
      await sleep(retryInMs, undefined, { signal });
    }
  }
}

function report({ tables, rejected }: WrittenSlices, durationMs: number): void {
  events.sinkBatchCommitted({ durationMs, tables });
  for (const { slice, record } of rejected) {
    const { reason, detail, offset } = record;
    events.rowRejected({ topic: slice.topic, partition: slice.partition, offset, reason, detail });
  }
}
