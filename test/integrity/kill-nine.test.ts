import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { compare } from '../../simulators/compare.ts';
import { readTruthFile, type TruthReading } from '../../simulators/truth-file.ts';
import { faultSeed, killAgainAndAgain, seededRandom } from '../support/kill-schedule.ts';
import { freezeInTransaction } from '../support/open-transaction.ts';
import { RepeatingDevice } from '../support/repeating-device.ts';
import { type RoleMetrics, readMetrics } from '../support/role-metrics.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { freshName } from '../support/stack.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import type { LogDump } from '../support/topic-dump.ts';
import { type Delivery, deliveryOf } from '../support/truth-delivery.ts';
import { waitUntil } from '../support/wait-until.ts';

// kill -9 of the bridge and of the aggregator, at random moments while devices send, and of the aggregator once more in the silence after
// them. Nothing may be lost, nothing counted twice, and what came out must be one sequential fold of the log.

const DEVICES = 50;
const PARTITIONS = 4;
const BRIDGE_KILLS = 3;
/** Every second one hits an open transaction, the others come whenever they come. */
const AGGREGATOR_KILLS = 3;
/** After it is at work. */
const LATEST_KILL_MS = 1_500;
const LOOK_MS = 100;
const REPEAT_AFTER_MS = 2_500;
const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
const firstSeed = faultSeed();

const RULES = `rules:
  - { id: high-temperature, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }
  - { id: no-deadband, metric: temperature, above: 100, deadband: 0, severity: WARNING }
  - { id: lasting, metric: temperature, above: 100, deadband: 5, for: 1s, offDelay: 1s, severity: WARNING }
`;
/** A rule with a delay counts on while the bridge is away, as it should, but the truth knows nothing of that: the oracle judges it. */
const TRUTH_RULES = [
  { id: 'high-temperature', metric: 'temperature', above: 100, deadband: 5, forMs: 0, offDelayMs: 0 },
  { id: 'no-deadband', metric: 'temperature', above: 100, deadband: 0, forMs: 0, offDelayMs: 0 },
];
const WINDOW_SIZE_MS = 5_000;

let pipeline: TestPipeline | undefined;
afterEach(async () => {
  await pipeline?.close();
});

interface Aftermath {
  readonly dump: LogDump;
  readonly truth: readonly TruthReading[];
  /** What the device that says everything twice has said. */
  readonly repeated: readonly string[];
  readonly killed: readonly RoleProcess[];
  readonly exitCodes: readonly (number | null)[];
}

/** Everything from the first process to the last. */
async function storm(running: TestPipeline, { fleet, twice, seed }: { fleet: string; twice: string; seed: number }): Promise<Aftermath> {
  const firstBridge = running.start('bridge');
  // mosquitto keeps messages for a bridge that it has seen once.
  await firstBridge.logged('taking messages');
  const truthFile = join(running.folder, 'truth.jsonl');
  const words = `simulate --devices ${DEVICES} --rate 400 --prefix ${fleet} --cycle 8s --seed ${seed}`;
  const simulator = running.start(`${words} --truth ${truthFile}`);
  const repeating = await RepeatingDevice.start({ device: twice, repeatAfterMs: REPEAT_AFTER_MS });
  const [bridgeRandom, aggregatorRandom] = [seededRandom(seed), seededRandom(seed + 500_000_000)];
  const journal = (time: number) => ({ topic: `${running.prefix}aggregator-journal`, partition: time % PARTITIONS });
  const [bridge, aggregator] = await Promise.all([
    killAgainAndAgain({
      first: firstBridge,
      times: BRIDGE_KILLS,
      readyLine: 'taking messages',
      moment: () => sleep(bridgeRandom() * LATEST_KILL_MS),
      start: () => running.start('bridge'),
    }),
    killAgainAndAgain({
      first: running.start('aggregate'),
      times: AGGREGATOR_KILLS,
      readyLine: 'partition restored',
      moment: (role, time) =>
        time % 2 === 1 ? sleep(aggregatorRandom() * LATEST_KILL_MS) : freezeInTransaction(role, { log: running.log, ...journal(time) }),
      start: () => running.start('aggregate'),
    }),
  ]);
  await repeating.stop();
  const simulated = await simulator.stop();
  // Nobody sends any more: what is open now closes only if the next one knows what time it was.
  await waitUntil(async () => (await isIdle(bridge.role)) && (await hasFoldedAll(aggregator.role)), 'the end of the backlog', 60_000);
  await aggregator.role.kill();
  const last = running.start('aggregate');
  await running.settle();
  const exitCodes = [simulated, await bridge.role.stop(), await last.stop()];
  return {
    dump: await running.dump(),
    truth: (await readTruthFile(truthFile)).flatMap((run) => run.readings),
    repeated: repeating.taken,
    killed: [...bridge.killed, ...aggregator.killed, aggregator.role],
    exitCodes,
  };
}

