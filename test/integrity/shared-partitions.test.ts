import { afterEach, describe, expect, test } from 'vitest';
import { ForeignProducer } from '../support/foreign-producer.ts';
import { LiveFeed } from '../support/live-feed.ts';
import { partitionOfKey } from '../support/oracle/murmur2.ts';
import { readMetrics } from '../support/role-metrics.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { waitUntil } from '../support/wait-until.ts';

// Several aggregators in one group, while devices go on sending: partitions move between them, in order and out of it, and what comes out
// is still one fold.

const PARTITIONS = 4;
/** So many that every partition has some. */
const devices = Array.from({ length: 24 }, (_, index) => `s${index}`);
/** Only a failure takes so long. */
const DEADLINE_MS = 120_000;
const ALL = ['0', '1', '2', '3'];
const RULES = 'rules: [{ id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }]\n';

let pipeline: TestPipeline | undefined;
let feed: LiveFeed | undefined;
let producer: ForeignProducer | undefined;
afterEach(async () => {
  await feed?.stop();
  await producer?.close();
  await pipeline?.close();
});

/** A pipeline whose devices send, unless they are silent just now, with an aggregator at work on all partitions. */
async function atWork(isSilent: (device: string) => boolean): Promise<{ running: TestPipeline; sending: LiveFeed; first: RoleProcess }> {
  const running = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES });
  pipeline = running;
  const by = await ForeignProducer.open({ prefix: running.prefix, partitions: PARTITIONS });
  producer = by;
  const sending = new LiveFeed(by, (now, number) =>
    devices.flatMap((deviceId, index) => {
      if (isSilent(deviceId)) return [];
      const temperature = 98 + 9 * Math.sin(number / 5 + index);
      return [by.record({ deviceId, eventTime: now, identity: 1 + number * devices.length + index, temperature })];
    }),
  );
  feed = sending;
  // That it fences is told at this level.
  const first = running.start('aggregate', { LOG_LEVEL: 'debug' });
  await waitUntil(async () => (await ownedBy(first)).length === PARTITIONS, 'all partitions at one process', DEADLINE_MS);
  return { running, sending, first };
}

/** The partitions that a process folds just now; none while it cannot be asked. */
async function ownedBy(role: RoleProcess): Promise<string[]> {
  if (!role.log().includes('"listening"')) return [];
  return (await readMetrics(role)).labelValues('aggregator_lag_records', 'partition');
}

/** What a process has told, line by line. */
function linesOf(role: RoleProcess): { readonly time: number; readonly msg: string }[] {
  const whole = role.log().split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as { time: number; msg: string });
}

/** Each has some, and together they have each partition once. */
async function isShared(first: RoleProcess, second: RoleProcess): Promise<boolean> {
  const [one, two] = [await ownedBy(first), await ownedBy(second)];
  return one.length > 0 && two.length > 0 && [...one, ...two].sort().join() === ALL.join();
}

async function expectOneFold(running: TestPipeline, sending: LiveFeed): Promise<void> {
  const { violations, outcomes } = running.verdict(await running.dump());
  expect(violations).toEqual([]);
  expect(Object.fromEntries(outcomes)).toEqual({ counted: sending.readings });
}

describe('aggregators of one group', () => {
  test('share the partitions, and one that leaves gives them back', { timeout: 240_000 }, async () => {
    const { running, sending, first } = await atWork(() => false);
    const second = running.start('aggregate');
    await waitUntil(() => isShared(first, second), 'shared partitions', DEADLINE_MS);
    const consumed = (await readMetrics(second)).sum('readings_consumed_total');
    await waitUntil(async () => (await readMetrics(second)).sum('readings_consumed_total') > consumed + 50, 'the work of the second');
    expect(await second.stop()).toBe(0);
    await waitUntil(async () => (await ownedBy(first)).join() === ALL.join(), 'all partitions back', DEADLINE_MS);
    await sending.stop();
    await running.settle();
    expect(await first.stop()).toBe(0);
    await expectOneFold(running, sending);
  });

  test('a frozen one whose partitions were taken over writes nothing when it wakes up (I7)', { timeout: 300_000 }, async () => {
    // Half of the partitions are quiet at first: whoever takes them over has nothing to write, so only its fence shuts the frozen one out.
    let isQuiet = true;
    const { running, sending, first } = await atWork((device) => isQuiet && partitionOfKey(device, PARTITIONS) >= 2);
    first.child.kill('SIGSTOP');
    const second = running.start('aggregate');
    await waitUntil(async () => (await ownedBy(second)).join() === ALL.join(), 'all partitions at the second', DEADLINE_MS);
    const consumed = (await readMetrics(second)).sum('readings_consumed_total');
    await waitUntil(async () => (await readMetrics(second)).sum('readings_consumed_total') > consumed + 50, 'the work of the second');
    isQuiet = false;
    const linesBefore = linesOf(first).length;
    first.child.kill('SIGCONT');
    // It has to notice, and to find its way back into the group, where it works again.
    await waitUntil(() => isShared(first, second), 'shared partitions after the thaw', DEADLINE_MS);
    const again = (await readMetrics(first)).sum('readings_consumed_total');
    await waitUntil(async () => (await readMetrics(first)).sum('readings_consumed_total') > again + 50, 'the work of the first');
    // Until the group had given it partitions again it has fenced nobody, and the rightful owner has noticed nothing.
    const thawed = linesOf(first).slice(linesBefore);
    const rejoinedAt = thawed.find(({ msg }) => msg === 'partitions assigned')!.time;
    const fences = thawed.filter(({ msg }) => msg === 'earlier owners of the transactional id are fenced');
    expect(fences.length).toBeGreaterThan(0);
    expect(fences.filter(({ time }) => time < rejoinedAt)).toEqual([]);
    expect(linesOf(second).filter(({ msg, time }) => msg.startsWith('partition dropped') && time < rejoinedAt)).toEqual([]);
    await sending.stop();
    await running.settle();
    expect([await first.stop(), await second.stop()]).toEqual([0, 0]);
    await expectOneFold(running, sending);
  });
});
