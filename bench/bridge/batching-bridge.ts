import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import avro from 'avsc';
import { Kafka, logLevel } from 'kafkajs';
import { connect, type IPublishPacket } from 'mqtt';
import { generate } from 'mqtt-packet';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { TOPIC_FILTER } from '../support/mqtt-session.ts';

// What one writes who knows both libraries well: batches of 1 000 messages or 5 ms, one produce in flight, Avro by the library itself. With
// ACKNOWLEDGE=before it leaves the PUBACK to the MQTT client, which sends it before Kafka has anything; with ACKNOWLEDGE=after it withholds
// the client's own and sends one when Kafka has the batch. It checks nothing and has no limit to what it takes. Kept as the yardstick.

const BATCH_RECORDS = 1_000;
const LINGER_MS = 5;
const WIRE_PREFIX_BYTES = 5;

interface Taken {
  readonly key: string;
  readonly value: Buffer;
  readonly packetId: number;
}

const acknowledgesAfter = process.env['ACKNOWLEDGE'] === 'after';
const clientId = process.env['MQTT_CLIENT_ID']!;
const topic = `${process.env['KAFKA_TOPIC_PREFIX']}readings`;
const registry = new SchemaRegistry({ host: process.env['SCHEMA_REGISTRY_URL']! });
const { id } = await registry.register({ type: SchemaType.AVRO, schema: READING_SCHEMA.text }, { subject: `${topic}-value` });
const type = avro.Type.forSchema(JSON.parse(READING_SCHEMA.text) as avro.Schema);
const prefix = Buffer.alloc(WIRE_PREFIX_BYTES);
prefix.writeUInt32BE(id, 1);
const kafka = new Kafka({ brokers: process.env['KAFKA_BROKERS']!.split(','), clientId, logLevel: logLevel.ERROR });
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
await producer.connect();
const client = connect(process.env['MQTT_URL']!, {
  clientId,
  clean: false,
  protocolVersion: 5,
  properties: { sessionExpiryInterval: 3_600 },
});

let waiting: Taken[] = [];
let isSending = false;
let timer: NodeJS.Timeout | null = null;

function take({ topic: mqttTopic, payload, messageId }: IPublishPacket): void {
  const fields = JSON.parse(payload.toString()) as Record<string, unknown>;
  const deviceId = mqttTopic.split('/')[1]!;
  const reading = {
    deviceId,
    eventTime: fields['ts'],
    receivedAt: Date.now(),
    eventTimeSource: 'DEVICE',
    identity: 0,
    aggregatable: true,
    sequence: fields['seq'],
    status: fields['status'],
    temperature: fields['temperature'],
    humidity: fields['humidity'],
    battery: fields['battery'],
    metrics: { rssi: fields['rssi'] },
    attributes: {},
  };
  waiting.push({ key: deviceId, value: Buffer.concat([prefix, type.toBuffer(reading)]), packetId: messageId ?? 0 });
  if (waiting.length >= BATCH_RECORDS) void send();
  else timer ??= setTimeout(() => void send(), LINGER_MS);
}

async function send(): Promise<void> {
  if (timer !== null) clearTimeout(timer);
  timer = null;
  if (isSending) return;
  isSending = true;
  while (waiting.length > 0) {
    const batch = waiting.slice(0, BATCH_RECORDS);
    waiting = waiting.slice(BATCH_RECORDS);
    await producer.send({ topic, acks: -1, messages: batch.map(({ key, value }) => ({ key, value })) });
    if (acknowledgesAfter)
      client.stream.write(
        Buffer.concat(batch.map(({ packetId }) => generate({ cmd: 'puback', messageId: packetId }, { protocolVersion: 4 }))),
      );
  }
  isSending = false;
}

client.handleMessage = (packet, done) => {
  take(packet as IPublishPacket);
  // The client sends no PUBACK when it is told of an error.
  if (acknowledgesAfter) done(new Error('later'));
  else done();
};
await client.subscribeAsync(TOPIC_FILTER, { qos: 1 });
process.send?.('ready');
