import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { configureLog } from '../src/ops/log.ts';
import { drainAggregator } from './aggregator/drain.ts';
import { drainBridge, steadyLoadOnBridge } from './bridge/bridge.ts';
import { alertLatency } from './latency/latency.ts';
import { restartAndRebalance } from './restart/restart.ts';
import { startToFirstRow } from './start/start.ts';
import type { Benchmark } from './support/bench.ts';
import { type Components, openComponents } from './support/components.ts';
import { type Figure, figureTable, loadAverage, machine, sumUp } from './support/figures.ts';

// All benchmarks, or some of them, one after the other, and one table: npm run bench. See README.md beside this file.

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  bridge: drainBridge,
  steady: steadyLoadOnBridge,
  aggregator: drainAggregator,
  latency: alertLatency,
  restart: restartAndRebalance,
  start: startToFirstRow,
};
/** The one that starts everything itself. */
const WITHOUT_COMPONENTS = 'start';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: Object.keys(BENCHMARKS).join(',') },
    repeat: { type: 'string', default: '1' },
    unmeasured: { type: 'string', default: '0' },
    messages: { type: 'string', default: '500000' },
    against: { type: 'string', default: 'naive,before,after' },
    records: { type: 'string', default: '1000000' },
    devices: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '1000' },
    'bridge-rate': { type: 'string', default: '5000' },
    'warm-up': { type: 'string', default: '40' },
    seconds: { type: 'string', default: '30' },
    'window-seconds': { type: 'string', default: '10' },
    'kafka-jvm': { type: 'string', default: 'server' },
    profile: { type: 'string' },
    json: { type: 'string' },
  },
});
const sizes = {
  messages: whole('messages', 1),
  against: flags.against.split(','),
  records: whole('records', 1),
  devices: whole('devices', 1),
  ratePerSecond: whole('rate', 1),
  bridgeRatePerSecond: whole('bridge-rate', 1),
  warmUpSeconds: whole('warm-up', 1),
  seconds: whole('seconds', 1),
  windowSeconds: whole('window-seconds', 1),
};
const chosen = flags.only.split(',');
const unknown = chosen.filter((name) => !Object.hasOwn(BENCHMARKS, name));
if (unknown.length > 0) throw new Error(`--only ${unknown.join(',')}: allowed is ${Object.keys(BENCHMARKS).join(', ')}`);
const kafkaJvm = flags['kafka-jvm'];
if (kafkaJvm !== 'server' && kafkaJvm !== 'quick_start') throw new Error(`--kafka-jvm is '${kafkaJvm}': allowed is server, quick_start`);
const profileFolder = flags.profile === undefined ? null : resolve(flags.profile);
if (profileFolder !== null) mkdirSync(profileFolder, { recursive: true });

function whole(name: keyof typeof flags, least: number): number {
  const value = Number(flags[name]);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`--${name} is '${flags[name]}': allowed is a whole number from ${least}`);
}

configureLog({ level: 'warn', format: 'text' });
const startedAtMs = performance.now();
const loads: number[] = [];
const runs: (readonly Figure[])[] = [];
const components: Components | null = chosen.some((name) => name !== WITHOUT_COMPONENTS) ? await openComponents(kafkaJvm) : null;
try {
  const unmeasured = whole('unmeasured', 0);
  for (let round = 1; round <= unmeasured + whole('repeat', 1); round += 1) {
    for (const name of chosen) {
      loads.push(loadAverage());
      process.stderr.write(`${name}, round ${round}, load average ${loads.at(-1)!.toFixed(1)}\n`);
      const given = components ?? { kafkaBrokers: [], registryUrl: '', mqttUrl: '', stop: async () => {} };
      const run = await BENCHMARKS[name]!({ components: given, sizes, profileFolder });
      if (round > unmeasured) runs.push(run);
    }
  }
} finally {
  await components?.stop();
}

const figures = sumUp(runs);
const load = `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
process.stdout.write(
  `\n${figureTable(figures)}\n\n${machine()}; load average before each benchmark ${load}; ${Math.round((performance.now() - startedAtMs) / 1000)} s\n`,
);
if (flags.json !== undefined)
  writeFileSync(flags.json, `${JSON.stringify({ machine: machine(), loads, sizes, runs, figures }, null, 2)}\n`);
