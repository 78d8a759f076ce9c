import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { isCommit, transactionalIdOf } from '../support/kafka-answers.ts';
import { KAFKA_API, KafkaProxy } from '../support/kafka-proxy.ts';
import { partitionOfKey } from '../support/oracle/murmur2.ts';
import { readTopic } from '../support/read-topic.ts';
import { freshName, stack } from '../support/stack.ts';
import { encodedRecords } from '../support/written-records.ts';

// What a replay asks of Kafka, as a proxy sees it on the wire: how many transactions, under which ids, and how long a dead one may stay open.

const PARTITIONS = 3;
const LETTERS = 570;
const prefix = `${freshName('bounds')}.`;
const topics = topicNames(prefix);
const deviceOf = (letter: number) => `d${letter % 20}`;
let log: LogClient;

beforeAll(async () => {
  log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('test') });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  const now = Date.now();
  const letters = Array.from({ length: LETTERS }, (_, n) => ({
    key: deviceOf(n),
    value: JSON.stringify({ ts: now - n, seq: n, temperature: 20 }),
    headers: Object.entries({
      'original-topic': `devices/${deviceOf(n)}/telemetry`,
      'failure-reason': 'metric_out_of_range',
      'failure-stage': 'bridge',
      timestamp: String(now),
      attempt: '1',
    }),
  }));
  const lane = log.produceLane({ name: 'letters', acks: 'all' });
  for (const batch of encodedRecords(topics.bridgeDeadLetters, PARTITIONS, letters)) await lane.send([batch]);
  await lane.close(1_000);
}, 60_000);
afterAll(() => log.close());

test('one transactional id per partition, 10 s before an open transaction is ended, at most 100 letters in each', async () => {
  const timeouts = new Map<string, number>();
  const commits = new Map<string, number>();
  const proxy = await KafkaProxy.start({
    broker: stack().kafkaBrokers[0]!,
    onRequest: (exchange) => {
      const { apiKey, frame } = exchange;
      if (apiKey === KAFKA_API.initProducerId) {
        const { id, behind } = transactionalIdOf(exchange);
        timeouts.set(id, frame.readInt32BE(behind));
      } else if (apiKey === KAFKA_API.endTxn) {
        const { id } = transactionalIdOf(exchange);
        if (isCommit(exchange)) commits.set(id, (commits.get(id) ?? 0) + 1);
      }
      return 'pass';
    },
  });
  try {
    const environment = { KAFKA_BROKERS: proxy.address, KAFKA_TOPIC_PREFIX: prefix, SCHEMA_AUTO_REGISTER: 'true' };
    const { code, out } = await runIngot(['dlq', 'replay'], environment);
    expect(code).toBe(0);
    expect(jsonLines(out).filter(({ outcome }) => outcome === 'replayed')).toHaveLength(LETTERS);
  } finally {
    await proxy.close();
  }
  const lettersOf = Map.groupBy(
    Array.from({ length: LETTERS }, (_, n) => deviceOf(n)),
    (device) => partitionOfKey(device, PARTITIONS),
  );
  expect(lettersOf.size).toBe(PARTITIONS);
  const ids = [...lettersOf.keys()].map((partition) => `${prefix}replay-${partition}`);
  expect(Object.fromEntries(timeouts)).toEqual(Object.fromEntries(ids.map((id) => [id, 10_000])));
  const wanted = [...lettersOf].map(([partition, letters]) => [`${prefix}replay-${partition}`, Math.ceil(letters.length / 100)] as const);
  expect(Object.fromEntries(commits)).toEqual(Object.fromEntries(wanted));
  expect(await readTopic(log, topics.readings)).toHaveLength(LETTERS);
});
