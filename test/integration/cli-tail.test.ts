import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Alert } from '../../src/core/alert-record.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import type { AvroEncoder } from '../../src/registry/avro-codec.ts';
import { ALERT_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { jsonLines, runIngot, startIngot } from '../support/ingot-process.ts';
import { freshName, stack } from '../support/stack.ts';
import { encodedRecords } from '../support/written-records.ts';

const PARTITIONS = 3;
const prefix = `${freshName('tail')}.`;
const topics = topicNames(prefix);
const environment = { KAFKA_TOPIC_PREFIX: prefix };

let log: LogClient;
let encoder: AvroEncoder<Alert>;
beforeAll(async () => {
  const { kafkaBrokers, registryUrl } = stack();
  log = createKafkaLog({ brokers: kafkaBrokers, clientId: freshName('test'), ssl: false });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  const codecs = await openSchemaCodecs({ registry: { url: registryUrl, autoRegister: true }, topicPrefix: prefix });
  encoder = await codecs.openEncoder(ALERT_SCHEMA);
});
afterAll(() => log.close());

const alertOf = (deviceId: string, more: Partial<Alert> = {}): Alert => ({
  alertId: '00000000-0000-5000-8000-000000000000',
  fingerprint: 'f',
  ruleId: 'high-temperature',
  ruleVersion: 1,
  deviceId,
  metric: 'temperature',
  severity: 'CRITICAL',
  state: 'FIRING',
  transition: 'RAISED',
  value: 101.5,
  peakValue: 101.5,
  threshold: 100,
  clearThreshold: 95,
  unit: 'Cel',
  raisedAt: Date.parse('2026-08-01T10:00:00Z'),
  transitionAt: Date.parse('2026-08-01T10:00:00Z'),
  resolvedAt: null,
  transitionNumber: 1,
  sampleCount: 1,
  suppressed: false,
  acknowledgedBy: null,
  summary: '',
  labels: {},
  evidence: [],
  ...more,
});

async function write(alerts: readonly Alert[]): Promise<void> {
  const lane = log.produceLane({ name: 'test', acks: 'all' });
  const records = alerts.map((alert) => ({ key: alert.deviceId, value: Buffer.from(encoder.encode(alert)) }));
  for (const record of encodedRecords(topics.alerts, PARTITIONS, records)) await lane.send([record]);
  await lane.close(1_000);
}

const tail = (...words: string[]) => runIngot(['alerts', 'tail', '--since', 'beginning', '--no-follow', ...words], environment);
const devicesOf = (out: string) => jsonLines(out).map((row) => row['deviceId']);

describe('ingot alerts tail, on real Kafka', () => {
  test('prints what is there in the order of writing, filters, limits, and ends', async () => {
    await write([
      alertOf('d1'),
      alertOf('d2', { severity: 'WARNING' }),
      alertOf('d1', { state: 'RESOLVED', transition: 'RESOLVED', transitionNumber: 2 }),
      alertOf('d3', { ruleId: 'other' }),
    ]);
    const all = await tail();
    expect(all).toMatchObject({ code: 0, err: '' });
    expect(devicesOf(all.out)).toEqual(['d1', 'd2', 'd1', 'd3']);
    expect(jsonLines(all.out)[0]).toMatchObject({ ...alertOf('d1'), record: { topic: topics.alerts, offset: expect.any(Number) } });
    expect(devicesOf((await tail('--device', 'd2', '--device', 'd3')).out)).toEqual(['d2', 'd3']);
    expect(devicesOf((await tail('--severity', 'WARNING')).out)).toEqual(['d2']);
    expect(devicesOf((await tail('--state', 'RESOLVED')).out)).toEqual(['d1']);
    expect(devicesOf((await tail('--rule', 'other')).out)).toEqual(['d3']);
    expect(devicesOf((await tail('--limit', '2')).out)).toEqual(['d1', 'd2']);
    const table = await tail('-o', 'table', '--limit', '1');
    expect(table.out).toMatch(/^time +transition .*\n2026-08-01 10:00:00Z +RAISED +CRITICAL +d1 +high-temperature +101.5 Cel/);
    expect((await tail('--since', '2020-01-01', '-o', 'csv')).out.split('\r\n')).toHaveLength(6);
    expect((await tail('--since', 'now')).out).toBe('');
  });

  test('sees nothing of an aborted transaction', async () => {
    const lane = log.transactionLane({ transactionalId: `${prefix}test`, transactionTimeoutMs: 10_000 });
    await lane.fence({ topic: topics.alerts, partition: 0 });
    await lane.close();
    expect(devicesOf((await tail()).out)).not.toContain(undefined);
    expect((await tail()).err).toBe('');
  });

  test('what cannot be decoded is named on stderr and skipped', async () => {
    const lane = log.produceLane({ name: 'test', acks: 'all' });
    await lane.send(encodedRecords(topics.alerts, PARTITIONS, [{ key: 'bad', value: 'not avro' }]));
    await lane.close(1_000);
    const { code, out, err } = await tail('--device', 'bad');
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toMatch(new RegExp(`^${topics.alerts}/\\d/\\d+ cannot be decoded: `));
  });

  test('follows until Ctrl-C, which is no failure', async () => {
    const following = startIngot(['alerts', 'tail', '--since', 'beginning', '--device', 'live', '--device', 'd3'], environment);
    await following.waitForOutput(/"d3"/);
    await write([alertOf('live')]);
    await following.waitForOutput(/"live"/);
    following.child.kill('SIGINT');
    expect(await following.ended).toMatchObject({ code: 0, err: '' });
  });

  test('a reader that goes away ends it quietly', async () => {
    const following = startIngot(['alerts', 'tail', '--since', 'beginning', '--device', 'd1'], environment);
    await following.waitForOutput(/"d1"/);
    following.child.stdout?.destroy();
    await write([alertOf('d1')]);
    expect(await following.ended).toMatchObject({ code: 0, err: '' });
  });

  test('without the registry the failure says so', async () => {
    const { code, err } = await runIngot(['alerts', 'tail', '--since', 'beginning', '--no-follow'], {
      ...environment,
      SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1',
    });
    expect(code).toBe(3);
    expect(err).toContain('[REGISTRY_UNREACHABLE]');
  });
});
