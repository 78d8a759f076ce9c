import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { FoldVerdict } from './fold-verdict.ts';
import { ForeignProducer, type ForeignRecord } from './foreign-producer.ts';
import { LiveFeed } from './live-feed.ts';
import { readTopic } from './read-topic.ts';
import { type RoleMetrics, readMetrics } from './role-metrics.ts';
import type { RoleProcess } from './role-process.ts';
import { newestByKey, stateDifferences } from './state-verdict.ts';
import { TestPipeline } from './test-pipeline.ts';
import type { LogDump } from './topic-dump.ts';
import { waitUntil } from './wait-until.ts';

// A pipeline whose devices never stop talking, for tests that do something terrible to its aggregators meanwhile. At the end it must have
// come to one sequential fold of what the devices said.

const DEVICES = 24;
/** One device in four talks only once in so many rounds: its windows close by silence, and what is known of it is older than the rest. */
const SELDOM_ROUNDS = 40;
/** Longer than any outage that a test makes. */
const OUTAGE_MS = 120_000;
/** Short, so that a test ends soon after its devices; rules with and without delay, so that timers are under way at any moment. */
const SETTINGS = { WINDOW_SIZE: '1s', WINDOW_GRACE: '200ms', WINDOW_IDLE: '1s' };
const RULES = `rules:
  - { id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }
  - { id: lasting, metric: temperature, above: 100, deadband: 5, for: 300ms, offDelay: 300ms, severity: WARNING }
`;
const RULE_COUNT = 2;

export class FedPipeline {
  readonly pipeline: TestPipeline;
  readonly #producer: ForeignProducer;
  readonly #feed: LiveFeed;
  readonly #partitions: number;

  private constructor(of: { pipeline: TestPipeline; producer: ForeignProducer; feed: LiveFeed; partitions: number }) {
    this.pipeline = of.pipeline;
    this.#producer = of.producer;
    this.#feed = of.feed;
    this.#partitions = of.partitions;
  }

  /** Topics, and devices that talk. `prepare` comes between the two. */
  static async start(options: {
    partitions: number;
    kafkaBrokers?: readonly string[];
    prepare?: (pipeline: TestPipeline) => Promise<void>;
  }): Promise<FedPipeline> {
    const { partitions, prepare } = options;
    const kafka = options.kafkaBrokers === undefined ? {} : { kafkaBrokers: options.kafkaBrokers };
    const pipeline = await TestPipeline.create({ partitions, rules: RULES, settings: SETTINGS, ...kafka });
    await prepare?.(pipeline);
    const producer = await ForeignProducer.open({ prefix: pipeline.prefix, partitions, ...kafka });
    const round = (now: number, number: number): ForeignRecord[] =>
      Array.from({ length: DEVICES }, (_, index) => index)
        .filter((index) => index % 4 !== 3 || number % SELDOM_ROUNDS === index % SELDOM_ROUNDS)
        .map((index) => {
          const temperature = 98 + 9 * Math.sin(number / 5 + index);
          return producer.record({ deviceId: `s${index}`, eventTime: now, identity: 1 + number * DEVICES + index, temperature });
        });
    // A Kafka of its own is one that a test may kill.
    const feed = new LiveFeed(producer, round, { patienceMs: options.kafkaBrokers === undefined ? 0 : OUTAGE_MS });
    return new FedPipeline({ pipeline, producer, feed, partitions });
  }

  /** Starts an aggregator; through a proxy, when its address is given. */
  aggregator(kafkaAddress?: string): RoleProcess {
    return this.pipeline.start('aggregate', kafkaAddress === undefined ? {} : { KAFKA_BROKERS: kafkaAddress });
  }

  get readings(): number {
    return this.#feed.readings;
  }

  /** Waits until these processes have folded so many readings more, all together. None of them may be at its end. */
  async progress(roles: readonly RoleProcess[], more: number): Promise<void> {
    const consumed = async (): Promise<number> => {
      const counts = await Promise.all(roles.map((role) => consumedBy(role)));
      return counts.reduce((sum, count) => sum + count, 0);
    };
    const wanted = (await consumed()) + more;
    await waitUntil(async () => (await consumed()) >= wanted, `${more} readings more`, 120_000);
  }

  /** Waits until each partition is folded by exactly one of these processes. */
  async owned(roles: readonly RoleProcess[]): Promise<void> {
    const isWhole = async (): Promise<boolean> => {
      const owned = (await Promise.all(roles.map((role) => ownedBy(role)))).flat();
      return owned.length === this.#partitions && new Set(owned).size === this.#partitions;
    };
    await waitUntil(isWhole, 'an owner for each partition', 120_000);
  }

