import { RecordReader } from '../../core/record-batch.ts';
import type { FetchLoop, PartitionCursor, TopicPartition } from '../../kafka/log-port.ts';

// The records of one partition, for people: copied, with their headers. The stages of the pipeline read without these copies.

export interface LogRecord extends TopicPartition {
  readonly offset: number;
  /** When it was appended, epoch ms. */
  readonly timestampMs: number;
  readonly key: string | null;
  readonly value: Buffer | null;
  readonly headers: ReadonlyMap<string, string>;
}

export interface FeedStart extends TopicPartition {
  readonly offset: number;
  /** The end of the partition when the reading began. */
  readonly endOffset: number;
}

export class PartitionFeed {
  readonly #at: TopicPartition;
  readonly #endOffset: number;
  readonly #cursor: PartitionCursor;
  readonly #reader = new RecordReader();
  #records: LogRecord[] = [];
  #taken = 0;
  #isFilling = false;
  /** Whether everything up to `endOffset` has been fetched, as far as a reader of committed records can see. */
  isCaughtUp: boolean;
  failure: unknown = null;

  constructor(loop: FetchLoop, { topic, partition, offset, endOffset }: FeedStart) {
    this.#at = { topic, partition };
    this.#endOffset = endOffset;
    this.#cursor = loop.open(this.#at, offset);
    this.isCaughtUp = offset >= endOffset;
  }

  get isEmpty(): boolean {
    return this.#taken >= this.#records.length;
  }

  /** The next record without taking it. */
  get head(): LogRecord | undefined {
    return this.#records[this.#taken];
  }

  take(): LogRecord {
    return this.#records[this.#taken++]!;
  }

  /** Fetches once unless a fetch is under way or records are left; `onDone` is called when something has changed. */
  fill(onDone: () => void): void {
    if (this.#isFilling || !this.isEmpty || this.failure !== null) return;
    this.#isFilling = true;
    this.#fetch()
      .catch((error: unknown) => {
        this.failure = error;
      })
      .finally(() => {
        this.#isFilling = false;
        onDone();
      });
  }

  close(): void {
    this.#cursor.close();
  }

  async #fetch(): Promise<void> {
    const fetched = await this.#cursor.next();
    this.#reader.reset(fetched);
    this.#records = [];
    this.#taken = 0;
    while (this.#reader.next()) this.#records.push(this.#copy());
    // An open transaction holds the last stable offset back: what comes after it is not visible yet.
    const visibleEnd = Math.min(this.#endOffset, fetched.lastStableOffset);
    this.isCaughtUp ||= this.#reader.nextOffset >= visibleEnd;
  }

  #copy(): LogRecord {
    const { buffer, keyStart, keyEnd, valueStart, valueEnd, offset, timestampMs } = this.#reader;
    const headers = new Map([...this.#reader.headers()].map(([name, value]) => [name, value.toString('utf8')]));
    const key = keyStart < 0 ? null : buffer.toString('utf8', keyStart, keyEnd);
    const value = valueStart < 0 ? null : Buffer.from(buffer.subarray(valueStart, valueEnd));
    return { ...this.#at, offset, timestampMs, key, value, headers };
  }
}
