import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { compare } from '../../simulators/compare.ts';
import { readTruthFile, type TruthReading } from '../../simulators/truth-file.ts';
import { faultSeed, killAgainAndAgain, seededRandom } from '../support/kill-schedule.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { freshName } from '../support/stack.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import type { LogDump } from '../support/topic-dump.ts';
import { type Delivery, deliveryOf } from '../support/truth-delivery.ts';

// kill -9 of the bridge and of the aggregator, three times each, at random moments while devices send. Nothing may be lost, nothing
// counted twice, and what came out must be one sequential fold of the log.

const DEVICES = 50;
const PARTITIONS = 4;
const KILLS = 3;
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
  readonly killed: readonly RoleProcess[];
  readonly exitCodes: readonly (number | null)[];
}

/** Everything from the first process to the last. */
async function storm(running: TestPipeline, fleet: string, seed: number): Promise<Aftermath> {
  const truthFile = join(running.folder, 'truth.jsonl');
  const startSimulator = () =>
    running.start(`simulate --devices ${DEVICES} --rate 400 --prefix ${fleet} --cycle 8s --seed ${seed} --truth ${truthFile}`);
  const bridgeReady = Promise.withResolvers<void>();
  const bridges = killAgainAndAgain({
    times: KILLS,
    readyLine: 'taking messages',
    latestMs: 1_500,
    random: seededRandom(seed),
    start: () => {
      const bridge = running.start('bridge');
      bridge.logged('taking messages').then(bridgeReady.resolve, () => undefined);
      return bridge;
    },
  });
  // mosquitto keeps messages for a bridge that it has seen once: the devices begin when the first one has subscribed.
  await Promise.race([bridgeReady.promise, bridges]);
  const simulator = startSimulator();
  const aggregators = killAgainAndAgain({
    times: KILLS,
    readyLine: 'partition restored',
    latestMs: 1_500,
    random: seededRandom(seed + 500_000_000),
    start: () => running.start('aggregate'),
  });
  const [bridge, aggregator] = await Promise.all([bridges, aggregators]);
  const simulated = await simulator.stop();
  await running.settle();
  const exitCodes = [simulated, await bridge.role.stop(), await aggregator.role.stop()];
  const truth = (await readTruthFile(truthFile)).flatMap((run) => run.readings);
  return { dump: await running.dump(), truth, killed: [...bridge.killed, ...aggregator.killed], exitCodes };
}

function summary(seed: number, delivery: Delivery, dump: LogDump): string {
  const { sent, acked, inKafka, deadLettered, duplicates, lost } = delivery;
  const numbers = { sent, acked, inKafka, deadLettered, duplicates, lost: lost.length, abortedTransactions: dump.abortedTransactions };
  return `kill -9, seed ${seed}: ${Object.entries(numbers)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')}`;
}

describe('kill -9 of the bridge and of the aggregator, three times each, loses nothing and counts nothing twice', () => {
  const seeds = Array.from({ length: repeats }, (_, index) => firstSeed + index);
  test.each(seeds)('seed %i (INGOT_FAULT_SEED repeats it)', { timeout: 120_000 }, async (seed) => {
    const fleet = freshName('storm');
    const devices = Array.from({ length: DEVICES }, (_, index) => `${fleet}-${String(index + 1).padStart(4, '0')}`);
    pipeline = await TestPipeline.create({ partitions: PARTITIONS, devices, rules: RULES });
    const { dump, truth, killed, exitCodes } = await storm(pipeline, fleet, seed);
    const delivery = deliveryOf(truth, dump);
    process.stdout.write(`${summary(seed, delivery, dump)}\n`);

    // I9, and P1.
    expect(delivery.lost).toEqual([]);
    expect(delivery.invented).toEqual([]);
    expect(delivery.acked).toBeGreaterThan(1_000);
    // I1, I3, I5, I6, I8.
    const verdict = pipeline.verdict(dump);
    expect(verdict.violations).toEqual([]);
    const { counted = 0, duplicate = 0, ...others } = Object.fromEntries(verdict.outcomes);
    expect({ counted, duplicate, others }).toEqual({
      counted: delivery.inKafka - delivery.duplicates,
      duplicate: delivery.duplicates,
      others: {},
    });
    // P5, P6 and P8 by the truth.
    const judged = new Set(TRUTH_RULES.map(({ id }) => id));
    const actual = {
      aggregates: dump.partitions.flatMap(({ aggregates }) => aggregates),
      alerts: dump.partitions.flatMap(({ alerts }) => alerts).filter(({ ruleId }) => judged.has(ruleId)),
    };
    const comparison = compare(truth, { windowSizeMs: WINDOW_SIZE_MS, rules: TRUTH_RULES }, actual);
    expect(comparison.differences).toEqual([]);
    expect(comparison.alertsExpected).toBeGreaterThan(10);
    // The storm was one.
    expect(killed.map(({ child }) => child.signalCode)).toEqual(Array.from({ length: 2 * KILLS }, () => 'SIGKILL'));
    expect(exitCodes).toEqual([0, 0, 0]);
  });
});
