import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { expect, it } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { readTopic } from '../support/read-topic.ts';
import { type RoleMetrics, readMetrics } from '../support/role-metrics.ts';
import { startRole } from '../support/role-process.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// The limits of a bridge as an operator sets them: a process, real components, and what its ledger says.

const COUNT = 200;
const BURST = 20;

it('a bridge with limits: what is too fast is shed, one device too many is a dead letter, and the ledger knows', async () => {
  const { kafkaBrokers, registryUrl, mosquittoUrl } = stack();
  const prefix = `${freshName('limits')}.`;
  const topics = topicNames(prefix);
  const folder = mkdtempSync(join(tmpdir(), 'ingot-limits-'));
  const log = createKafkaLog({ brokers: kafkaBrokers, clientId: freshName('test') });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: 2, replication: 1 }));
  const [noisy, quiet, third] = [freshName('noisy'), freshName('quiet'), freshName('third')] as const;
  const bridge = startRole('bridge', {
    MQTT_URL: mosquittoUrl,
    MQTT_CLIENT_ID: freshName('bridge'),
    MQTT_TOPICS: [noisy, quiet, third].map((device) => `devices/${device}/telemetry`).join(','),
    KAFKA_BROKERS: kafkaBrokers.join(','),
    KAFKA_TOPIC_PREFIX: prefix,
    SCHEMA_REGISTRY_URL: registryUrl,
    SCHEMA_AUTO_REGISTER: 'true',
    DATA_FOLDER: folder,
    // So slow that the test cannot wait for a second token by being slow itself.
    DEVICE_RATE_LIMIT: '0.001',
    DEVICE_RATE_BURST: String(BURST),
    DEVICE_COUNT_MAX: '2',
  });
  try {
    await bridge.logged('taking messages');
    const publisher = await connectAsync(mosquittoUrl);
    const publish = (device: string, seq: number) =>
      publisher.publishAsync(`devices/${device}/telemetry`, JSON.stringify({ seq, temperature: 20 }), { qos: 1 });
    await publish(quiet, 1);
    for (let seq = 1; seq <= COUNT; seq++) await publish(noisy, seq);
    await publish(third, 1);
    await publish(quiet, 2);
    await publisher.endAsync();

    const received = COUNT + 3;
    const settled = (metrics: RoleMetrics) =>
      metrics.sum('bridge_messages_received_total') === received && metrics.sum('bridge_inflight_messages') === 0 ? metrics : null;
    const metrics = await waitUntil(async () => settled(await readMetrics(bridge)), 'all messages to be settled');
    expect(metrics.sum('bridge_messages_shed_total')).toBe(COUNT - BURST);
    expect(metrics.sum('readings_produced_total')).toBe(BURST + 2);
    expect(metrics.sum('dead_letters_total', { stage: 'bridge', reason: 'device_limit' })).toBe(1);
    expect(bridge.log()).toContain('its messages are shed');
    const keys = (await readTopic(log, topics.readings)).map(({ key }) => key);
    expect(keys.filter((key) => key === noisy)).toHaveLength(BURST);
    expect(keys.filter((key) => key === quiet)).toHaveLength(2);
    expect(await readTopic(log, topics.bridgeDeadLetters)).toMatchObject([{ key: third, headers: { 'failure-reason': 'device_limit' } }]);
    expect(await bridge.stop()).toBe(0);
  } finally {
    await bridge.kill();
    await log.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
