import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { Kafka, logLevel } from 'kafkajs';
import { connect } from 'mqtt';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { TOPIC_FILTER } from '../support/mqtt-session.ts';

// What one writes from the READMEs of the three libraries: one produce per message. It acknowledges to the MQTT broker before Kafka
// has anything, and checks nothing. Kept as the yardstick.

const clientId = process.env['MQTT_CLIENT_ID']!;
const topic = `${process.env['KAFKA_TOPIC_PREFIX']}readings`;
const registry = new SchemaRegistry({ host: process.env['SCHEMA_REGISTRY_URL']! });
const { id } = await registry.register({ type: SchemaType.AVRO, schema: READING_SCHEMA.text }, { subject: `${topic}-value` });
const producer = new Kafka({ brokers: process.env['KAFKA_BROKERS']!.split(','), clientId, logLevel: logLevel.ERROR }).producer();
await producer.connect();
const client = connect(process.env['MQTT_URL']!, {
  clientId,
  clean: false,
  protocolVersion: 5,
  properties: { sessionExpiryInterval: 3_600 },
});
// At once: what waits in the session comes together with CONNACK.
client.on('message', async (mqttTopic, message) => {
  const payload = JSON.parse(message.toString()) as Record<string, unknown>;
  const deviceId = mqttTopic.split('/')[1]!;
  const value = await registry.encode(id, {
    deviceId,
    eventTime: payload['ts'],
    receivedAt: Date.now(),
    eventTimeSource: 'DEVICE',
    identity: 0,
    aggregatable: true,
    sequence: payload['seq'],
    status: payload['status'],
    temperature: payload['temperature'],
    humidity: payload['humidity'],
    battery: payload['battery'],
    metrics: {},
    attributes: {},
  });
  await producer.send({ topic, acks: -1, messages: [{ key: deviceId, value }] });
});
await client.subscribeAsync(TOPIC_FILTER, { qos: 1 });
process.send?.('ready');
