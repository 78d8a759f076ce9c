import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicSpecs } from '../../src/kafka/topics.ts';
import { type FoldVerdict, foldVerdict } from './fold-verdict.ts';
import { type RoleProcess, startRole } from './role-process.ts';
import { freshName, stack } from './stack.ts';
import { dumpTopics, type LogDump } from './topic-dump.ts';

// A pipeline with topics, data folders and devices of its own on the components of the test run. Its roles are processes.

export interface TestPipelineOptions {
  readonly partitions: number;
  /** Full names of the devices that the bridge listens to. */
  readonly devices?: readonly string[];
  /** A rules file's text. */
  readonly rules: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** Another Kafka than that of the test run. */
  readonly kafkaBrokers?: readonly string[];
}

/** Windows that close within a few seconds, so that a test ends soon. */
const SHORT_WINDOWS = { WINDOW_SIZE: '5s', WINDOW_GRACE: '1s', WINDOW_IDLE: '2s', SCHEMA_UNKNOWN_PATIENCE: '2s' };
const SETTLE_POLL_MS = 500;

export class TestPipeline {
  readonly prefix: string;
  readonly log: LogClient;
  /** Scratch: data folders, rules, truth files. */
  readonly folder: string;
  /** The environment that every role gets. */
  readonly environment: Readonly<Record<string, string>>;
  readonly partitions: number;
  readonly #roles: RoleProcess[] = [];
  #isClosed = false;

  private constructor(of: { prefix: string; log: LogClient; folder: string; options: TestPipelineOptions }) {
    const { prefix, log, folder, options } = of;
    const { kafkaBrokers, registryUrl, mosquittoUrl } = { ...stack(), ...(options.kafkaBrokers && { kafkaBrokers: options.kafkaBrokers }) };
    this.prefix = prefix;
    this.log = log;
    this.folder = folder;
    this.partitions = options.partitions;
    this.environment = {
      MQTT_URL: mosquittoUrl,
      MQTT_TOPICS: (options.devices ?? ['none']).map((device) => `devices/${device}/telemetry`).join(','),
      KAFKA_BROKERS: kafkaBrokers.join(','),
      KAFKA_TOPIC_PREFIX: prefix,
      SCHEMA_REGISTRY_URL: registryUrl,
      SCHEMA_AUTO_REGISTER: 'true',
      RULES_FILE: join(folder, 'rules.yaml'),
      DATA_FOLDER: join(folder, 'data'),
      ...SHORT_WINDOWS,
      ...options.settings,
    };
  }

  static async create(options: TestPipelineOptions): Promise<TestPipeline> {
    const prefix = `${freshName('pipeline')}.`;
    const log = createKafkaLog({ brokers: options.kafkaBrokers ?? stack().kafkaBrokers, clientId: freshName('test') });
    const folder = await mkdtemp(join(tmpdir(), 'ingot-pipeline-'));
    await mkdir(join(folder, 'data'));
    await writeFile(join(folder, 'rules.yaml'), options.rules);
    await log.admin().createTopics(topicSpecs({ prefix, partitions: options.partitions, replication: 1 }));
    return new TestPipeline({ prefix, log, folder, options });
  }

  /** Starts a role or the simulator. It is killed at `close` when it still runs then. */
  start(command: string, settings: Readonly<Record<string, string>> = {}): RoleProcess {
    // A test that has failed in one place may still be busy in another.
    if (this.#isClosed) throw new Error(`${command} is started after the test's end`);
    const role = startRole(command, { ...this.environment, ...settings });
    this.#roles.push(role);
    return role;
  }

  dump(): Promise<LogDump> {
    const { log, prefix } = this;
    return dumpTopics({ log, prefix, partitions: this.partitions, registryUrl: stack().registryUrl });
  }

  verdict(dump: LogDump): FoldVerdict {
    return foldVerdict(dump, `${this.prefix}readings`);
  }

  /** Waits until every reading is folded and every window is closed. At the deadline it just returns: the verdict will say what is missing. */
  async settle(deadlineMs = 90_000): Promise<void> {
    const deadlineAt = performance.now() + deadlineMs;
    while (!this.verdict(await this.dump()).isSettled && performance.now() < deadlineAt) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_POLL_MS));
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#roles.map((role) => role.kill()));
    await this.log.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
