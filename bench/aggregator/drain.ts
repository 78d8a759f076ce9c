import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { type Bench, freshPrefix, PARTITIONS } from '../support/bench.ts';
import { startRole, startScript } from '../support/contender.ts';
import type { Figure } from '../support/figures.ts';
import { JournalWatch } from '../support/journal-watch.ts';
import type { ProcessCost } from '../support/process-cost.ts';
import { waitUntil } from '../support/wait-until.ts';
import { writeBacklog } from './backlog.ts';

// The aggregator from a backlog, exactly once, against two scripts without state or guarantee, on the same records in one run.

interface Result {
  readonly recordsPerSecond: number;
  readonly cpuMicrosPerRecord: number;
  readonly peakMemoryMiB: number;
}

interface Backlog {
  readonly prefix: string;
  readonly records: number;
  readonly log: LogClient;
}

export async function drainAggregator(bench: Bench): Promise<readonly Figure[]> {
  const { components, sizes } = bench;
  const prefix = freshPrefix('aggregator');
  const log = createKafkaLog({ brokers: components.kafkaBrokers, clientId: 'bench' });
  try {
    await log
      .admin()
      .createTopics([
        ...topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }),
        { name: `${prefix}naive-out`, partitions: PARTITIONS, replicationFactor: 1, configs: {} },
      ]);
    const codecs = await openSchemaCodecs({ registry: { url: components.registryUrl, autoRegister: true }, topicPrefix: prefix });
    const { records, devices } = sizes;
    const startMs = Math.floor((Date.now() - (records / devices) * 1_000) / 60_000) * 60_000;
    const topic = topicNames(prefix).readings;
    await writeBacklog(log, await codecs.openEncoder(READING_SCHEMA), { topic, partitions: PARTITIONS, records, devices, startMs });
    const backlog = { prefix, records, log };
    const ours = await drainOurs(bench, backlog);
    if (!sizes.against.includes('naive')) return figures('nothing', ours, null);
    const byBatch = await drainScript(bench, backlog, 'naive-each-batch.ts');
    const byMessage = await drainScript(bench, backlog, 'naive-each-message.ts');
    return [...figures('eachBatch', ours, byBatch), ...figures('eachMessage', ours, byMessage)];
  } finally {
    await log.close();
  }
}

function figures(against: string, ours: Result, script: Result | null): readonly Figure[] {
  const row = (name: string, field: keyof Result, target = ''): Figure => ({
    name: `aggregator, backlog, against ${against}: ${name}`,
    ours: ours[field],
    yardstick: script?.[field] ?? null,
    target,
  });
  return [
    row('records/s', 'recordsPerSecond', '>= 500000'),
    row('us CPU per record', 'cpuMicrosPerRecord', '<= 2'),
    row('peak MiB', 'peakMemoryMiB', '< 200'),
  ];
}

/**
 * From the moment when the first partition can be folded until the last reading is committed; the start of the process is not counted. The journal
 * says what was committed: whoever asked Kafka for the ends of topics again and again would take a part of the two processors.
 */
async function drainOurs(bench: Bench, { prefix, records, log }: Backlog): Promise<Result> {
  let first: Mark | null = null;
  let last: Mark | null = null;
  let readings = 0;
  const role = await startRole(bench, {
    words: ['aggregate', '--event-time-past-limit', 'unlimited'],
    prefix,
    environment: { LOG_LEVEL: 'info', LOG_FORMAT: 'json' },
    onLogLine: (line) => {
      if (line.includes('"partition restored"')) first ??= { atMs: performance.now(), readings, cost: role.cost() };
    },
  });
  const journal = new JournalWatch(log, { topic: topicNames(prefix).aggregatorJournal, partitions: PARTITIONS }, (commit) => {
    readings += commit.readings;
    last = { atMs: commit.atMs, readings, cost: role.cost() };
  });
  try {
    await waitUntil('the last commit', () => readings >= records, { isOver: role.hasEnded });
    return resultOf(first!, last!);
  } finally {
    await role.end();
    await journal.stop();
  }
}

async function drainScript(bench: Bench, { prefix, records }: Backlog, file: string): Promise<Result> {
  const script = startScript(bench, new URL(file, import.meta.url), { prefix });
  try {
    const mark: Mark = { atMs: 0, readings: 0, cost: script.cost() };
    const marked = (): Mark => ({ ...mark, atMs: performance.now(), cost: script.cost() });
    script.child.on('message', (message: { consumed?: number }) => {
      mark.readings = message.consumed ?? mark.readings;
    });
    const isOver = script.hasEnded;
    await waitUntil('the first batch', () => mark.readings > 0, { isOver });
    const first = marked();
    await waitUntil('the last batch', () => mark.readings >= records, { isOver });
    return resultOf(first, marked());
  } finally {
    await script.end();
  }
}

interface Mark {
  readonly atMs: number;
  /** Done with by then. */
  readings: number;
  readonly cost: ProcessCost;
}

function resultOf(first: Mark, last: Mark): Result {
  const counted = last.readings - first.readings;
  return {
    recordsPerSecond: counted / ((last.atMs - first.atMs) / 1000),
    cpuMicrosPerRecord: ((last.cost.cpuSeconds - first.cost.cpuSeconds) * 1e6) / counted,
    peakMemoryMiB: last.cost.peakMemoryMiB,
  };
}
