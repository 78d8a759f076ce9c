import { createRequire } from 'node:module';
import { Partitioners } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { partitionForKey } from '../../src/core/murmur2.ts';
import { CLASSIC } from '../../src/kafka/field-notation.ts';
import { openCluster } from '../../src/kafka/kafkajs-internals.ts';
import { OutgoingBatch } from '../../src/kafka/outgoing-batch.ts';
import { readProduceAnswer } from '../../src/kafka/produce-answer.ts';
import { type ProduceCall, produceBodyBytes, writeProduceBody } from '../../src/kafka/produce-request.ts';
import { RequestChannel, readyConnection, sharedVersion } from '../../src/kafka/request-channel.ts';
import { headerBytes, writeHeader } from '../../src/kafka/request-writer.ts';
import { DEFAULT_TIMESTAMP_MS, encoded, type TextRecord } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// What src/kafka relies on inside kafkajs 2.2.4, good and bad. A failure here after an upgrade says what to look at again.

const require = createRequire(import.meta.url);
const produceRequestV7 = require('kafkajs/src/protocol/requests/produce/v7/request') as (request: object) => object;
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

describe('the version', () => {
  it('is the one that was read', () => {
    expect(version).toBe('2.2.4');
  });
});

describe('the request of encoded records', () => {
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

  const lists = [records, records.slice(3, 4), records.slice(1)];
  const batchOf = (topic: string, partition: number, firstSequence: number) => {
    const batch = new OutgoingBatch(encoded({ topic, partition }, lists[partition % 3]!), 0);
    return Object.assign(batch, { firstSequence });
  };

  it.each(['id', null])(
    'make the same request as the library makes of messages, transactional id %s, and again when repeated',
    async (id) => {
      const call: ProduceCall = {
        notation: CLASSIC,
        batches: [batchOf('tøpic', 0, 5), batchOf('tøpic', 1, 5), batchOf('tøpic', 2, 5), batchOf('other', 9, 2 ** 31 - 1)],
        acks: -1,
        timeoutMs: 30_000,
        transactionalId: id,
        producerId: 4_294_967_299,
        producerEpoch: 3,
      };
      const ofLibrary = (partition: number, firstSequence: number) => ({
        partition,
        firstSequence,
        messages: lists[partition % 3]!.map((record) => library[records.indexOf(record)]),
      });
      const request = produceRequestV7({
        acks: -1,
        timeout: 30_000,
        transactionalId: id,
        producerId: '4294967299',
        producerEpoch: 3,
        topicData: [
          { topic: 'tøpic', partitions: [ofLibrary(0, 5), ofLibrary(1, 5), ofLibrary(2, 5)] },
          { topic: 'other', partitions: [ofLibrary(9, 2 ** 31 - 1)] },
        ],
      });
      const header = { apiKey: 0, apiVersion: 7, correlationId: 2 ** 31 - 2, clientId: 'clïent' };
      const byLibrary = await createRequest({ request, correlationId: header.correlationId, clientId: header.clientId });
      const bytes = headerBytes(header.clientId) + produceBodyBytes(call);
      for (const fill of [0xff, 0]) {
        const buffer = Buffer.alloc(bytes, fill);
        expect(writeProduceBody(buffer, writeHeader(buffer, header, bytes), call)).toBe(bytes);
        expect(buffer).toEqual(Buffer.from(byLibrary.buffer));
      }
    },
  );
});

