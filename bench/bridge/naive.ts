import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { Kafka, logLevel } from 'kafkajs';
import { connectAsync } from 'mqtt';
import { topicNames } from '../../src/kafka/topics.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import type { Contender } from './contender.ts';

/**
 * What one writes from the READMEs of the three libraries: one produce per message. It acknowledges to the MQTT broker before Kafka
 * has anything, and checks nothing.
 */
export function naive(): Contender {
  let stop = async (): Promise<void> => {};
  return {
    async start({ mqttUrl, clientId, topicFilter, kafkaBrokers, registryUrl, prefix }) {
      const registry = new SchemaRegistry({ host: registryUrl });
      const subject = `${topicNames(prefix).readings}-value`;
      const { id } = await registry.register({ type: SchemaType.AVRO, schema: READING_SCHEMA.text }, { subject });
      const producer = new Kafka({ brokers: [...kafkaBrokers], clientId, logLevel: logLevel.ERROR }).producer();
      await producer.connect();
      const client = await connectAsync(mqttUrl, {
        clientId,
        clean: false,
        protocolVersion: 5,
        properties: { sessionExpiryInterval: 3600 },
      });
      client.on('message', async (topic, message) => {
        const payload = JSON.parse(message.toString()) as Record<string, unknown>;
        const deviceId = topic.split('/')[1]!;
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
        await producer.send({ topic: topicNames(prefix).readings, acks: -1, messages: [{ key: deviceId, value }] });
      });
      await client.subscribeAsync(topicFilter, { qos: 1 });
      stop = async () => {
        await client.endAsync();
        await producer.disconnect();
      };
    },
    stop: () => stop(),
  };
}
