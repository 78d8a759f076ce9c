import { join } from 'node:path';
import type { IngotError } from '../errors.ts';
import type { RunningChild } from './child.ts';
import { startKafka } from './kafka.ts';
import { type RunningMqttBroker, startMqttBroker } from './mqtt-broker.ts';
import { startRegistry } from './registry.ts';

// Kafka, the registry and the MQTT broker on this machine, for `ingot up`: those that are not configured elsewhere.

/** What an unconfigured client of each kind tries first. */
const USUAL_PORTS = { kafka: 9092, registry: 8081, mqtt: 1883 };

export interface LocalStackOptions {
  /** An open data folder (data-folder.ts); each component has a folder below it. */
  readonly dataFolder: string;
  readonly needKafka: boolean;
  readonly needRegistry: boolean;
  readonly needMqtt: boolean;
  /** For the registry when Kafka is configured elsewhere. */
  readonly kafkaBrokers: readonly string[];
  /** Take the usual ports when they are free. Without it, any free ones. */
  readonly preferUsualPorts: boolean;
  /** Called as each component is up, with where it listens. */
  readonly onReady?: (component: string, address: string) => void;
  /** Gives the start up: what has started is stopped, and the start rejects with `COMPONENT_FAILED`. */
  readonly signal?: AbortSignal;
  /** A child ended by itself. */
  readonly onCrash?: (error: IngotError) => void;
}

export interface LocalStack {
  /** Null: not started here. */
  readonly kafkaBrokers: readonly string[] | null;
  readonly registryUrl: string | null;
  readonly mqttUrl: string | null;
  /** Process ids by component, for the stack file. */
  readonly children: Readonly<Record<string, number>>;
  /** Stops everything that was started here, Kafka last. Never hangs. */
  stop(): Promise<void>;
}

/**
 * Starts what is needed, as much at once as the order allows: the registry needs Kafka. When one fails, the others are stopped and
 * its IngotError is the rejection: `COMPONENT_MISSING` or `COMPONENT_FAILED`.
 */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const { dataFolder, preferUsualPorts, onReady, onCrash, signal } = options;
  const port = (name: keyof typeof USUAL_PORTS): number | null => (preferUsualPorts ? USUAL_PORTS[name] : null);
  const watch = { onCrash, signal };
  const startingKafka = options.needKafka
    ? startKafka({ folder: join(dataFolder, 'kafka'), preferredPort: port('kafka'), ...watch }).then((kafka) => {
        onReady?.('Kafka', kafka.brokers.join(','));
        return kafka;
      })
    : null;
  const startRegistryOn = async (kafkaBrokers: readonly string[]) => {
    const registry = await startRegistry({ folder: join(dataFolder, 'registry'), kafkaBrokers, preferredPort: port('registry'), ...watch });
    onReady?.('schema registry', registry.url);
    return registry;
  };
  const startingRegistry = options.needRegistry
    ? (startingKafka?.then(({ brokers }) => startRegistryOn(brokers)) ?? startRegistryOn(options.kafkaBrokers))
    : null;
  const startingMqtt = options.needMqtt
    ? startMqttBroker({ folder: join(dataFolder, 'mqtt'), preferredPort: port('mqtt') }).then((mqtt) => {
        onReady?.('MQTT broker', mqtt.url);
        return mqtt;
      })
    : null;
  const results = await Promise.allSettled([startingKafka, startingRegistry, startingMqtt] as const);
  const [kafka, registry, mqtt] = results.map((result) => (result.status === 'fulfilled' ? result.value : null)) as Started;
  const stop = () => stopInOrder([mqtt, registry, kafka]);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  return {
    kafkaBrokers: kafka?.brokers ?? null,
    registryUrl: registry?.url ?? null,
    mqttUrl: mqtt?.url ?? null,
    children: { ...(kafka && { kafka: kafka.pid }), ...(registry && { registry: registry.pid }) },
    stop,
  };
}

type Started = [Awaited<ReturnType<typeof startKafka>> | null, Awaited<ReturnType<typeof startRegistry>> | null, RunningMqttBroker | null];

/** The registry reads from Kafka until its end, so Kafka stops last. */
async function stopInOrder(components: readonly (RunningChild | RunningMqttBroker | null)[]): Promise<void> {
  for (const component of components) await component?.stop();
}
