import { RecordReader } from '../../src/core/record-batch.ts';
import type { Fetched, LogClient, PartitionCursor } from '../../src/kafka/log-port.ts';
import type { TopicNames } from '../../src/kafka/topics.ts';
import { AGGREGATE_SCHEMA, type OurSchema, READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import type { SchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { decodeValue } from '../support/decode-value.ts';

// How long a window's rows take from the record that closes the window until a read_committed reader has them. Which record that was is
// found out afterwards, from the readings: the first of the device that leaves the window and its grace behind.

interface SeenRow {
  readonly deviceId: string;
  readonly windowEnd: number;
  readonly seenAtMs: number;
}

/** An answer, and when a reader had it, epoch ms. */
interface SeenAnswer {
  readonly fetched: Fetched;
  readonly seenAtMs: number;
}

interface At {
  readonly topics: TopicNames;
  readonly partitions: number;
  readonly graceMs: number;
}

export class WindowLatency {
  readonly #log: LogClient;
  readonly #codecs: SchemaCodecs;
  readonly #at: At;
  /** Decoded at the stop: under the load it would be work of this machine that is not measured. */
  readonly #answers: SeenAnswer[] = [];
  readonly #following: Promise<void>;
  #isStopped = false;

  constructor(log: LogClient, codecs: SchemaCodecs, at: At) {
    this.#log = log;
    this.#codecs = codecs;
    this.#at = at;
    this.#following = this.#follow(at.topics.aggregates, {
      isOver: () => this.#isStopped,
      take: async (fetched) => {
        const seenAtMs = Date.now();
        if (fetched.batches.length > 0) this.#answers.push({ fetched: { ...fetched, batches: Buffer.from(fetched.batches) }, seenAtMs });
      },
    });
    this.#following.catch(() => undefined); // It is awaited at the stop.
  }

  /** Stops reading; gives the latencies of the rows of the windows that were closed after a moment, epoch ms. */
  async stop(closedAfterMs: number): Promise<readonly number[]> {
    this.#isStopped = true;
    await this.#following;
    const { topics, graceMs } = this.#at;
    const windowsByDevice = Map.groupBy(await this.#rows(), ({ deviceId }) => deviceId);
    const closedAtMs = new Map<SeenRow, number>();
    const marks = await this.#log.admin().watermarks(topics.readings);
    const total = marks.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
    let read = 0;
    const decodeReadings = this.#decoding(READING_SCHEMA);
    const take = ({ deviceId, eventTime }: { deviceId: string; eventTime: number }, appendTimeMs: number): void => {
      read += 1;
      const open = windowsByDevice.get(deviceId);
      if (open === undefined) return;
      const left = open.filter((row) => eventTime < row.windowEnd + graceMs || !closedAtMs.set(row, appendTimeMs));
      if (left.length < open.length) windowsByDevice.set(deviceId, left);
    };
    await this.#follow(topics.readings, { isOver: () => read >= total, take: (fetched) => decodeReadings(fetched, take) });
    return [...closedAtMs].filter(([, atMs]) => atMs >= closedAfterMs).map(([row, atMs]) => row.seenAtMs - atMs);
  }

  async #rows(): Promise<readonly SeenRow[]> {
    const rows: SeenRow[] = [];
    const decodeRows = this.#decoding(AGGREGATE_SCHEMA);
    for (const { fetched, seenAtMs } of this.#answers) {
      await decodeRows(fetched, ({ deviceId, windowEnd, closedBy }) => {
        if (closedBy === 'TIME') rows.push({ deviceId, windowEnd, seenAtMs });
      });
    }
    return rows;
  }

  #decoding<Value>(schema: OurSchema<Value>) {
    const decoder = this.#codecs.openDecoder(schema);
    return async (fetched: Fetched, take: (value: Value, appendTimeMs: number) => void): Promise<void> => {
      // One of its own: while a schema is loaded, the answer for another partition may come.
      const reader = new RecordReader();
      reader.reset(fetched);
      while (reader.next()) {
        const decoded = await decodeValue(decoder, reader);
        if (decoded.kind === 'value') take(decoded.value, reader.timestampMs);
      }
    };
  }

  /** Reads a topic from its beginning, read_committed. */
  async #follow(topic: string, on: { isOver: () => boolean; take: (fetched: Fetched) => Promise<void> }): Promise<void> {
    const loop = this.#log.fetchLoop({ name: `windows-${topic}`, maxWaitMs: 100, maxBytesPerPartition: 1 << 20, isolation: 'committed' });
    const follow = async (cursor: PartitionCursor): Promise<void> => {
      while (!on.isOver()) await on.take(await cursor.next());
    };
    await Promise.all(Array.from({ length: this.#at.partitions }, (_, partition) => follow(loop.open({ topic, partition }, 0))));
    await loop.close();
  }
}
