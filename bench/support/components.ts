import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KafkaJvm, startKafka } from '../../src/local-stack/kafka.ts';
import { startMosquitto } from '../../src/local-stack/mosquitto.ts';
import { startRegistry } from '../../src/local-stack/registry.ts';

// The components that the benchmarks use: those of KAFKA_BROKERS, SCHEMA_REGISTRY_URL and MQTT_URL, and local ones for the rest.

export interface Components {
  readonly kafkaBrokers: readonly string[];
  /** Base URL of the Confluent API v7. */
  readonly registryUrl: string;
  /** A mosquitto, or another broker that keeps everything for a session that is away. */
  readonly mqttUrl: string;
  stop(): Promise<void>;
}

/** kafkaJvm: how a Kafka that is started here runs. */
export async function openComponents(kafkaJvm: KafkaJvm): Promise<Components> {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-bench-'));
  const running: { stop(): Promise<void> }[] = [];
  const stop = async (): Promise<void> => {
    // The last one started first: the registry reads from Kafka until its end.
    for (const component of running.reverse()) await component.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  const { KAFKA_BROKERS, SCHEMA_REGISTRY_URL, MQTT_URL } = process.env;
  try {
    let kafkaBrokers: readonly string[] = KAFKA_BROKERS?.split(',') ?? [];
    if (kafkaBrokers.length === 0) {
      const kafka = await startKafka({ folder: join(folder, 'kafka'), preferredPort: null, jvm: kafkaJvm });
      running.push(kafka);
      kafkaBrokers = kafka.brokers;
    }
    let registryUrl = SCHEMA_REGISTRY_URL;
    if (registryUrl === undefined) {
      const registry = await startRegistry({ folder: join(folder, 'registry'), kafkaBrokers, preferredPort: null });
      running.push(registry);
      registryUrl = registry.url;
    }
    let mqttUrl = MQTT_URL;
    if (mqttUrl === undefined) {
      const mosquitto = await startMosquitto({ folder: join(folder, 'mosquitto'), isDurable: false });
      running.push(mosquitto);
      mqttUrl = mosquitto.url;
    }
    return { kafkaBrokers, registryUrl, mqttUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
