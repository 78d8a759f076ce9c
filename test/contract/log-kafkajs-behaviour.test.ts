import { createRequire } from 'node:module';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { partitionForKey } from '../../src/core/murmur2.ts';
import { createProducerOn, openCluster } from '../../src/kafka/kafkajs-internals.ts';
import { asTopicMessages } from '../../src/kafka/pre-encoded-messages.ts';
import { isEncodable, type ProduceCall, produceRequestBytes, writeProduceRequest } from '../../src/kafka/produce-request.ts';
import { DEFAULT_TIMESTAMP_MS, encoded, type TextRecord } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// What src/kafka relies on inside kafkajs 2.2.4, good and bad. A failure here after an upgrade says what to look at again.

const require = createRequire(import.meta.url);
const produceRequestV7 = require('kafkajs/src/protocol/requests/produce/v7/request') as (request: object) => {
  encode: () => Promise<{ buffer: Buffer }>;
};
const createRequest = require('kafkajs/src/protocol/request') as (given: object) => Promise<{ buffer: Buffer }>;
const filterAborted = require('kafkajs/src/consumer/filterAbortedMessages') as (answer: {
  messages: object[];
  abortedTransactions: object[];
}) => { offset: string }[];
const RequestQueue = require('kafkajs/src/network/requestQueue') as new (
  options: object,
) => {
  throttleCheckTimeoutId: unknown;
  checkPendingRequests: () => void;
};
const { version } = require('kafkajs/package.json') as { version: string };

/** That of the batch, so that the deltas are 0 here and there. */
const TIMESTAMP_MS = DEFAULT_TIMESTAMP_MS;

/** The request as the library makes it of `messages` for partition 0. */
function encodeRequest(messages: unknown): Promise<Buffer> {
  const partitions = [{ partition: 0, firstSequence: 5, messages }];
  const topicData = [{ topic: 'topic', partitions }];
  return produceRequestV7({ acks: -1, timeout: 30_000, transactionalId: 'id', producerId: 7, producerEpoch: 1, topicData })
    .encode()
    .then((encoder) => Buffer.from(encoder.buffer));
}

describe('the version', () => {
  it('is the one that was read', () => {
    expect(version).toBe('2.2.4');
  });
});

describe('pre-encoded records', () => {
  const records: TextRecord[] = Array.from({ length: 700 }, (_, i) => ({
    key: i % 7 === 0 ? null : `device-${i}`,
    value: i % 11 === 0 ? null : 'v'.repeat(i % 90),
    timestampMs: TIMESTAMP_MS,
  }));
  const library = records.map(({ key, value }) => ({
    key: key == null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestamp: TIMESTAMP_MS,
  }));

  it('make the same request as the library makes of messages, and again when it repeats it', async () => {
    const [{ messages }] = asTopicMessages([encoded({ topic: 'topic', partition: 0 }, records)]) as unknown as [{ messages: unknown }];
    const grouped = (messages as { reduce: () => Record<number, unknown> }).reduce();
    const expected = await encodeRequest(library);
    expect(await encodeRequest(grouped[0])).toEqual(expected);
    expect(await encodeRequest(grouped[0])).toEqual(expected);
  });

  it('make the same request when we encode it, with and without a transaction', async () => {
    const lists = [records, records.slice(3, 4), records.slice(1)];
    const preEncoded = lists.map((list, partition) => encoded({ topic: 'tøpic', partition }, list));
    const [{ messages }] = asTopicMessages(preEncoded) as unknown as [{ messages: { reduce: () => Record<number, unknown> } }];
    const grouped = messages.reduce();
    for (const transactionalId of ['id', null]) {
      const call = (list: (partition: number) => unknown): ProduceCall => ({
        acks: -1,
        timeout: 30_000,
        transactionalId,
        producerId: '4294967299',
        producerEpoch: 3,
        topicData: [
          { topic: 'tøpic', partitions: [0, 1, 2].map((partition) => ({ partition, firstSequence: 5, messages: list(partition) })) },
          { topic: 'other', partitions: [{ partition: 9, firstSequence: 2 ** 31 - 1, messages: list(1) }] },
        ],
      });
      const ours = call((partition) => grouped[partition]);
      expect(isEncodable(ours)).toBe(true);
      const header = { apiKey: 0, apiVersion: 7, correlationId: 2 ** 31 - 2, clientId: 'clïent' };
      const request = produceRequestV7(ours);
      const byLibrary = await createRequest({ request, correlationId: header.correlationId, clientId: header.clientId });
      const buffer = Buffer.alloc(produceRequestBytes(header, ours), 0xff);
      writeProduceRequest(buffer, header, ours);
      expect(buffer).toEqual(Buffer.from(byLibrary.buffer));
    }
  });

  it('are encoded by the library when they are compressed or plain messages', () => {
    const [{ messages }] = asTopicMessages([encoded({ topic: 'a', partition: 0 }, ['x'])]) as unknown as [
      { messages: { reduce: () => unknown[] } },
    ];
    const call = {
      producerId: '1',
      topicData: [{ topic: 'a', partitions: [{ partition: 0, firstSequence: 0, messages: messages.reduce()[0] }] }],
    };
    expect(isEncodable(call)).toBe(true);
    expect(isEncodable({ ...call, compression: 1 })).toBe(false);
    expect(isEncodable({ ...call, topicData: [{ topic: 'a', partitions: [{ partition: 0, firstSequence: 0, messages: library }] }] })).toBe(
      false,
    );
  });

  it('have the members of an array that the producer uses', () => {
    const batches = [encoded({ topic: 'a', partition: 0 }, ['x']), encoded({ topic: 'a', partition: 4 }, ['y', 'z'])];
    const [{ topic, messages }] = asTopicMessages(batches) as unknown as [{ topic: string; messages: unknown }];
    const asArray = messages as { find: () => unknown; reduce: () => Record<number, { length: number }>; length: number };
    expect(topic).toBe('a');
    expect(asArray.find()).toBeUndefined();
    expect(Object.entries(asArray.reduce()).map(([partition, list]) => [partition, list.length])).toEqual([
      ['0', 1],
      ['4', 2],
    ]);
    expect(asArray.length).toBe(3);
  });

  it('are silently left out when the partition does not exist: hence requireAllAnswered', async () => {
    const topic = freshName('behaviour');
    const kafka = newKafka();
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
    await admin.disconnect();
    const handle = openCluster(
      { brokers: stack().kafkaBrokers, clientId: 'behaviour' },
      { initialRetryTime: 50, maxRetryTime: 500, retries: 2 },
    );
    const producer = createProducerOn(handle, { idempotent: true, retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 2 } });
    await producer.connect();
    const answered = await producer.sendBatch({ topicMessages: asTopicMessages([encoded({ topic, partition: 9 }, ['lost'])]) });
    expect(answered).toEqual([]);
    handle.destroy(new Error('the test is over'));
  });
});

