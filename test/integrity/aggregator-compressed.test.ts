import { afterEach, describe, expect, test } from 'vitest';
import { RecordsEncoder } from '../../src/core/record-batch.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { ForeignProducer } from '../support/foreign-producer.ts';
import { partitionOfKey } from '../support/oracle/murmur2.ts';
import { readMetrics } from '../support/role-metrics.ts';
import { freshName, stack } from '../support/stack.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { alterTopic } from '../support/topic-vandal.ts';
import { waitUntil } from '../support/wait-until.ts';

// Readings in batches of every codec, as Kafka's own code packs them, and one batch that holds more records than any client library of this
// language survives: each reading is counted once.

const PARTITIONS = 2;
const RULES = 'rules: [{ id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }]\n';
const CODECS = ['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed'];
const DEVICES = 40;
const TINY_RECORDS = 200_000;

let pipeline: TestPipeline | undefined;
let producer: ForeignProducer | undefined;
afterEach(async () => {
  await producer?.close();
  await pipeline?.close();
});

async function started(): Promise<{ running: TestPipeline; by: ForeignProducer }> {
  const settings = { WINDOW_SIZE: '1s', WINDOW_GRACE: '200ms', WINDOW_IDLE: '1s' };
  const running = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES, settings });
  pipeline = running;
  const by = await ForeignProducer.open({ prefix: running.prefix, partitions: PARTITIONS });
  producer = by;
  return { running, by };
}

const asCompressed = (type: string) => ({ 'compression.type': type, 'message.timestamp.type': 'LogAppendTime' });

async function expectCounted(running: TestPipeline, readings: number): Promise<void> {
  await running.settle();
  const { violations, outcomes } = running.verdict(await running.dump());
  expect(violations).toEqual([]);
  expect(Object.fromEntries(outcomes)).toEqual({ counted: readings });
}

describe('compressed readings', () => {
  test('of every codec are counted', { timeout: 180_000 }, async () => {
    const { running, by } = await started();
    const aggregator = running.start('aggregate');
    let sent = 0;
    for (const [time, codec] of CODECS.entries()) {
      await alterTopic(stack().kafkaBrokers, `${running.prefix}readings`, asCompressed(codec));
      const records = Array.from({ length: DEVICES }, (_, index) =>
        by.record({ deviceId: `c${index}`, eventTime: Date.now(), identity: 1 + time * DEVICES + index, temperature: 20 + time }),
      );
      await by.send(records);
      sent += records.length;
    }
    await expectCounted(running, sent);
    expect(await aggregator.stop()).toBe(0);
  });

  test('200 000 in one batch are counted', { timeout: 180_000 }, async () => {
    const { running, by } = await started();
    const topic = `${running.prefix}readings`;
    await alterTopic(stack().kafkaBrokers, topic, asCompressed('producer'));
    const value = by.encode({ deviceId: 'd', eventTime: Date.now(), temperature: 21 });
    const encoder = new RecordsEncoder(1024 * 1024);
    const baseTimestampMs = Date.now();
    encoder.reset(baseTimestampMs);
    for (let i = 0; i < TINY_RECORDS; i++) encoder.add(Buffer.from('d'), value, baseTimestampMs);
    const sender = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('tiny') }, 'gzip');
    const batch = { topic, partition: partitionOfKey('d', PARTITIONS), records: encoder.take(), count: encoder.count, baseTimestampMs };
    await sender.produceLane({ name: 'tiny', acks: 'all' }).send([batch]);
    await sender.close();
    const aggregator = running.start('aggregate');
    await aggregator.logged('"listening"');
    const isClosed = async () => (await readMetrics(aggregator)).sum('windows_emitted_total') > 0;
    await waitUntil(isClosed, 'the window of all of them', 120_000);
    expect(await aggregator.stop()).toBe(0);
    // The oracle would take longer for so many than the aggregator by far, and there is only one row.
    const { partitions } = await running.dump();
    const rows = partitions.flatMap(({ aggregates }) => aggregates.map(({ deviceId, count, sum }) => ({ deviceId, count, sum })));
    expect(rows).toEqual([{ deviceId: 'd', count: TINY_RECORDS, sum: TINY_RECORDS * 21 }]);
    expect(partitions.flatMap(({ deadLetters }) => deadLetters)).toEqual([]);
  });
});
