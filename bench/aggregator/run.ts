import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogAdmin } from '../../src/kafka/log-port.ts';
import { topicSpecs } from '../../src/kafka/topics.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { endProgram, processCost } from '../support/process-cost.ts';
import { writeBacklog } from './backlog.ts';

// The aggregator from a backlog, exactly once, against an eachBatch script without state or guarantee, on the same records in one run.
// node bench/aggregator/run.ts [--records 500000] [--devices 1000]; needs KAFKA_BROKERS and SCHEMA_REGISTRY_URL.

const { values } = parseArgs({ options: { records: { type: 'string', default: '500000' }, devices: { type: 'string', default: '1000' } } });
const records = Number(values.records);
const devices = Number(values.devices);
const brokers = process.env['KAFKA_BROKERS'] ?? '127.0.0.1:9092';
const registryUrl = process.env['SCHEMA_REGISTRY_URL'] ?? 'http://127.0.0.1:8081';
const PARTITIONS = 4;
const DEADLINE_MS = 300_000;

interface Result {
  readonly name: string;
  readonly recordsPerSecond: number;
  readonly cpuMicrosPerRecord: number;
  readonly peakMemoryMiB: number;
}

const prefix = `bench-${process.pid}.`;
const env = { KAFKA_BROKERS: brokers, SCHEMA_REGISTRY_URL: registryUrl, KAFKA_TOPIC_PREFIX: prefix };
const log = createKafkaLog({ brokers: brokers.split(','), clientId: 'bench', ssl: false });
const admin = log.admin();
await admin.createTopics([
  ...topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }),
  { name: `${prefix}naive-out`, partitions: PARTITIONS, replicationFactor: 1, configs: {} },
]);
const codecs = await openSchemaCodecs({ registry: { url: registryUrl, autoRegister: true }, topicPrefix: prefix });
const encoder = await codecs.openEncoder(READING_SCHEMA);
const startMs = Math.floor((Date.now() - (records / devices) * 1_000) / 60_000) * 60_000;
await writeBacklog(log, encoder, { topic: `${prefix}readings`, partitions: PARTITIONS, records, devices, startMs });

const results = [await runAggregator(admin), await runNaive()];
for (const { name, recordsPerSecond, cpuMicrosPerRecord, peakMemoryMiB } of results) {
  const figures = [
    `${Math.round(recordsPerSecond)} records/s`,
    `${cpuMicrosPerRecord.toFixed(2)} us CPU per record`,
    `${Math.round(peakMemoryMiB)} MiB peak`,
  ];
  process.stdout.write(`${name.padEnd(28)} ${figures.join('   ')}\n`);
}
const [ours, naive] = results as [Result, Result];
process.stdout.write(
  `ratio ours/naive: ${(ours.recordsPerSecond / naive.recordsPerSecond).toFixed(2)} x records/s, ${(ours.cpuMicrosPerRecord / naive.cpuMicrosPerRecord).toFixed(2)} x CPU\n`,
);
await admin.close();
await log.close();

/** From the first record folded to the last one committed; the start of the process is not counted. */
async function runAggregator(watch: LogAdmin): Promise<Result> {
  const dataFolder = join(tmpdir(), `ingot-bench-${process.pid}`);
  const cli = new URL('../../src/cli/main.ts', import.meta.url).pathname;
  const flags = ['aggregate', '--http-port', '0', '--event-time-past-limit', 'unlimited', '--log-level', 'warn'];
  const profile = process.env['BENCH_PROFILE'] ? ['--cpu-prof', `--cpu-prof-dir=${process.env['BENCH_PROFILE']}`] : [];
  const child = spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', ...profile, cli, ...flags], {
    env: { ...process.env, ...env, DATA_FOLDER: dataFolder, SCHEMA_AUTO_REGISTER: 'true' },
    stdio: 'inherit',
  });
  try {
    const journalled = async (): Promise<number> =>
      (await watch.watermarks(`${prefix}aggregator-state`)).reduce((sum, { highWatermark }) => sum + highWatermark, 0);
    const committed = async (): Promise<number> => {
      const offsets = await watch.committedOffsets(`${prefix}aggregator`, `${prefix}readings`);
      return offsets.reduce<number>((sum, offset) => sum + (offset ?? 0), 0);
    };
    await until(async () => (await journalled()) > 0);
    const before = { ...processCost(child.pid!), atMs: performance.now() };
    let last = { atMs: before.atMs, mark: 0 };
    // The offsets in the group lag up to two seconds behind, so the end is the last growth of the state topic before they are complete.
    await until(async () => {
      const mark = await journalled();
      if (mark !== last.mark) last = { atMs: performance.now(), mark };
      return (await committed()) >= records;
    });
    const after = processCost(child.pid!);
    const seconds = (last.atMs - before.atMs) / 1000;
    return {
      name: 'ingot aggregate, exactly once',
      recordsPerSecond: records / seconds,
      cpuMicrosPerRecord: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / records,
      peakMemoryMiB: after.peakMemoryMiB,
    };
  } finally {
    await endProgram(child, 15_000);
    rmSync(dataFolder, { recursive: true, force: true });
  }
}

async function runNaive(): Promise<Result> {
  const file = new URL('./naive-each-batch.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', file], {
    env: { ...process.env, ...env, KAFKAJS_NO_PARTITIONER_WARNING: '1', KAFKAJS_LOG_LEVEL: 'error' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    let consumed = 0;
    child.on('message', (message: { consumed: number }) => {
      consumed = message.consumed;
    });
    await until(() => consumed > 0);
    const before = { ...processCost(child.pid!), atMs: performance.now(), consumed };
    await until(() => consumed >= records);
    const seconds = (performance.now() - before.atMs) / 1000;
    const after = processCost(child.pid!);
    const counted = records - before.consumed;
    return {
      name: 'eachBatch script, no guarantee',
      recordsPerSecond: counted / seconds,
      cpuMicrosPerRecord: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / counted,
      peakMemoryMiB: after.peakMemoryMiB,
    };
  } finally {
    await endProgram(child, 5_000);
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`the benchmark did not end within ${DEADLINE_MS} ms`);
    await sleep(50);
  }
}
