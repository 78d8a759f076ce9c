import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogAdmin } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { type Bench, freshPrefix, PARTITIONS } from '../support/bench.ts';
import { type Contender, startRole, startScript } from '../support/contender.ts';
import type { Figure } from '../support/figures.ts';
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
  readonly admin: LogAdmin;
}

export async function drainAggregator(bench: Bench): Promise<readonly Figure[]> {
  const { components, sizes } = bench;
  const prefix = freshPrefix('aggregator');
  const log = createKafkaLog({ brokers: components.kafkaBrokers, clientId: 'bench' });
  try {
    const admin = log.admin();
    await admin.createTopics([
      ...topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }),
      { name: `${prefix}naive-out`, partitions: PARTITIONS, replicationFactor: 1, configs: {} },
    ]);
    const codecs = await openSchemaCodecs({ registry: { url: components.registryUrl, autoRegister: true }, topicPrefix: prefix });
    const { records, devices } = sizes;
    const startMs = Math.floor((Date.now() - (records / devices) * 1_000) / 60_000) * 60_000;
    const topic = topicNames(prefix).readings;
    await writeBacklog(log, await codecs.openEncoder(READING_SCHEMA), { topic, partitions: PARTITIONS, records, devices, startMs });
    const backlog = { prefix, records, admin };
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

/** From the first record committed to the last one; the start of the process is not counted. */
async function drainOurs(bench: Bench, { prefix, records, admin }: Backlog): Promise<Result> {
  const topics = topicNames(prefix);
  const role = await startRole(bench, { words: ['aggregate', '--event-time-past-limit', 'unlimited'], prefix });
  try {
    const journalled = async (): Promise<number> =>
      (await admin.watermarks(topics.aggregatorState)).reduce((sum, { highWatermark }) => sum + highWatermark, 0);
    const committed = async (): Promise<number> => {
      const offsets = await admin.committedOffsets(`${prefix}aggregator`, topics.readings);
      return offsets.reduce<number>((sum, offset) => sum + (offset ?? 0), 0);
    };
    const isOver = role.hasEnded;
    await waitUntil('the first commit', async () => (await journalled()) > 0, { pollMs: 5, isOver });
    const before = { ...role.cost(), atMs: performance.now() };
    let last = { atMs: before.atMs, mark: 0 };
    // The offsets in the group lag up to two seconds behind, so the end is the last growth of the state topic before they are complete.
    const isDone = async (): Promise<boolean> => {
      const mark = await journalled();
      if (mark !== last.mark) last = { atMs: performance.now(), mark };
      return (await committed()) >= records;
    };
    await waitUntil('the last commit', isDone, { isOver });
    return resultOf(role, { ...before, counted: records, seconds: (last.atMs - before.atMs) / 1000 });
  } finally {
    await role.end();
  }
}

async function drainScript(bench: Bench, { prefix, records }: Backlog, file: string): Promise<Result> {
  const script = startScript(bench, new URL(file, import.meta.url), { prefix });
  try {
    let consumed = 0;
    script.child.on('message', (message: { consumed?: number }) => {
      consumed = message.consumed ?? consumed;
    });
    const isOver = script.hasEnded;
    await waitUntil('the first batch', () => consumed > 0, { isOver });
    const before = { ...script.cost(), atMs: performance.now(), consumed };
    await waitUntil('the last batch', () => consumed >= records, { isOver });
    const seconds = (performance.now() - before.atMs) / 1000;
    return resultOf(script, { ...before, counted: records - before.consumed, seconds });
  } finally {
    await script.end();
  }
}

function resultOf(contender: Contender, since: { cpuSeconds: number; counted: number; seconds: number }): Result {
  const { cpuSeconds, peakMemoryMiB } = contender.cost();
  return {
    recordsPerSecond: since.counted / since.seconds,
    cpuMicrosPerRecord: ((cpuSeconds - since.cpuSeconds) * 1e6) / since.counted,
    peakMemoryMiB,
  };
}
