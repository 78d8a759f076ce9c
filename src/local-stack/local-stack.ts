import { join } from 'node:path';
import type { IngotError } from '../errors.ts';
import type { RunningChild } from './child.ts';
import { startKafka } from './kafka.ts';
import { type RunningMqttBroker, startMqttBroker } from './mqtt-broker.ts';
import { startRegistry } from './registry.ts';

// Kafka, the registry and the MQTT broker on this machine, for `ingot up`: those that are not configured elsewhere.

/** What an unconfigured client of each kind tries first. */
const USUAL_PORTS = { kafka: 9092, registry: 8081, mqtt: 1883 };
/** For whoever tells people which of them were taken. */
export const USUAL_PORT_OF: Readonly<Record<StackComponent, number>> = {
  Kafka: USUAL_PORTS.kafka,
  'schema registry': USUAL_PORTS.registry,
  'MQTT broker': USUAL_PORTS.mqtt,
};

export type StackComponent = 'Kafka' | 'schema registry' | 'MQTT broker';

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
  readonly onReady?: (component: StackComponent, address: string) => void;
  /** Gives the start up: what has started is stopped, and the start rejects with `COMPONENT_FAILED`. */
  readonly signal?: AbortSignal | undefined;
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
 * Starts what is needed, all at once. When one fails, the others are stopped and its IngotError is the rejection: `COMPONENT_MISSING` or
 * `COMPONENT_FAILED`.
 */
export async function startLocalStack(options: LocalStackOptions): Promise<LocalStack> {
  const { needKafka, needRegistry, needMqtt } = options;
  const failure = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal;
  const start = startersOf({ ...options, signal });
  // The others are not waited for once one has failed.
  const watched = async <Component>(starting: Promise<Component>): Promise<Component> => {
    starting.catch((error: unknown) => failure.abort(error));
    return starting;
  };
  const brokers = Promise.withResolvers<readonly string[]>();
  if (!needKafka) brokers.resolve(options.kafkaBrokers);
  const startingKafka = needKafka ? watched(start.kafka(brokers.resolve)) : null;
  startingKafka?.catch(brokers.reject);
  brokers.promise.catch(() => undefined);
  const results = await Promise.allSettled([
    startingKafka,
    needRegistry ? watched(brokers.promise.then((on) => registryBesideKafka(() => start.registry(on), { startingKafka, signal }))) : null,
    needMqtt ? watched(start.mqtt()) : null,
  ] as const);
  const [kafka, registry, mqtt] = results.map((result) => (result.status === 'fulfilled' ? result.value : null)) as Started;
  const stop = () => stopInOrder([mqtt, registry, kafka]);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) {
    await stop();
    throw failure.signal.reason;
  }
  return {
    kafkaBrokers: kafka?.brokers ?? null,
    registryUrl: registry?.url ?? null,
    mqttUrl: mqtt?.url ?? null,
    children: { ...(kafka && { kafka: kafka.pid }), ...(registry && { registry: registry.pid }) },
    stop,
  };
}

/** Each starts one component in its folder and tells when it is up. */
function startersOf({ dataFolder, preferUsualPorts, onReady, onCrash, signal }: LocalStackOptions) {
  const place = (component: keyof typeof USUAL_PORTS) => ({
    folder: join(dataFolder, component),
    preferredPort: preferUsualPorts ? USUAL_PORTS[component] : null,
  });
  const watch = { onCrash, signal };
  return {
    kafka: async (onAddress: (brokers: readonly string[]) => void) => {
      const kafka = await startKafka({ ...place('kafka'), ...watch, onAddress });
      onReady?.('Kafka', kafka.brokers.join(','));
      return kafka;
    },
    registry: async (kafkaBrokers: readonly string[]) => {
      const registry = await startRegistry({ ...place('registry'), ...watch, kafkaBrokers });
      onReady?.('schema registry', registry.url);
      return registry;
    },
    mqtt: async () => {
      const mqtt = await startMqttBroker(place('mqtt'));
      onReady?.('MQTT broker', mqtt.url);
      return mqtt;
    },
  };
}

/**
 * The registry does most of its start before it needs Kafka, and waits for it for a minute. When Kafka takes longer the registry ends,
 * and is started once more.
 */
async function registryBesideKafka<Registry>(
  start: () => Promise<Registry>,
  { startingKafka, signal }: { startingKafka: Promise<unknown> | null; signal: AbortSignal },
): Promise<Registry> {
  let isKafkaUp = startingKafka === null;
  startingKafka?.then(
    () => {
      isKafkaUp = true;
    },
    () => undefined,
  );
  try {
    return await start();
  } catch (error) {
    if (isKafkaUp || signal.aborted) throw error;
    await startingKafka;
    return start();
  }
}

type Started = [Awaited<ReturnType<typeof startKafka>> | null, Awaited<ReturnType<typeof startRegistry>> | null, RunningMqttBroker | null];

/** The registry reads from Kafka until its end, so Kafka stops last. */
async function stopInOrder(components: readonly (RunningChild | RunningMqttBroker | null)[]): Promise<void> {
  for (const component of components) await component?.stop();
}