/** Nothing in flight, and nothing that came while we looked. */
async function isIdle(bridge: RoleProcess): Promise<boolean> {
  const before = await readMetrics(bridge);
  await sleep(LOOK_MS);
  const after = await readMetrics(bridge);
  const received = (metrics: RoleMetrics) => metrics.sum('bridge_messages_received_total');
  return received(after) === received(before) && after.sum('bridge_inflight_messages') === 0;
}

async function hasFoldedAll(aggregator: RoleProcess): Promise<boolean> {
  const metrics = await readMetrics(aggregator);
  const partitions = metrics.labelValues('aggregator_lag_records', 'partition');
  return partitions.length === PARTITIONS && metrics.sum('aggregator_lag_records') === 0;
}

/** The records in `readings`, and how many different messages they are: by what a device says of itself, not by the bridge's hash. */
function messagesOf(dump: LogDump, device: (id: string) => boolean): { records: number; distinct: number } {
  const records = dump.partitions.flatMap(({ readings }) => readings.map(({ reading }) => reading!)).filter((one) => device(one.deviceId));
  const distinct = new Set(records.map(({ deviceId, eventTime, sequence }) => `${deviceId} ${eventTime} ${sequence}`));
  return { records: records.length, distinct: distinct.size };
}

function summary(seed: number, delivery: Delivery, dump: LogDump): string {
  const { sent, acked, inKafka, deadLettered, duplicates, lost } = delivery;
  const numbers = { sent, acked, inKafka, deadLettered, duplicates, lost: lost.length, abortedTransactions: dump.abortedTransactions };
  return `kill -9, seed ${seed}: ${Object.entries(numbers)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}`;
}

describe('kill -9 of the bridge and of the aggregator loses nothing and counts nothing twice', () => {
  const seeds = Array.from({ length: repeats }, (_, index) => firstSeed + index);
  test.each(seeds)('seed %i (INGOT_FAULT_SEED repeats it)', { timeout: 300_000 }, async (seed) => {
    const [fleet, twice] = [freshName('storm'), freshName('twice')];
    const devices = Array.from({ length: DEVICES }, (_, index) => `${fleet}-${String(index + 1).padStart(4, '0')}`);
    pipeline = await TestPipeline.create({ partitions: PARTITIONS, devices: [...devices, twice], rules: RULES });
    const { dump, truth, repeated, killed, exitCodes } = await storm(pipeline, { fleet, twice, seed });
    const delivery = deliveryOf(truth, dump);
    process.stdout.write(`${summary(seed, delivery, dump)}\n`);

    // I9, and P1.
    expect(delivery.lost).toEqual([]);
    expect(delivery.invented).toEqual([]);
    expect(delivery.acked).toBeGreaterThan(1_000);
    expect(messagesOf(dump, (id) => id === twice).distinct).toBe(repeated.length);
    // I1, I3, I5, I6, I8.
    const verdict = pipeline.verdict(dump);
    expect(verdict.violations).toEqual([]);
    const { records, distinct } = messagesOf(dump, () => true);
    expect(Object.fromEntries(verdict.outcomes)).toEqual({ counted: distinct, duplicate: records - distinct });
    // P5, P6 and P8 by the truth.
    const judged = new Set(TRUTH_RULES.map(({ id }) => id));
    const actual = {
      aggregates: dump.partitions.flatMap(({ aggregates }) => aggregates),
      alerts: dump.partitions.flatMap(({ alerts }) => alerts).filter(({ ruleId }) => judged.has(ruleId)),
    };
    const comparison = compare(truth, { windowSizeMs: WINDOW_SIZE_MS, rules: TRUTH_RULES }, actual);
    expect(comparison.differences).toEqual([]);
    expect(comparison.alertsExpected).toBeGreaterThan(10);
    // The storm was one, it hit open transactions, and whoever lived to its end ended well.
    const kills = BRIDGE_KILLS + AGGREGATOR_KILLS + 1;
    expect(killed.map(({ child }) => child.signalCode)).toEqual(Array.from({ length: kills }, () => 'SIGKILL'));
    expect(dump.abortedTransactions).toBeGreaterThanOrEqual(Math.ceil(AGGREGATOR_KILLS / 2));
    expect(exitCodes).toEqual([0, 0, 0]);
  });
});
