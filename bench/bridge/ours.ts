import { Bridge } from '../../src/bridge/bridge.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicNames } from '../../src/kafka/topics.ts';
import { MqttSource } from '../../src/mqtt/mqtt-source.ts';
import { noSubscriptionMemory } from '../../src/mqtt/subscription-file.ts';
import { BridgeEvents } from '../../src/ops/bridge-events.ts';
import { configureLog } from '../../src/ops/log.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import type { Contender } from './contender.ts';

/** Ingot's bridge with its default limits. */
export function ours(): Contender {
  let stop = async (): Promise<void> => {};
  return {
    async start({ mqttUrl, clientId, topicFilter, kafkaBrokers, registryUrl, prefix, partitions }) {
      configureLog({ level: 'warn', format: 'text' });
      const log = createKafkaLog({ brokers: kafkaBrokers, clientId });
      const lane = log.produceLane({ name: 'readings', acks: 'all' });
      const codecs = await openSchemaCodecs({ registry: { url: registryUrl, autoRegister: true }, topicPrefix: prefix });
      const events = new BridgeEvents();
      const source = new MqttSource({
        url: mqttUrl,
        clientId,
        topics: [topicFilter],
        qos: 1,
        receiveMaximum: 1000,
        maxInFlightMessages: 2000,
        maxInFlightBytes: 32 * 1024 ** 2,
        connectDeadlineMs: 10_000,
        subscriptions: noSubscriptionMemory,
        events,
      });
      const names = topicNames(prefix);
      const bridge = new Bridge({
        source,
        lane,
        encoder: await codecs.openEncoder(READING_SCHEMA),
        readingsTopic: names.readings,
        deadLettersTopic: names.bridgeDeadLetters,
        partitions,
        batch: { records: 1000, bytes: 512 * 1024, lingerMs: 5 },
        maxPayloadBytes: 65_536,
        events,
      });
      stop = async () => {
        await bridge.stop(10_000);
        await lane.close(1_000);
        await log.close();
      };
      await bridge.start((error) => {
        throw error;
      });
    },
    stop: () => stop(),
  };
}
