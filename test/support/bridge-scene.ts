import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicSpecs } from '../../src/kafka/topics.ts';
import { LedgerPublisher, type LedgerPublisherOptions } from './ledger-publisher.ts';
import { LedgerWatch } from './ledger-watch.ts';
import { MessageLedger, type Verdict } from './message-ledger.ts';
import { type RoleProcess, startRole } from './role-process.ts';
import { freshName, stack } from './stack.ts';

// A bridge as a process with topics, devices, a session and a data folder of its own, for tests that do something to it or to what it
// depends on. Everything is ended with the test.

export interface BridgeSceneOptions {
  readonly devices: number;
  /** Of the bridge. Default: those of the test run. */
  readonly mqttUrl?: string;
  readonly kafkaBrokers?: readonly string[];
  readonly registryUrl?: string;
  /** Where the test itself reads and creates topics, past any proxy. */
  readonly realKafkaBrokers?: readonly string[];
  readonly realMqttUrl?: string;
  /** Added to the settings of both topics. */
  readonly topicConfigs?: Readonly<Record<string, string>>;
  readonly settings?: Readonly<Record<string, string>>;
}

const PARTITIONS = 3;

export class BridgeScene {
  readonly prefix: string;
  readonly devices: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly watches: LedgerWatch[] = [];
  readonly #options: BridgeSceneOptions;
  #isOver = false;

  private constructor(of: { prefix: string; folder: string; options: BridgeSceneOptions }) {
    const { prefix, folder, options } = of;
    this.prefix = prefix;
    this.#options = options;
    this.devices = Array.from({ length: options.devices }, () => freshName('d'));
    this.environment = {
      MQTT_URL: options.mqttUrl ?? options.realMqttUrl ?? stack().mosquittoUrl,
      MQTT_CLIENT_ID: freshName('bridge'),
      MQTT_TOPICS: telemetryOf(this.devices),
      KAFKA_BROKERS: (options.kafkaBrokers ?? this.realBrokers).join(','),
      KAFKA_TOPIC_PREFIX: prefix,
      SCHEMA_REGISTRY_URL: options.registryUrl ?? stack().registryUrl,
      SCHEMA_AUTO_REGISTER: 'true',
      DATA_FOLDER: join(folder, 'data'),
      INSTANCE_ID: '0',
      ...options.settings,
    };
  }

  static async create(options: BridgeSceneOptions): Promise<BridgeScene> {
    const prefix = `${freshName('bridge')}.`;
    const folder = await mkdtemp(join(tmpdir(), 'ingot-bridge-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
    await mkdir(join(folder, 'data'));
    const scene = new BridgeScene({ prefix, folder, options });
    onTestFinished(() => scene.#end());
    await scene.#createTopics();
    return scene;
  }

  get realBrokers(): readonly string[] {
    return this.#options.realKafkaBrokers ?? stack().kafkaBrokers;
  }

  /** Starts a bridge; its ledger is checked from its first scrape to its end. */
  start(settings: Readonly<Record<string, string>> = {}): RoleProcess {
    if (this.#isOver) throw new Error('a bridge is started after the end of the test');
    const role = startRole('bridge', { ...this.environment, ...settings });
    this.watches.push(new LedgerWatch(role));
    return role;
  }

  /** Starts a bridge and waits until it takes messages. */
  async startReady(settings: Readonly<Record<string, string>> = {}): Promise<RoleProcess> {
    const role = this.start(settings);
    await role.logged('taking messages');
    return role;
  }

  /** Of the devices of this scene, or those given. */
  async publisher(options: Partial<LedgerPublisherOptions> = {}): Promise<LedgerPublisher> {
    const url = this.#options.realMqttUrl ?? stack().mosquittoUrl;
    const publisher = await LedgerPublisher.connect({ url, devices: this.devices, ...options });
    onTestFinished(() => publisher.close());
    return publisher;
  }

  async ledger(): Promise<MessageLedger> {
    const ledger = await MessageLedger.open({ brokers: this.realBrokers, prefix: this.prefix });
    onTestFinished(() => ledger.close());
    return ledger;
  }

  watchOf(role: RoleProcess): LedgerWatch {
    return this.watches.find((watch) => watch.role === role)!;
  }

  /**
   * P1, P3 and P9: nothing lost, nothing invented, first sights in order, and no bridge has claimed at any scrape what was not so.
   * `ordered: false` when several bridges share the devices.
   */
  expectKept(verdict: Verdict, ledger: MessageLedger, { ordered = true }: { ordered?: boolean } = {}): void {
    expect(verdict.lost).toEqual([]);
    expect(verdict.invented).toEqual([]);
    if (ordered) expect(verdict.disordered).toBe(0);
    expect(this.watches.flatMap(({ unbalanced }) => unbalanced)).toEqual([]);
    expect(this.watches.reduce((sum, { scrapes }) => sum + scrapes, 0)).toBeGreaterThan(0);
    // Across restarts: Kafka holds at least what all lives together said that it had acknowledged.
    const claimed = this.watches.flatMap(({ last }) => (last === null ? [] : [last]));
    expect(ledger.readingRecords).toBeGreaterThanOrEqual(claimed.reduce((sum, { produced }) => sum + produced, 0));
    expect(ledger.letterRecords).toBeGreaterThanOrEqual(claimed.reduce((sum, { deadLettered }) => sum + deadLettered, 0));
  }

  async #createTopics(): Promise<void> {
    const log = createKafkaLog({ brokers: this.realBrokers, clientId: freshName('test') });
    const admin = log.admin();
    const specs = topicSpecs({ prefix: this.prefix, partitions: PARTITIONS, replication: 1 });
    await admin.createTopics(specs.map((spec) => ({ ...spec, configs: { ...spec.configs, ...this.#options.topicConfigs } })));
    await admin.close();
    await log.close();
  }

  async #end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.watches.map(({ role }) => role.kill()));
    await Promise.all(this.watches.map((watch) => watch.stop()));
  }
}

/** The subscriptions to the telemetry of these devices, with something like `$share/group/` in front. */
export function telemetryOf(devices: readonly string[], before = ''): string {
  return devices.map((device) => `${before}devices/${device}/telemetry`).join(',');
}