describe('the answer to a Produce request', () => {
  const answers = {
    3: require('kafkajs/src/protocol/requests/produce/v3/response'),
    5: require('kafkajs/src/protocol/requests/produce/v5/response'),
    7: require('kafkajs/src/protocol/requests/produce/v7/response'),
  } as Record<
    number,
    { decode: (answer: Buffer) => Promise<{ topics: LibraryTopic[]; throttleTime: number; clientSideThrottleTime?: number }> }
  >;
  interface LibraryTopic {
    readonly topicName: string;
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly baseOffset: string }[];
  }

  function answerOf(
    version: number,
    topics: readonly { topic: string; partitions: readonly (readonly [number, number, bigint])[] }[],
  ): Buffer {
    const int16 = (value: number) => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
    const int32 = (value: number) => Buffer.from([value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]);
    const int64 = (value: bigint) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(value);
      return bytes;
    };
    const parts = topics.map(({ topic, partitions }) => {
      const rows = partitions.map(([partition, code, offset]) =>
        Buffer.concat([int32(partition), int16(code), int64(offset), int64(-1n), ...(version >= 5 ? [int64(0n)] : [])]),
      );
      return Buffer.concat([int16(Buffer.byteLength(topic)), Buffer.from(topic), int32(rows.length), ...rows]);
    });
    return Buffer.concat([int32(parts.length), ...parts, int32(70)]);
  }

  it.each([3, 5, 7])('of version %i says to us what it says to the library, in any order', async (version) => {
    const topics = [
      {
        topic: 'b',
        partitions: [
          [1, 0, 4_294_967_296n],
          [0, 6, -1n],
        ] as const,
      },
      { topic: 'tøpic', partitions: [[7, 45, -1n]] as const },
      { topic: 'not asked for', partitions: [[1, 0, 9n]] as const },
    ];
    const answer = answerOf(version, topics);
    const decoded = await answers[version]!.decode(answer);
    const asked = [
      { topic: 'tøpic', partition: 7 },
      { topic: 'tøpic', partition: 8 },
      { topic: 'b', partition: 0 },
      { topic: 'b', partition: 1 },
    ].map((at) => new OutgoingBatch(encoded(at, ['a']), 0));
    const throttleMs = readProduceAnswer(answer, version, asked);
    expect(throttleMs).toBe(decoded.clientSideThrottleTime ?? 0);
    const heard = asked.filter(({ answeredCode }) => answeredCode !== null);
    expect(heard).toHaveLength(3);
    for (const { topic, partition, answeredCode, baseOffset } of heard) {
      const row = decoded.topics.find(({ topicName }) => topicName === topic)!.partitions.find((one) => one.partition === partition)!;
      expect([answeredCode, String(baseOffset)]).toEqual([row.errorCode, row.baseOffset]);
    }
  });

  it('that is cut off is refused', () => {
    const answer = answerOf(7, [{ topic: 't', partitions: [[0, 0, 5n]] }]);
    const batches = [new OutgoingBatch(encoded({ topic: 't', partition: 0 }, ['a']), 0)];
    for (let bytes = 0; bytes < answer.length; bytes++) {
      expect(() => readProduceAnswer(answer.subarray(0, bytes), 7, batches)).toThrow(RangeError);
    }
  });
});

describe('a connection of the library', () => {
  const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 2 };

  it('takes requests of ours, beside its own', async () => {
    const handle = openCluster({ brokers: stack().kafkaBrokers, clientId: 'behaviour' }, retry);
    await handle.cluster.connect();
    await handle.cluster.addMultipleTargetTopics([]);
    const coordinator = await handle.cluster.findGroupCoordinator({ groupId: freshName('tx'), coordinatorType: 1 });
    const connection = readyConnection(coordinator)!;
    expect(sharedVersion(coordinator, { apiKey: 0, apiName: 'Produce', oldest: 3, newest: 7 })).toBe(7);
    expect(() => sharedVersion(coordinator, { apiKey: 0, apiName: 'Produce', oldest: 999, newest: 1_000 })).toThrow(
      'does not speak Produce',
    );
    // Heartbeat of a group that is not there: throttle_time error_code.
    const body = Buffer.from([0, 1, 103, 0, 0, 0, 1, 0, 1, 109]);
    const channel = new RequestChannel();
    const heartbeat = { apiKey: 12, apiName: 'Heartbeat', apiVersion: 1, isAnswered: true, bodyBytes: body.length };
    const request = { ...heartbeat, writeBody: (into: Buffer, at: number) => void body.copy(into, at) };
    for (let i = 0; i < 3; i++) {
      const [answer] = await Promise.all([channel.send(connection, request), handle.cluster.refreshMetadata()]);
      expect(answer).toHaveLength(6);
      expect(answer.readInt16BE(4)).not.toBe(0);
    }
    const lost = channel.send(connection, request);
    handle.destroy(new Error('the test is over'));
    await expect(lost).rejects.toMatchObject({ name: 'KafkaJSConnectionError' });
    await expect.poll(() => readyConnection(coordinator)).toBeNull();
  });
});

describe('the partitioner', () => {
  it('is ours', () => {
    const partition = Partitioners.DefaultPartitioner();
    const partitionMetadata = Array.from({ length: 12 }, (_, partitionId) => ({
      partitionId,
      leader: 0,
      partitionErrorCode: 0,
      replicas: [0],
      isr: [0],
    }));
    for (let i = 0; i < 500; i++) {
      const key = Buffer.from(`device-${i * 7919}`);
      expect(partition({ topic: 't', partitionMetadata, message: { key, value: null } })).toBe(partitionForKey(key, 12));
    }
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
