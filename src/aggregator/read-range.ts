import { CompressedBatchError, CorruptBatchError } from '../core/batch-errors.ts';
import { offsetAfterBatch } from '../core/batch-layout.ts';
import { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { FetchLoop, TopicPartition } from '../kafka/log-port.ts';

// Reading a piece of a partition from one offset to another: what a restore and a rebuild do with state, journal and readings.

/** Without any progress for so long it is given up. */
const STALL_DEADLINE_MS = 120_000;

/** What the one who looks at the records says to each: null to go on, `enough` to end, a promise to be waited for before the next one. */
export type RangeVerdict = null | 'enough' | Promise<null>;

/**
 * Reads the visible records of [from, to). The end is a position, so it is reached over aborted and removed records too. Rejects with
 * IngotErrors `RESTORE_TIMEOUT` (no progress), `COMPRESSED_INPUT`, `CORRUPT_BATCH`, and with what `onRecord` throws.
 */
export async function readRange(
  loop: FetchLoop,
  at: TopicPartition,
  range: { readonly from: number; readonly to: number; readonly onRecord: (reader: RecordReader) => RangeVerdict },
): Promise<void> {
  const { from, to, onRecord } = range;
  if (from >= to) return;
  const cursor = loop.open(at, from);
  const reader = new RecordReader();
  let position = from;
  let movedAtMs = performance.now();
  try {
    while (position < to) {
      if (performance.now() - movedAtMs > STALL_DEADLINE_MS) throw stalled(at, { position, to });
      reader.reset(await cursor.next());
      while (nextRecord(reader, at)) {
        if (reader.offset >= to) continue;
        const verdict = onRecord(reader);
        if (verdict === 'enough') return;
        if (verdict !== null) await verdict;
      }
      if (reader.nextOffset > position) movedAtMs = performance.now();
      position = reader.nextOffset;
    }
  } finally {
    cursor.close();
  }
}

/**
 * `RecordReader.next` of a partition of the log, with errors of the catalogue: `COMPRESSED_INPUT`, `CORRUPT_BATCH`. Their `details.nextOffset`
 * is the one after the batch.
 */
export function nextRecord(reader: RecordReader, { topic, partition }: TopicPartition): boolean {
  try {
    return reader.next();
  } catch (cause) {
    const where = `${topic}-${partition}`;
    if (!(cause instanceof CompressedBatchError || cause instanceof CorruptBatchError)) throw cause;
    const code = cause instanceof CompressedBatchError ? 'COMPRESSED_INPUT' : 'CORRUPT_BATCH';
    const details = { nextOffset: offsetAfterBatch(reader.buffer, cause.baseOffset) };
    throw new IngotError(code, `${where}: ${cause.message}.`, { cause, details });
  }
}

function stalled({ topic, partition }: TopicPartition, { position, to }: { position: number; to: number }): IngotError {
  return new IngotError(
    'RESTORE_TIMEOUT',
    `${topic}-${partition} was read up to ${position}, not to ${to}, and nothing came for ${STALL_DEADLINE_MS} ms. A hanging transaction may hold its end back.`,
  );
}