describe('the partitioner', () => {
  it('is ours', () => {
    const partition = Partitioners.DefaultPartitioner();
    const partitionMetadata = Array.from({ length: 12 }, (_, partitionId) => ({ partitionId, leader: 0 }));
    for (let i = 0; i < 500; i++) {
      const key = Buffer.from(`device-${i * 7919}`);
      // biome-ignore lint/suspicious/noExplicitAny: the library's type wants fields that its partitioner does not read.
      expect(partition({ topic: 't', partitionMetadata, message: { key, value: null } } as any)).toBe(partitionForKey(key, 12));
    }
  });
});

describe('transactions', () => {
  it('begin with InitProducerId lazily: not at connect, but at the first transaction', async () => {
    const producer = newKafka().producer({ transactionalId: freshName('tx'), createPartitioner: Partitioners.DefaultPartitioner });
    const requests: string[] = [];
    producer.on(producer.events.REQUEST, ({ payload }) => requests.push(payload.apiName));
    await producer.connect();
    expect(requests).not.toContain('InitProducerId');
    const transaction = await producer.transaction();
    expect(requests).toContain('InitProducerId');
    await transaction.abort();
    expect(requests).not.toContain('EndTxn');
    await producer.disconnect();
  });

  it('ask for the coordinator before each call: hence rememberCoordinators', async () => {
    const topic = freshName('behaviour');
    const kafka = newKafka();
    const producer = kafka.producer({
      transactionalId: freshName('tx'),
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { initialRetryTime: 5, retries: 50 },
    });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }] });
    await admin.disconnect();
    const requests: string[] = [];
    producer.on(producer.events.REQUEST, ({ payload }) => requests.push(payload.apiName));
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: [{ value: 'a' }] });
    await transaction.commit();
    expect(requests.filter((name) => name === 'FindCoordinator' || name === 'GroupCoordinator').length).toBeGreaterThanOrEqual(3);
    await producer.disconnect();
  });

  it('take retry settings from a property that the cluster does not set: hence openCluster does', () => {
    const Cluster = require('kafkajs/src/cluster') as new (options: object) => { retry?: unknown };
    const logger = { namespace: () => logger, info() {}, error() {}, warn() {}, debug() {} };
    const retry = { retries: 7, initialRetryTime: 1, maxRetryTime: 5 };
    expect(new Cluster({ logger, brokers: ['x:1'], retry, connectionTimeout: 1, socketFactory() {} }).retry).toBeUndefined();
    expect((openCluster({ brokers: ['x:1'], clientId: 'x' }, retry).cluster as { retry?: unknown }).retry).toBe(retry);
  });
});

describe('what the library gets wrong, so that we do not use it', () => {
  const message = (offset: number, producerId: number, extra: object = {}) => ({
    offset: String(offset),
    key: null,
    batchContext: { producerId: String(producerId), inTransaction: true, isControlBatch: false },
    isControlRecord: false,
    ...extra,
  });

  it('lets an aborted record through when two aborted transactions overlap', () => {
    const aborted = [
      { producerId: '1', firstOffset: '10' },
      { producerId: '2', firstOffset: '11' },
    ];
    expect(filterAborted({ messages: [message(15, 2)], abortedTransactions: aborted }).map((one) => one.offset)).toEqual(['15']);
  });

  it('takes a key of four zero bytes for the end of an aborted transaction', () => {
    const messages = [message(10, 1, { key: Buffer.alloc(4) }), message(11, 1)];
    const abortedTransactions = [{ producerId: '1', firstOffset: '10' }];
    expect(filterAborted({ messages, abortedTransactions }).map((one) => one.offset)).toEqual(['10', '11']);
  });
});

describe('the timer of 1 ms', () => {
  it('is not armed any more when nothing is queued', () => {
    const queue = new RequestQueue({ isConnected: () => true, requestTimeout: 1000, logger: { debug() {} } });
    queue.checkPendingRequests();
    expect(queue.throttleCheckTimeoutId ?? null).toBeNull();
  });
});

function newKafka(): Kafka {
  return new Kafka({ brokers: [...stack().kafkaBrokers], clientId: 'behaviour', logLevel: logLevel.NOTHING, connectionTimeout: 10_000 });
}
