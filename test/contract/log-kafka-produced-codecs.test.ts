import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ATTRIBUTES_AT,
  COMPRESSION_MASK,
  CONTROL_FLAG,
  LAST_OFFSET_DELTA_AT,
  LENGTH_AT,
  OFFSET_AND_LENGTH_BYTES,
  readInt64,
} from '../../src/core/batch-layout.ts';
import type { CompressionName } from '../../src/kafka/compression.ts';
import { decodeFetchResponse } from '../../src/kafka/fetch-response.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { openCluster, sendFetch } from '../../src/kafka/kafkajs-internals.ts';
import type { LogClient, TopicPartition } from '../../src/kafka/log-port.ts';
import { consumeWithJava } from '../support/java-consumer.ts';
import { encoded, type TextRecord } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// What is produced with each codec lies compressed in the log, and other clients read it as it was.

const CODECS: readonly (readonly [CompressionName, id: number])[] = [
  ['none', 0],
  ['gzip', 1],
  ['snappy', 2],
  ['zstd', 4],
];

const run = freshName('compression');
const topicOf = (codec: CompressionName) => `${run}.${codec}`;
const logs: LogClient[] = [];
const logWith = (codec: CompressionName) => {
  const log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('test') }, codec);
  logs.push(log);
  return log;
};
afterAll(() => Promise.all(logs.map((log) => log.close())));

/** Records that are alike, larger than a block of Snappy together, with null keys, headers and one large value. */
const RECORDS: readonly TextRecord[] = Array.from({ length: 600 }, (_, i) => ({
  key: i % 7 === 0 ? null : `device-${i % 40}`,
  value: i === 300 ? 'long'.repeat(30_000) : `{"ts":${1_795_252_383_511 + i},"temperature":${20 + (i % 50) / 10}}`,
  headers: i % 5 === 0 ? [['traceparent', `00-${i}`] as const] : [],
}));
/** One more, in a transaction. */
const COMMITTED: TextRecord = { key: 'device-1', value: 'committed' };
const asConsumed = (records: readonly TextRecord[]) =>
  records.map(({ key, value, headers = [] }) => ({
    key: key ?? 'null',
    value: value!,
    headers: headers.length === 0 ? 'NO_HEADERS' : headers.map(([name, text]) => `${name}:${text}`).join(','),
  }));

beforeAll(async () => {
  for (const [codec] of CODECS) {
    const log = logWith(codec);
    const at = { topic: topicOf(codec), partition: 0 };
    await log.admin().createTopics([{ name: at.topic, partitions: 1, replicationFactor: 1, configs: { 'compression.type': 'producer' } }]);
    const lane = log.produceLane({ name: 'lane', acks: 'all' });
    await lane.send([encoded(at, RECORDS)]);
    const transactions = log.transactionLane({ transactionalId: freshName('compression'), transactionTimeoutMs: 10_000 });
    await transactions.fence(at);
    await transactions.commit([encoded(at, [COMMITTED])]);
  }
});

/** Batches as they lie in the log: the fetch loop would unpack them. */
async function fetchRaw(at: TopicPartition, offset: number): Promise<Buffer> {
  const handle = openCluster({ brokers: stack().kafkaBrokers, clientId: 'raw' }, { initialRetryTime: 50, maxRetryTime: 500, retries: 5 });
  await handle.cluster.connect();
  await handle.cluster.addMultipleTargetTopics([at.topic]);
  const [nodeId] = Object.keys(handle.cluster.findLeaderForPartitions(at.topic, [at.partition]));
  const partitions = [{ partition: at.partition, fetchOffset: String(offset), maxBytes: 8_388_608 }];
  const payload = await sendFetch(await handle.cluster.findBroker({ nodeId: nodeId! }), {
    replicaId: -1,
    maxWaitTime: 1_000,
    minBytes: 1,
    maxBytes: 8_388_608,
    isolationLevel: 0,
    topics: [{ topic: at.topic, partitions }],
  });
  handle.destroy(new Error('the answer is there'));
  return decodeFetchResponse(payload).partitions[0]!.batches;
}

describe.each(CODECS)('with %s', (codec, codecId) => {
  it('the batches in the log are of this codec, those of a transaction too', async () => {
    const at = { topic: topicOf(codec), partition: 0 };
    const codecIds: number[] = [];
    // The fence, the committed record and a marker for each come behind the records.
    for (let offset = 0; offset < RECORDS.length + 4; ) {
      const batches = await fetchRaw(at, offset);
      for (let start = 0; start < batches.length; start += OFFSET_AND_LENGTH_BYTES + batches.readInt32BE(start + LENGTH_AT)) {
        const attributes = batches.readInt16BE(start + ATTRIBUTES_AT);
        if ((attributes & CONTROL_FLAG) === 0) codecIds.push(attributes & COMPRESSION_MASK);
        offset = readInt64(batches, start) + batches.readInt32BE(start + LAST_OFFSET_DELTA_AT) + 1;
      }
    }
    expect(codecIds).toEqual([codecId, codecId, codecId]);
  });
});

it('Java’s client reads what every codec wrote', async () => {
  const consumed = await consumeWithJava({
    brokers: stack().kafkaBrokers,
    topics: CODECS.map(([codec]) => topicOf(codec)),
    count: CODECS.length * (RECORDS.length + 1),
  });
  expect(consumed).toHaveLength(CODECS.length * (RECORDS.length + 1));
  // The topics come in any order, each in its own; so every record is there once per codec.
  const sorted = (lines: ReturnType<typeof asConsumed>) => lines.map(({ key, value, headers }) => `${key} ${headers} ${value}`).sort();
  const all = asConsumed([...RECORDS, COMMITTED]);
  expect(sorted(consumed)).toEqual(sorted(CODECS.flatMap(() => all)));
});

it('the library’s own consumer still reads gzip', async () => {
  const consumer = new Kafka({ brokers: [...stack().kafkaBrokers], logLevel: logLevel.NOTHING }).consumer({ groupId: freshName('group') });
  await consumer.connect();
  await consumer.subscribe({ topic: topicOf('gzip'), fromBeginning: true });
  const { promise, resolve } = Promise.withResolvers<void>();
  const read: TextRecord[] = [];
  await consumer.run({
    eachMessage: async ({ message: { key, value, headers = {} } }) => {
      read.push({
        key: key?.toString() ?? null,
        value: value!.toString(),
        headers: Object.entries(headers).map(([name, text]) => [name, String(text)] as const),
      });
      if (read.length === RECORDS.length + 1) resolve();
    },
  });
  await promise;
  await consumer.disconnect();
  expect(asConsumed(read)).toEqual(asConsumed([...RECORDS, COMMITTED]));
});
