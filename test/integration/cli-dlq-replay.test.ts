import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { topicNames } from '../../src/kafka/topics.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { readTopic } from '../support/read-topic.ts';
import { freshName, stack } from '../support/stack.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { waitUntil } from '../support/wait-until.ts';

// A bad message from the device to the window that it belongs to: refused, found, replayed after its cause is mended, and folded.

const RULES = 'rules: [{ id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }]\n';
const WINDOW_MS = 5_000;
const device = freshName('boiler');
let pipeline: TestPipeline;

const dlq = async (...words: string[]) => {
  const { code, out, err } = await runIngot(['dlq', ...words], pipeline.environment);
  return { code, err, rows: jsonLines(out) };
};
const windows = async () => (await pipeline.dump()).partitions.flatMap(({ aggregates }) => aggregates);

beforeAll(async () => {
  // A limit that is too low for a message with a long status.
  const settings = { MAX_PAYLOAD_BYTES: '100' };
  pipeline = await TestPipeline.create({ partitions: 2, rules: RULES, devices: [device], settings });
  const [bridge, aggregator] = [pipeline.start('bridge'), pipeline.start('aggregate')];
  await Promise.all([bridge.logged('taking messages'), aggregator.logged('partition restored')]);
  const client = await connectAsync(stack().mosquittoUrl, { protocolVersion: 5 });
  const start = Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS - 4 * WINDOW_MS;
  const say = async (ts: number, temperature: number, status = 'ok') => {
    await client.publishAsync(`devices/${device}/telemetry`, JSON.stringify({ ts, temperature, status }), { qos: 1 });
  };
  await say(start + 1, 20);
  for (let time = 0; time < 2; time++) await say(start + 2, 30, 'a status that is rather long, because the device has something to say');
  await client.publishAsync(`devices/${device}/telemetry`, '{"ts":1}', { qos: 1 });
  await say(start + 3 * WINDOW_MS, 21);
  await client.endAsync();
  await waitUntil(async () => (await windows()).length >= 1, 'the first window');
  await waitUntil(async () => (await dlq('list')).rows.length === 3, 'three dead letters');
}, 120_000);
afterAll(() => pipeline?.close());

describe('ingot dlq replay, on real Kafka', () => {
  test('says in a dry run what would become of each letter', async () => {
    const { code, rows, err } = await dlq('replay', '--dry-run', '--max-payload-bytes', '64KiB');
    expect(code).toBe(4);
    expect(rows.map(({ outcome, reason, now }) => [outcome, reason, now])).toEqual([
      ['would_replay', 'payload_too_large', null],
      ['duplicate', 'payload_too_large', null],
      ['refused', 'invalid_timestamp', 'invalid_timestamp'],
    ]);
    expect(err).toContain('Nothing was written');
    expect((await dlq('list', '--pending')).rows).toHaveLength(3);
  });

  test('refuses what the settings of now refuse, and takes a reason, a device or an id', async () => {
    expect((await dlq('replay', '--reason', 'payload_too_large')).rows.map(({ now }) => now)).toEqual([
      'payload_too_large',
      'payload_too_large',
    ]);
    expect((await dlq('replay', '--device', 'somebody-else')).rows).toEqual([]);
    const [last] = (await dlq('list', '--reason', 'invalid_timestamp')).rows;
    expect(await dlq('replay', String(last?.['id']))).toMatchObject({ code: 4, rows: [{ id: last?.['id'], outcome: 'refused' }] });
    expect(await dlq('replay', 'readings/0/1')).toMatchObject({ code: 2, err: expect.stringContaining('is not a dead letter') });
    expect(await dlq('replay', '--until', 'yesterday')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--until: given "yesterday"'),
    });
  });

  test('brings a mended message into its window as a late part, once', async () => {
    const letters = await readTopic(pipeline.log, topicNames(pipeline.prefix).bridgeDeadLetters);
    const replay = () => dlq('replay', '--reason', 'payload_too_large', '--max-payload-bytes', '64KiB');
    const first = await replay();
    expect(first).toMatchObject({ code: 0, rows: [{ outcome: 'replayed' }, { outcome: 'duplicate' }] });
    expect(first.err).toContain('1 replayed');
    const late = await waitUntil(async () => (await windows()).find(({ closedBy }) => closedBy === 'LATE'), 'the late part');
    expect(late).toMatchObject({ deviceId: device, metric: 'temperature', count: 1, max: 30 });
    expect((await replay()).rows.map(({ outcome }) => outcome)).toEqual(['already_replayed', 'already_replayed']);
    expect(await readTopic(pipeline.log, topicNames(pipeline.prefix).bridgeDeadLetters)).toEqual(letters);
    const shown = (await dlq('list', '--reason', 'payload_too_large')).rows.map(({ replayed }) => replayed);
    expect(shown).toEqual([expect.stringMatching(/^20\d\d-/), 'as another letter']);
    expect((await dlq('list', '--pending')).rows).toHaveLength(1);
    await pipeline.settle();
    expect(pipeline.verdict(await pipeline.dump()).violations).toEqual([]);
  });
});
