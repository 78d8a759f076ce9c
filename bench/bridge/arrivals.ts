import { RecordReader } from '../../src/core/record-batch.ts';
import type { LogClient, PartitionCursor } from '../../src/kafka/log-port.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { type Bench, PARTITIONS } from '../support/bench.ts';
import { decodeValue } from '../support/decode-value.ts';
import { waitUntil } from '../support/wait-until.ts';

// The readings that have arrived in Kafka, read while they come: how many, how many of them twice, and how late.

export interface Arrivals {
  /** Records, duplicates included. */
  readonly records: number;
  /** Different pairs of device and sequence. */
  readonly messages: number;
  /** From the time in the reading to the moment when it is read, ms; of everything since the last `forgetLatencies`. */
  readonly latenciesMs: readonly number[];
  forgetLatencies(): void;
  /** Resolves when everything up to the present end of the topic has been read. */
  upToDate(): Promise<void>;
  stop(): Promise<void>;
}

export async function watchArrivals(
  { components }: Bench,
  log: LogClient,
  { prefix, topic }: { prefix: string; topic: string },
): Promise<Arrivals> {
  const codecs = await openSchemaCodecs({ registry: { url: components.registryUrl, autoRegister: true }, topicPrefix: prefix });
  const decoder = codecs.openDecoder(READING_SCHEMA);
  const loop = log.fetchLoop({ name: 'arrivals', maxWaitMs: 500, maxBytesPerPartition: 1 << 20, isolation: 'uncommitted' });
  const seen = new Set<string>();
  const positions = new Array<number>(PARTITIONS).fill(0);
  let latenciesMs: number[] = [];
  let records = 0;
  let isStopped = false;

  const follow = async (cursor: PartitionCursor, partition: number): Promise<void> => {
    const reader = new RecordReader();
    while (!isStopped) {
      const fetched = await cursor.next();
      const readAtMs = Date.now();
      reader.reset(fetched);
      while (reader.next()) {
        const decoded = await decodeValue(decoder, reader);
        if (decoded.kind !== 'value') throw new Error(`no reading: ${JSON.stringify(decoded)}`);
        const { deviceId, sequence, eventTime } = decoded.value;
        records += 1;
        seen.add(`${deviceId} ${sequence}`);
        latenciesMs.push(readAtMs - eventTime);
      }
      positions[partition] = reader.nextOffset;
    }
  };
  const following = Promise.all(positions.map((_, partition) => follow(loop.open({ topic, partition }, 0), partition)));
  following.catch(() => undefined); // It is awaited at the stop.
  return {
    get records() {
      return records;
    },
    get messages() {
      return seen.size;
    },
    get latenciesMs() {
      return latenciesMs;
    },
    forgetLatencies: () => {
      latenciesMs = [];
    },
    upToDate: async () => {
      const admin = log.admin();
      const ends = await admin.watermarks(topic);
      await admin.close();
      await waitUntil('the reader is at the end', () =>
        ends.every(({ highWatermark }, partition) => positions[partition]! >= highWatermark),
      );
    },
    stop: async () => {
      isStopped = true;
      await following;
      await loop.close();
    },
  };
}
