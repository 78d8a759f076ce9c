import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { ALERT_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { type Bench, freshPrefix, PARTITIONS } from '../support/bench.ts';
import { type Contender, startRole, startScript } from '../support/contender.ts';
import { decodeValue } from '../support/decode-value.ts';
import { type Figure, quantile } from '../support/figures.ts';
import { endSession } from '../support/mqtt-session.ts';
import type { ProcessCost } from '../support/process-cost.ts';
import { waitUntil } from '../support/wait-until.ts';
import type { LoadSent, SteadyLoad } from './steady-load.ts';
import { type ReadingTime, readTransitions, type TransitionReader } from './transition-reader.ts';
import { WindowLatency } from './window-latency.ts';

// From the reading to its alert on Kafka under a steady load, bridge and aggregator each a process; against the two scripts, which
// promise nothing. The clock is one machine's: the time in the reading against the moment a read_committed reader has the alert.

const CONNECTIONS = 50;
/** Two of a hundred readings raise or resolve an alert. */
const FLIP_EVERY = 50;
const GRACE_MS = 2_000;

interface Result {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** From the record that closes a window until its rows are there; null of the scripts. */
  readonly windowP99Ms: number | null;
  readonly bridge: RoleCost;
  readonly aggregator: RoleCost;
}

interface RoleCost {
  readonly cpuMicrosPerReading: number;
  readonly peakMemoryMiB: number;
}

/** One of the two ways, running and ready. */
interface Path {
  readonly bridge: Contender;
  readonly aggregator: Contender;
  readonly reader: TransitionReader;
  readonly windows: WindowLatency | null;
}

export async function alertLatency(bench: Bench): Promise<readonly Figure[]> {
  const ours = await measure(bench, { what: 'latency', clientId: (prefix) => `${prefix}-1`, open: openOurs });
  // At a rate that is too much for them the scripts fall behind for ever: --against none leaves them out.
  const isCompared = bench.sizes.against.includes('naive');
  const scripts = isCompared ? await measure(bench, { what: 'latency-scripts', clientId: (prefix) => prefix, open: openScripts }) : null;
  const row = (name: string, field: (result: Result) => number, target = ''): Figure => ({
    name: `steady ${bench.sizes.ratePerSecond}/s: ${name}`,
    ours: field(ours),
    yardstick: scripts === null ? null : field(scripts),
    target,
  });
  return [
    row('reading to alert, p50 ms', (result) => result.p50Ms, '< 30'),
    row('reading to alert, p99 ms', (result) => result.p99Ms, '< 100'),
    row('reading to alert, worst ms', (result) => result.worstMs),
    {
      name: `steady ${bench.sizes.ratePerSecond}/s: closing record to the window's rows, p99 ms`,
      ours: ours.windowP99Ms ?? Number.NaN,
      yardstick: null,
      target: '<= 100',
    },
    row('bridge, us CPU per reading', (result) => result.bridge.cpuMicrosPerReading),
    row('aggregator, us CPU per reading', (result) => result.aggregator.cpuMicrosPerReading),
    row('bridge, peak MiB', (result) => result.bridge.peakMemoryMiB, '< 250'),
    row('aggregator, peak MiB', (result) => result.aggregator.peakMemoryMiB, '< 200'),
  ];
}

interface Way {
  readonly what: string;
  readonly clientId: (prefix: string) => string;
  readonly open: (bench: Bench, prefix: string, log: LogClient) => Promise<Path>;
}

async function measure(bench: Bench, { what, clientId, open }: Way): Promise<Result> {
  const { kafkaBrokers, mqttUrl } = bench.components;
  const prefix = freshPrefix(what);
  const log = createKafkaLog({ brokers: kafkaBrokers, clientId: 'bench' });
  let path: Path | null = null;
  try {
    await log
      .admin()
      .createTopics([
        ...topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }),
        { name: `${prefix}naive-out`, partitions: PARTITIONS, replicationFactor: 1, configs: {} },
      ]);
    path = await open(bench, prefix, log);
    return await underLoad(bench, path);
  } finally {
    await path?.reader.stop();
    await path?.aggregator.end();
    await path?.bridge.end();
    await endSession(mqttUrl, clientId(prefix));
    await log.close();
  }
}

