import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bridge } from '../../src/bridge/bridge.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { MqttSource } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { readTopic } from '../support/read-topic.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// A trace goes through the bridge: from the user properties of an MQTT 5 message, by mosquitto, to the headers of its Kafka record.

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const PARTITIONS = 2;

let log: LogClient;
let bridge: Bridge;
let publisher: MqttClient;
let topics: ReturnType<typeof topicNames>;
let events: BridgeEvents;
const device = freshName('traced');

beforeEach(async () => {
  const prefix = `${freshName('trace')}.`;
  topics = topicNames(prefix);
  log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: freshName('test') });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  events = new BridgeEvents();
  bridge = new Bridge({
    source: new MqttSource({
      url: stack().mosquittoUrl,
      clientId: freshName('bridge'),
      topics: [`devices/${device}/telemetry`],
      qos: 1,
      receiveMaximum: 1000,
      maxInFlightMessages: 2000,
      maxInFlightBytes: 32 * 1024 ** 2,
      connectDeadlineMs: 10_000,
      subscriptions: noSubscriptionMemory,
      events,
    }),
    lane: log.produceLane({ name: 'readings', acks: 'all' }),
    encoder: { encode: (reading) => Buffer.from(String(reading.sequence)) },
    readingsTopic: topics.readings,
    deadLettersTopic: topics.bridgeDeadLetters,
    partitions: PARTITIONS,
    batch: { records: 1000, bytes: 524_288, lingerMs: 5 },
    maxPayloadBytes: 65_536,
    events,
  });
  await bridge.start((error) => {
    throw error;
  });
  publisher = await connectAsync(stack().mosquittoUrl, { protocolVersion: 5 });
});
afterEach(async () => {
  await publisher.endAsync();
  await bridge.stop(5_000);
  await log.close();
});

const publish = (payload: string, userProperties?: Record<string, string | string[]>) =>
  publisher.publishAsync(`devices/${device}/telemetry`, payload, { qos: 1, ...(userProperties && { properties: { userProperties } }) });

describe('trace context', () => {
  it('of an MQTT 5 message is in the headers of its reading and of its dead letter; what is malformed is in neither', async () => {
    await publish('{"seq": 1, "temperature": 20}', { traceparent: PARENT, tracestate: 'vendor=1', other: 'x' });
    await publish('{"seq": 2, "temperature": 20}');
    await publish('{"seq": 3, "temperature": 20}', { traceparent: 'nonsense', tracestate: 'vendor=1' });
    await publish('{"seq": 4, "temperature": 20}', { traceparent: [PARENT, PARENT] });
    await publish('{"seq": 5, "temperature": 20}', { traceparent: PARENT, tracestate: ['a=1', 'b=2'] });
    await publish('no JSON', { traceparent: PARENT, tracestate: 'vendor=1' });
    await waitUntil(() => events.ledger().received === 6 && events.ledger().inFlight === 0, 'six messages in Kafka');

    const readings = await readTopic(log, topics.readings);
    expect(Object.fromEntries(readings.map(({ value, headers }) => [String(value), headers]))).toEqual({
      1: { traceparent: PARENT, tracestate: 'vendor=1' },
      2: {},
      3: {},
      4: {},
      5: { traceparent: PARENT, tracestate: 'a=1,b=2' },
    });
    const [letter] = await readTopic(log, topics.bridgeDeadLetters);
    expect(letter!.headers).toMatchObject({ 'failure-reason': 'invalid_json', traceparent: PARENT, tracestate: 'vendor=1' });
  });
});