  /** Ends the devices, waits until everything is folded and closed, and ends the processes in order. */
  async settle(roles: readonly RoleProcess[]): Promise<void> {
    await this.#feed.stop();
    await this.pipeline.settle();
    for (const role of roles) expect(await role.stop(), role.log().slice(-2_000)).toBe(0);
    await this.#expectOffsetsNotAhead();
  }

  /** I2, as far as it is certain after faults: an offset that could not be told stays behind, and none is ahead of what was committed. */
  async #expectOffsetsNotAhead(): Promise<void> {
    const { prefix, log } = this.pipeline;
    const { partitions } = await this.pipeline.dump();
    const told = await log.admin().committedOffsets(`${prefix}aggregator`, `${prefix}readings`);
    for (const { partition, journal } of partitions) expect(told[partition] ?? 0).toBeLessThanOrEqual(journal.at(-1)!.to);
  }

  /** I4. */
  async #stateViolations(dump: LogDump): Promise<string[]> {
    const { prefix, log } = this.pipeline;
    const records = await readTopic(log, `${prefix}aggregator-state`);
    const of = { partitions: this.#partitions, readingsTopic: `${prefix}readings` };
    return dump.partitions.flatMap((partition) => {
      const ours = records.filter((record) => record.partition === partition.partition);
      return stateDifferences(newestByKey(ours.map(({ key, value, hasValue }) => ({ key, raw: hasValue ? value : null }))), partition, of);
    });
  }

  /** Ends the devices and then the process, without waiting for the last windows: for a log that no oracle can fold from its beginning. */
  async end(role: RoleProcess): Promise<void> {
    await this.#feed.stop();
    await waitUntil(async () => (await readMetrics(role)).sum('aggregator_lag_records') === 0, 'the last reading to be folded', 120_000);
    expect(await role.stop(), role.log().slice(-2_000)).toBe(0);
  }

  /** What came out, and the state, is one fold of what the devices said, each of it counted once (I1, I3, I4, I5, I6, I8). */
  async expectOneFold(): Promise<{ verdict: FoldVerdict; abortedTransactions: number }> {
    const dump = await this.pipeline.dump();
    const verdict = this.pipeline.verdict(dump);
    expect(verdict.violations).toEqual([]);
    expect(await this.#stateViolations(dump)).toEqual([]);
    expect(verdict.outcomes.get('counted')).toBe(this.#feed.readings);
    // A broker that fails may make the devices say something twice.
    expect([...verdict.outcomes.keys()].filter((outcome) => outcome !== 'counted' && outcome !== 'duplicate')).toEqual([]);
    // There was something to raise and to end twice; what has not ended is at most what each device and rule has raised last.
    const { raised, ended } = verdict.episodes;
    expect(ended).toBeGreaterThan(10);
    expect(raised - ended).toBeLessThanOrEqual(DEVICES * RULE_COUNT);
    expect(dump.partitions.some(({ alerts }) => alerts.some(({ ruleId }) => ruleId === 'lasting'))).toBe(true);
    return { verdict, abortedTransactions: dump.abortedTransactions };
  }

  async close(): Promise<void> {
    await this.#feed.stop().catch(() => undefined);
    await this.#producer.close();
    await this.pipeline.close();
  }
}

const ENDING_MS = 30_000;

async function consumedBy(role: RoleProcess): Promise<number> {
  return isAsked(role) ? (await metricsOf(role)).sum('readings_consumed_total') : 0;
}

/** The partitions that a process folds just now; none while it cannot be asked. */
async function ownedBy(role: RoleProcess): Promise<string[]> {
  return isAsked(role) ? (await metricsOf(role)).labelValues('aggregator_lag_records', 'partition') : [];
}

/** A process that ends refuses to answer before it is known to have ended; then it is its log that says why. */
async function metricsOf(role: RoleProcess): Promise<RoleMetrics> {
  try {
    return await readMetrics(role);
  } catch (error) {
    await Promise.race([role.ended(), sleep(ENDING_MS)]);
    isAsked(role);
    throw error;
  }
}

/** Whether it has said where it can be asked. Throws when it has ended: nothing will come of waiting. */
function isAsked(role: RoleProcess): boolean {
  if (role.child.exitCode !== null || role.child.signalCode !== null)
    throw new Error(`an aggregator has ended:\n${role.log().slice(-4_000)}`);
  return role.log().includes('"listening"');
}
