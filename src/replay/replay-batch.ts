import { identityOf } from '../core/identity.ts';
import { type RecordHeader, RecordsEncoder } from '../core/record-batch.ts';
import { ATTEMPT_HEADER, attemptOf, FIRST_APPEND_TIME_HEADER, REPLAY_IDENTITY_HEADER } from '../core/replay-headers.ts';
import type { EncodedRecords, TopicPartition } from '../kafka/log-port.ts';
import { type DeadLetter, letterPlace } from './dead-letter.ts';
import type { Replayable } from './judge-letter.ts';
import { encodeMark, type ReplayMark } from './replay-marks.ts';
import type { ReplayTopics } from './replay-ports.ts';

// What one transaction of the replay appends: readings with their headers, and the marks of their letters.

/** Letters of one transaction, so that it is over long before its timeout and holds readers back for a moment only. */
export const LETTERS_PER_TRANSACTION = 100;
export const BYTES_PER_TRANSACTION = 4 * 1024 * 1024;
/** Below the broker's default of 1 MiB for max.message.bytes. */
const BATCH_BYTES_MAX = 768 * 1024;

/** Where a reading came from, for people. */
const REPLAY_OF_HEADER = 'replay-of';
/** W3C Trace Context: a trace goes on through the replay. */
const PASSED_ON = ['traceparent', 'tracestate'];

/** A letter that is settled by this transaction. */
export interface SettledLetter {
  readonly letter: DeadLetter;
  readonly mark: ReplayMark;
  /** Null for a duplicate: it is marked, and nothing is appended. */
  readonly reading: Replayable | null;
}

export function encodeTransaction(
  settled: readonly SettledLetter[],
  expiredPlaces: readonly string[],
  { topics, partition, nowMs }: { topics: ReplayTopics; partition: number; nowMs: number },
): EncodedRecords[] {
  const byPartition = new Map<number, PartitionRecords>();
  const marks = new PartitionRecords({ topic: topics.marks, partition }, nowMs);
  for (const { letter, mark, reading } of settled) {
    marks.add(Buffer.from(letterPlace(letter)), encodeMark(mark));
    if (reading === null) continue;
    let records = byPartition.get(reading.partition);
    if (records === undefined) {
      records = new PartitionRecords({ topic: topics.readings, partition: reading.partition }, nowMs);
      byPartition.set(reading.partition, records);
    }
    records.add(reading.key, reading.value, replayHeaders(letter, reading));
  }
  for (const place of expiredPlaces) marks.add(Buffer.from(place), null);
  return [...byPartition.values(), marks].flatMap((records) => records.take());
}

function replayHeaders(letter: DeadLetter, reading: Replayable): RecordHeader[] {
  const { topic, partition, offset, appendTimeMs, headers } = letter;
  return [
    [FIRST_APPEND_TIME_HEADER, String(reading.firstAppendTimeMs)],
    // Of its own, by the letter's place and time: the message's identity is known to the fold since the letter was refused, and in a topic
    // that was made anew other letters lie at the same places.
    [REPLAY_IDENTITY_HEADER, String(identityOf(topic, Buffer.from(`${partition}/${offset}/${appendTimeMs}`)))],
    [ATTEMPT_HEADER, String(attemptOf(headers) + 1)],
    [REPLAY_OF_HEADER, letterPlace(letter)],
    ...PASSED_ON.flatMap((name): RecordHeader[] => {
      const value = headers.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  ];
}

/** Records for one partition, cut into batches that a broker accepts. */
class PartitionRecords {
  readonly #to: TopicPartition;
  readonly #nowMs: number;
  readonly #encoder = new RecordsEncoder(4_096);
  readonly #full: EncodedRecords[] = [];

  constructor(to: TopicPartition, nowMs: number) {
    this.#to = to;
    this.#nowMs = nowMs;
    this.#encoder.reset(nowMs);
  }

  add(key: Buffer, value: Buffer | null, headers: readonly RecordHeader[] = []): void {
    if (this.#encoder.count > 0 && this.#encoder.sizeBytes + key.length + (value?.length ?? 0) > BATCH_BYTES_MAX) this.#cut();
    this.#encoder.add(key, value, this.#nowMs, headers);
  }

  take(): EncodedRecords[] {
    if (this.#encoder.count > 0) this.#cut();
    return this.#full;
  }

  #cut(): void {
    const { topic, partition } = this.#to;
    const { count, baseTimestampMs } = this.#encoder;
    this.#full.push({ topic, partition, records: this.#encoder.take(), count, baseTimestampMs });
    this.#encoder.reset(this.#nowMs);
  }
}
