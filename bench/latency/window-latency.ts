import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient, PartitionCursor } from '../../src/kafka/log-port.ts';
import type { TopicNames } from '../../src/kafka/topics.ts';
import { AGGREGATE_SCHEMA, type OurSchema, READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import type { SchemaCodecs } from '../../src/registry/schema-codecs.ts';

// How long a window's rows take from the record that closes the window until a read_committed reader has them. Which record that was is
// found out afterwards, from the readings: the first of the device that leaves the window and its grace behind.

interface SeenRow {
  readonly deviceId: string;
  readonly windowEnd: number;
  readonly seenAtMs: number;
}

/** Epoch ms: when the record came into the log, and when a reader has it. */
interface RecordTimes {
  readonly appendTimeMs: number;
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
  readonly #rows: SeenRow[] = [];
  readonly #following: Promise<void>;
  #isStopped = false;

  constructor(log: LogClient, codecs: SchemaCodecs, at: At) {
    this.#log = log;
    this.#codecs = codecs;
    this.#at = at;
    this.#following = this.#read(AGGREGATE_SCHEMA, at.topics.aggregates, {
      isOver: () => this.#isStopped,
      take: ({ deviceId, windowEnd, closedBy }, { seenAtMs }) => {
        if (closedBy === 'TIME') this.#rows.push({ deviceId, windowEnd, seenAtMs });
      },
    });
    this.#following.catch(() => undefined); // It is awaited at the stop.
  }

  /** Stops reading; gives the latencies of the rows of the windows that were closed after a moment, epoch ms. */
  async stop(closedAfterMs: number): Promise<readonly number[]> {
    this.#isStopped = true;
    await this.#following;
    const { topics, graceMs } = this.#at;
    const windowsByDevice = Map.groupBy(this.#rows, ({ deviceId }) => deviceId);
    const closedAtMs = new Map<SeenRow, number>();
    const marks = await this.#log.admin().watermarks(topics.readings);
    const total = marks.reduce((sum, { highWatermark }) => sum + highWatermark, 0);
    let read = 0;
    await this.#read(READING_SCHEMA, topics.readings, {
      isOver: () => read >= total,
      take: ({ deviceId, eventTime }, { appendTimeMs }) => {
        read += 1;
        const open = windowsByDevice.get(deviceId);
        if (open === undefined) return;
        const left = open.filter((row) => eventTime < row.windowEnd + graceMs || !closedAtMs.set(row, appendTimeMs));
        if (left.length < open.length) windowsByDevice.set(deviceId, left);
      },
    });
    return [...closedAtMs].filter(([, atMs]) => atMs >= closedAfterMs).map(([row, atMs]) => row.seenAtMs - atMs);
  }

  async #read<Value>(
    schema: OurSchema<Value>,
    topic: string,
    on: { isOver: () => boolean; take: (value: Value, at: RecordTimes) => void },
  ): Promise<void> {
    const loop = this.#log.fetchLoop({
      name: `windows-${schema.topic}`,
      maxWaitMs: 100,
      maxBytesPerPartition: 1 << 20,
      isolation: 'committed',
    });
    const decoder = this.#codecs.openDecoder(schema);
    const follow = async (cursor: PartitionCursor): Promise<void> => {
      const reader = new RecordReader();
      while (!on.isOver()) {
        const fetched = await cursor.next();
        // Before it is decoded, which is work of this process and not of what is measured.
        const seenAtMs = Date.now();
        reader.reset(fetched);
        while (reader.next()) {
          let decoded = decoder.decode(reader.buffer, reader.valueStart, reader.valueEnd);
          if (decoded.kind === 'unknown_schema') {
            await decoder.load(decoded.schemaId);
            decoded = decoder.decode(reader.buffer, reader.valueStart, reader.valueEnd);
          }
          if (decoded.kind === 'value') on.take(decoded.value, { appendTimeMs: reader.timestampMs, seenAtMs });
        }
      }
    };
    await Promise.all(Array.from({ length: this.#at.partitions }, (_, partition) => follow(loop.open({ topic, partition }, 0))));
    await loop.close();
  }
}
