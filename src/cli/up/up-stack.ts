import type { Config } from '../../config/settings-table.ts';
import type { IngotError } from '../../errors.ts';
import { topicSpecs } from '../../kafka/topics.ts';
import { type LocalStack, type StackComponent, startLocalStack, USUAL_PORT_OF } from '../../local-stack/local-stack.ts';
import { connectLog } from '../roles/connect-log.ts';
import type { LiveTerminal } from './live-terminal.ts';
import type { StartProgress } from './start-progress.ts';

// Kafka with its topics, the registry and the MQTT broker of one `ingot up`: started here, unless they are configured elsewhere.

export interface UpStackOptions {
  /** With the data folder of this run. */
  readonly config: Config;
  /** Whether the user has said where something is. */
  isConfigured(variable: string): boolean;
  /** Take the usual ports when they are free. */
  readonly preferUsualPorts: boolean;
  readonly progress: StartProgress;
  readonly screen: LiveTerminal;
}

/** What is worth saying while it lasts. */
const REMARKS: Record<StackComponent, string> = {
  Kafka: '',
  'schema registry': 'usually 10 s',
  'MQTT broker': '',
};

export class UpStack {
  private readonly options: UpStackOptions;
  private readonly crash = new AbortController();
  private starting: Promise<LocalStack> | null = null;

  constructor(options: UpStackOptions) {
    this.options = options;
  }

  /** Aborted, with the IngotError as its reason, when a component ends by itself. */
  get crashed(): AbortSignal {
    return this.crash.signal;
  }

  /**
   * Resolves with where everything is, and the process ids of what was started. IngotErrors `COMPONENT_MISSING`, `COMPONENT_FAILED`,
   * `KAFKA_UNREACHABLE`, `TOPIC_NOT_CREATED`.
   */
  async start(signal: AbortSignal): Promise<{ readonly config: Config; readonly children: LocalStack['children'] }> {
    const { config, isConfigured, preferUsualPorts, progress } = this.options;
    const needKafka = !isConfigured('KAFKA_BROKERS');
    // Nothing is started on a Kafka that is not there.
    if (!needKafka) await this.createTopics(config.kafka.brokers);
    let makingTopics: Promise<void> | null = null;
    const needed: Record<StackComponent, boolean> = {
      Kafka: needKafka,
      'schema registry': !isConfigured('SCHEMA_REGISTRY_URL'),
      'MQTT broker': !isConfigured('MQTT_URL'),
    };
    for (const [component, isNeeded] of Object.entries(needed)) {
      if (isNeeded) progress.begin(component, REMARKS[component as StackComponent]);
    }
    this.starting = startLocalStack({
      dataFolder: config.instance.dataFolder,
      needKafka: needed['Kafka'],
      needRegistry: needed['schema registry'],
      needMqtt: needed['MQTT broker'],
      kafkaBrokers: config.kafka.brokers,
      preferUsualPorts,
      signal,
      onReady: (component, address) => {
        this.tellReady(component, address);
        if (component !== 'Kafka') return;
        makingTopics = this.createTopics(address.split(','));
        // Awaited below, when the registry is up too.
        makingTopics.catch(() => undefined);
      },
      onCrash: (error: IngotError) => this.crash.abort(error),
    });
    const stack = await this.starting;
    await makingTopics;
    signal.throwIfAborted();
    return { config: withAddresses(config, stack), children: stack.children };
  }

  /** Also when it has not started completely, or not at all. Never rejects. */
  async stop(): Promise<void> {
    const stack = await this.starting?.catch(() => null);
    await stack?.stop();
  }

  private tellReady(component: StackComponent, address: string): void {
    const { progress, screen, preferUsualPorts } = this.options;
    progress.done(component);
    screen.print(readyLine(component, address, preferUsualPorts));
  }

  private async createTopics(brokers: readonly string[]): Promise<void> {
    const { config, progress } = this.options;
    const what = `topics on ${brokers.join(',')}`;
    progress.begin(what);
    const log = connectLog({ ...config, kafka: { ...config.kafka, brokers } }, `${config.kafka.clientId}-up`);
    try {
      const { topicPrefix: prefix, partitions, replication, compression } = config.kafka;
      await log.admin().createTopics(topicSpecs({ prefix, partitions, replication, isCompressed: compression !== 'none' }));
    } finally {
      await log.close();
      progress.done(what);
    }
  }
}

/** Whoever has learnt the usual port elsewhere is told when it is another one. */
export function readyLine(component: StackComponent, address: string, isUsualPortWanted: boolean): string {
  const usual = USUAL_PORT_OF[component];
  const isOther = isUsualPortWanted && !new RegExp(`:${usual}(/|$)`).test(address);
  return `${component.padEnd(16)} ${address}${isOther ? `  (the usual port ${usual} was taken)` : ''}`;
}

function withAddresses(config: Config, stack: LocalStack): Config {
  return {
    ...config,
    kafka: { ...config.kafka, brokers: stack.kafkaBrokers ?? config.kafka.brokers },
    registry: { ...config.registry, url: stack.registryUrl ?? config.registry.url },
    mqtt: { ...config.mqtt, url: stack.mqttUrl ?? config.mqtt.url },
  };
}