async function openOurs(bench: Bench, prefix: string, log: LogClient): Promise<Path> {
  const windowing = { WINDOW_SIZE: `${bench.sizes.windowSeconds}s`, WINDOW_GRACE: `${GRACE_MS}ms` };
  const [bridge, aggregator] = await Promise.all([
    startRole(bench, { words: ['bridge'], prefix }),
    startRole(bench, { words: ['aggregate'], prefix, environment: windowing }),
  ]);
  await Promise.all([bridge.ready(), aggregator.ready()]);
  const registry = { url: bench.components.registryUrl, autoRegister: false };
  const codecs = await openSchemaCodecs({ registry, topicPrefix: prefix });
  const decoder = codecs.openDecoder(ALERT_SCHEMA);
  const readingTime: ReadingTime = async (buffer, start, end) => {
    const decoded = await decodeValue(decoder, { buffer, valueStart: start, valueEnd: end });
    return decoded.kind === 'value' ? decoded.value.transitionAt : null;
  };
  const topics = topicNames(prefix);
  const windows = new WindowLatency(log, codecs, { topics, partitions: PARTITIONS, graceMs: GRACE_MS });
  return { bridge, aggregator, windows, reader: readTransitions(log, { topic: topics.alerts, partitions: PARTITIONS }, readingTime) };
}

async function openScripts(bench: Bench, prefix: string, log: LogClient): Promise<Path> {
  const bridge = startScript(bench, new URL('../bridge/naive-bridge.ts', import.meta.url), { prefix });
  const aggregator = startScript(bench, new URL('../aggregator/naive-each-batch.ts', import.meta.url), { prefix });
  await Promise.all([once(bridge.child, 'message'), once(aggregator.child, 'message')]);
  const readingTime: ReadingTime = (buffer, start, end) => {
    const { firing, eventTime } = JSON.parse(buffer.toString('utf8', start, end)) as { firing?: boolean; eventTime?: number };
    return firing === undefined ? null : (eventTime ?? null);
  };
  const reader = readTransitions(log, { topic: `${prefix}naive-out`, partitions: PARTITIONS }, readingTime);
  return { bridge, aggregator, windows: null, reader };
}

async function underLoad({ components, sizes }: Bench, path: Path): Promise<Result> {
  const { devices, ratePerSecond, warmUpSeconds, seconds } = sizes;
  const load: SteadyLoad = {
    mqttUrl: components.mqttUrl,
    devices,
    ratePerSecond,
    seconds: warmUpSeconds + seconds,
    connections: CONNECTIONS,
    flipEvery: FLIP_EVERY,
  };
  const sender = fork(fileURLToPath(new URL('steady-load.ts', import.meta.url)), [JSON.stringify(load)]);
  await once(sender, 'message');
  const sent = once(sender, 'message') as Promise<[LoadSent]>;
  sender.send('begin');
  await sleep(warmUpSeconds * 1000);
  const before = costs(path);
  const fromMs = Date.now();
  const [{ flips }] = await sent;
  const after = costs(path);
  const { seen } = path.reader;
  await waitUntil(`${flips} alerts`, () => seen.length >= flips);
  if (seen.length > flips) throw new Error(`${seen.length} transitions for ${flips} readings that cause one`);
  const latenciesMs = seen.filter(({ readingAtMs }) => readingAtMs >= fromMs).map(({ readingAtMs, seenAtMs }) => seenAtMs - readingAtMs);
  const readings = seconds * ratePerSecond;
  const windowsMs = (await path.windows?.stop(fromMs)) ?? null;
  return {
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    worstMs: quantile(latenciesMs, 1),
    windowP99Ms: windowsMs === null ? null : quantile(windowsMs, 0.99),
    bridge: between(before.bridge, after.bridge, readings),
    aggregator: between(before.aggregator, after.aggregator, readings),
  };
}

interface Costs {
  readonly bridge: ProcessCost;
  readonly aggregator: ProcessCost;
}

function costs({ bridge, aggregator }: Path): Costs {
  return { bridge: bridge.cost(), aggregator: aggregator.cost() };
}

function between(before: ProcessCost, after: ProcessCost, readings: number): RoleCost {
  return {
    cpuMicrosPerReading: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / readings,
    peakMemoryMiB: after.peakMemoryMiB,
  };
}
