import { type RecordReader as Reader, RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { Fetched, FetchLoop, PartitionCursor, TopicPartition } from '../kafka/log-port.ts';
import type { DeadLetter } from './dead-letter.ts';

/** How long the log may go without giving anything new. */
const SILENCE_MAX_MS = 60_000;

export interface OffsetRange extends TopicPartition {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

export interface ReadOptions {
  readonly loop: FetchLoop;
  /** Aborted: the reading ends early, without an error. */
  readonly signal: AbortSignal;
  /** Whether what an open transaction hides is left out, or waited for. */
  readonly hidden: 'leave' | 'await';
}

/**
 * The visible records of a range, copied. IngotError `REPLAY_TIMEOUT` when the log does not answer, or when a transaction that somebody left
 * open hides what is awaited.
 */
export async function* readRange(range: OffsetRange, { loop, signal, hidden }: ReadOptions): AsyncGenerator<DeadLetter, void, void> {
  if (range.from >= range.to || signal.aborted) return;
  const cursor = loop.open(range, range.from);
  const close = (): void => cursor.close();
  signal.addEventListener('abort', close, { once: true });
  const reader = new RecordReader();
  let gotOnAtMs = performance.now();
  try {
    for (let position = range.from; position < range.to; ) {
      const leftMs = gotOnAtMs + SILENCE_MAX_MS - performance.now();
      const fetched = await nextWithin(cursor, range, leftMs);
      reader.reset(fetched);
      while (reader.next() && reader.offset < range.to) yield copyOf(reader, range);
      if (reader.nextOffset > position) gotOnAtMs = performance.now();
      position = reader.nextOffset;
      if (hidden === 'leave' && position >= fetched.lastStableOffset) return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}

async function nextWithin(cursor: PartitionCursor, { topic, partition }: TopicPartition, ms: number): Promise<Fetched> {
  let isLate = false;
  const timer = setTimeout(
    () => {
      isLate = true;
      cursor.close();
    },
    Math.max(0, ms),
  );
  try {
    return await cursor.next();
  } catch (error) {
    if (!isLate) throw error;
    const what = `${topic}-${partition} gave nothing new for ${SILENCE_MAX_MS / 1000} s`;
    throw new IngotError('REPLAY_TIMEOUT', `${what}. Is Kafka there, and is no transaction left open on it?`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function copyOf(reader: Reader, { topic, partition }: TopicPartition): DeadLetter {
  const { buffer, keyStart, keyEnd, valueStart, valueEnd, offset, timestampMs: appendTimeMs } = reader;
  const key = keyStart < 0 ? null : Buffer.from(buffer.subarray(keyStart, keyEnd));
  const value = valueStart < 0 ? null : Buffer.from(buffer.subarray(valueStart, valueEnd));
  // The answer's buffer is used again while the letters wait for their transaction.
  const headers = new Map([...reader.headers()].map(([name, bytes]) => [name, Buffer.from(bytes)]));
  return { topic, partition, offset, appendTimeMs, key, value, headers };
}
