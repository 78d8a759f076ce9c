import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { freshName, stack } from '../support/stack.ts';
import { encodedRecords } from '../support/written-records.ts';

const PARTITIONS = 2;
const prefix = `${freshName('dlq')}.`;
const topics = topicNames(prefix);
const environment = { KAFKA_TOPIC_PREFIX: prefix };

const causes = (stage: string, reason: string, more: Record<string, string> = {}) =>
  Object.entries({ 'original-topic': 'devices/d1/telemetry', 'failure-reason': reason, 'failure-stage': stage, attempt: '1', ...more });

let log: LogClient;
beforeAll(async () => {
  log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('test'), ssl: false });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  const lane = log.produceLane({ name: 'test', acks: 'all' });
  const refused = encodedRecords(topics.bridgeDeadLetters, PARTITIONS, [
    {
      key: 'd1',
      value: '{"ts":1}',
      headers: causes('bridge', 'invalid_timestamp', { 'failure-detail': 'looks like seconds', timestamp: '1795295607123' }),
    },
    { key: null, value: Buffer.from([0xff, 0x00, 0x1b]), headers: causes('bridge', 'invalid_utf8', { 'original-topic': 'a\u001b[2Jb' }) },
  ]);
  const ancient = encodedRecords(topics.readingDeadLetters, PARTITIONS, [
    { key: 'd2', value: 'x', headers: causes('aggregator', 'ancient') },
  ]);
  for (const batch of [...refused, ...ancient]) await lane.send([batch]);
  await lane.close(1_000);
});
afterAll(() => log.close());

const list = async (...words: string[]) => jsonLines((await runIngot(['dlq', 'list', ...words], environment)).out);

describe('ingot dlq, on real Kafka', () => {
  test('lists both topics in the order of writing, with filters', async () => {
    const all = await list();
    expect(all.map((row) => row['reason'])).toEqual(['invalid_timestamp', 'invalid_utf8', 'ancient']);
    expect(all[0]).toMatchObject({ stage: 'bridge', device: 'd1', from: 'devices/d1/telemetry', bytes: 8, detail: 'looks like seconds' });
    expect(await list('--stage', 'aggregator')).toHaveLength(1);
    expect(await list('--reason', 'ancient', '--reason', 'invalid_utf8')).toHaveLength(2);
    expect(await list('--device', 'd1')).toHaveLength(1);
    expect(await list('--since', '1h', '--limit', '2')).toHaveLength(2);
    expect(await list('--since', 'now')).toEqual([]);
    expect(await runIngot(['dlq', 'list', '--reason', 'frob'], environment)).toMatchObject({
      code: 2,
      err: expect.stringContaining('There are: empty_payload'),
    });
  });

  test('shows one: headers and payload as text', async () => {
    const [first] = await list('--reason', 'invalid_timestamp');
    const { code, out } = await runIngot(['dlq', 'show', String(first?.['id'])], environment);
    expect(code).toBe(0);
    expect(out).toContain('  failure-detail: looks like seconds\n');
    // Milliseconds since 1970 stay as they are, and a person can read them.
    expect(out).toContain('  timestamp: 1795295607123  (2026-11-21 21:13:27.123Z)\n');
    expect(out).toContain('payload (8 bytes)\n{"ts":1}\n');
  });

  test('shows what is not text as hex, with or without the prefix in the id, or raw', async () => {
    const [row] = await list('--reason', 'invalid_utf8');
    const id = String(row?.['id']);
    const shown = await runIngot(['dlq', 'show', id.slice(prefix.length)], environment);
    expect(shown.out).toContain('00000000  ff 00 1b');
    expect(shown.out).not.toContain('\u001b');
    expect((await runIngot(['dlq', 'show', id, '--json'], environment)).out).toContain('"payloadBase64":"/wAb"');
    expect((await runIngot(['dlq', 'show', id, '--raw'], environment)).out).toHaveLength(3);
  });

  test('what is not there is said', async () => {
    expect(await runIngot(['dlq', 'show', `${topics.bridgeDeadLetters}/0/999`], environment)).toMatchObject({
      code: 1,
      err: expect.stringContaining('RECORD_GONE'),
    });
    expect(await runIngot(['dlq', 'show', `${topics.bridgeDeadLetters}/77/0`], environment)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/has no partition 77, only 0 to \d+\./),
    });
    expect(await runIngot(['dlq', 'show', 'readings/0/1'], environment)).toMatchObject({
      code: 2,
      err: expect.stringContaining('TOPIC/PARTITION/OFFSET'),
    });
  });
});
