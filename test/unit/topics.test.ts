import { expect, test } from 'vitest';
import type { TopicDescription } from '../../src/kafka/log-port.ts';
import { compareTopics, topicNames, topicSpecs } from '../../src/kafka/topics.ts';

const specs = topicSpecs({ prefix: 'telemetry.', partitions: 4, replication: 1 });
const asDescribed = (): TopicDescription[] =>
  specs.map((spec) => ({ name: spec.name, partitions: 4, replicationFactor: 1, configs: new Map(Object.entries(spec.configs)) }));

test('names come from the prefix', () => {
  expect(topicNames('x.')).toMatchObject({
    readings: 'x.readings',
    bridgeDeadLetters: 'x.mqtt.dlq',
    aggregatorState: 'x.aggregator-state',
  });
  expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length);
});

test('what was created as the table says compares as equal', () => expect(compareTopics('telemetry.', asDescribed())).toEqual([]));

test('missing, wrong and different topics are told apart', () => {
  const described = asDescribed().filter(({ name }) => name !== 'telemetry.alerts');
  described[0] = { ...described[0]!, configs: new Map([['message.timestamp.type', 'CreateTime']]) };
  described[1] = { ...described[1]!, partitions: 3 };
  described[2] = { ...described[2]!, configs: new Map([['retention.ms', '1']]) };
  expect(compareTopics('telemetry.', described).map(({ topic, kind }) => `${topic} ${kind}`)).toEqual([
    'telemetry.readings wrong',
    'telemetry.mqtt.dlq wrong',
    'telemetry.readings.dlq different',
    'telemetry.alerts missing',
  ]);
});

test('compressed lanes get topics that store what they send, and any compression is as wanted', () => {
  const compressed = topicSpecs({ prefix: 'telemetry.', partitions: 4, replication: 1, isCompressed: true });
  expect(new Set(compressed.map(({ configs }) => configs['compression.type']))).toEqual(new Set(['producer']));
  expect(new Set(specs.map(({ configs }) => configs['compression.type']))).toEqual(new Set(['uncompressed']));
  const described = compressed.map((spec) => ({ ...spec, configs: new Map(Object.entries(spec.configs)) }));
  expect(compareTopics('telemetry.', described)).toEqual([]);
});

test('three copies need two of them', () => {
  expect(topicSpecs({ prefix: '', partitions: 1, replication: 3 })[0]!.configs['min.insync.replicas']).toBe('2');
  expect(specs[0]!.configs['min.insync.replicas']).toBeUndefined();
});
