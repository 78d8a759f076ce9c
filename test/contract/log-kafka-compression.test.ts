import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RecordReader, RecordsEncoder } from '../../src/core/record-batch.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient, TopicPartition } from '../../src/kafka/log-port.ts';
import { faultSeed, seededRandom } from '../support/kill-schedule.ts';
import { freshName, stack } from '../support/stack.ts';

// Batches that Kafka's own Java codecs have compressed (the broker does so with whatever it is sent, when the topic says so), and those of
// our own producer: the reader gives the same records as without. Compressed batches that lie: test/unit/unpack-answer.test.ts.

let client: LogClient;
beforeAll(() => {
  client = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('compression') });
});
afterAll(async () => {
  await client.close();
});

async function newTopic(compression: string): Promise<TopicPartition> {
  const name = freshName('compressed');
  // The records are years old.
  const configs = { 'compression.type': compression, 'max.message.bytes': String(16 * 1024 * 1024), 'retention.ms': '-1' };
  await client.admin().createTopics([{ name, partitions: 1, replicationFactor: 1, configs }]);
  return { topic: name, partition: 0 };
}

/** One call, one batch. */
async function send(sender: LogClient, at: TopicPartition, values: readonly Buffer[]): Promise<void> {
  const encoder = new RecordsEncoder(65_536);
  const baseTimestampMs = 1_700_000_000_000;
  encoder.reset(baseTimestampMs);
  for (const [index, value] of values.entries()) encoder.add(Buffer.from(`k${index}`), value, baseTimestampMs + index);
  const lane = sender.produceLane({ name: 'compression', acks: 'all' });
  await lane.send([{ ...at, records: encoder.take(), count: encoder.count, baseTimestampMs }]);
  await lane.close(1_000);
}

/** Reads so many records; how many bytes of batches came, and what was in them. */
async function read(at: TopicPartition, count: number): Promise<{ values: Buffer[]; keys: string[]; times: number[] }> {
  const loop = client.fetchLoop({ name: 'compression', maxWaitMs: 50, maxBytesPerPartition: 1_048_576, isolation: 'committed' });
  const cursor = loop.open(at, 0);
  const reader = new RecordReader();
  const found = { values: [] as Buffer[], keys: [] as string[], times: [] as number[] };
  try {
    while (found.values.length < count) {
      reader.reset(await cursor.next());
      while (reader.next()) {
        found.values.push(Buffer.from(reader.buffer.subarray(reader.valueStart, reader.valueEnd)));
        found.keys.push(reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd));
        found.times.push(reader.timestampMs);
      }
    }
  } finally {
    await loop.close();
  }
  return found;
}

/** Of every kind: what compresses well, badly and not at all, small and larger than any block of any codec. */
function randomBatches(seed: number): Buffer[][] {
  const random = seededRandom(seed);
  const noise = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)));
  const words = ['device', 'temperature', 'humidity', '"ts":', '23.5', '1700000000', 'a', '\u0000'];
  const text = (bytes: number) => {
    let all = '';
    while (all.length < bytes) all += words[Math.floor(random() * words.length)];
    return Buffer.from(all.slice(0, bytes));
  };
  const sizes = () => Math.floor(random() ** 3 * 2_000);
  return [
    [Buffer.alloc(0)],
    [noise(1)],
    Array.from({ length: 300 }, () => text(sizes())),
    Array.from({ length: 300 }, () => noise(sizes())),
    Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? noise(sizes()) : text(sizes()))),
    [Buffer.alloc(3_000_000, 'xyz'), noise(100), text(500_000)],
    [noise(200_000), Buffer.alloc(200_000), noise(10)],
  ];
}

const seed = faultSeed();

describe.each([
  ['gzip', 'none'],
  ['snappy', 'none'],
  ['lz4', 'none'],
  ['zstd', 'none'],
  ['producer', 'gzip'],
  ['producer', 'snappy'],
  ['producer', 'zstd'],
] as const)('batches in a topic of compression.type=%s, sent with %s', (ofTopic, ofProducer) => {
  test(`are read as they were sent, seed ${seed} (INGOT_FAULT_SEED)`, { timeout: 120_000 }, async () => {
    const at = await newTopic(ofTopic);
    const batches = randomBatches(seed);
    const sender = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('compression') }, ofProducer);
    for (const batch of batches) await send(sender, at, batch);
    await sender.close();
    const sent = batches.flat();
    const { values, keys, times } = await read(at, sent.length);
    expect(values.length).toBe(sent.length);
    const differing = sent.findIndex((value, index) => !value.equals(values[index]!));
    expect(differing).toBe(-1);
    expect(keys).toEqual(batches.flatMap((batch) => batch.map((_, index) => `k${index}`)));
    expect(times).toEqual(batches.flatMap((batch) => batch.map((_, index) => 1_700_000_000_000 + index)));
  });
});
