import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ForeignProducer, type ForeignRecord } from '../support/foreign-producer.ts';
import { LiveFeed } from '../support/live-feed.ts';
import { readMetrics } from '../support/role-metrics.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { waitUntil } from '../support/wait-until.ts';

// The aggregator restarts with other settings, while devices go on sending: the change is a transaction of its own in every partition,
// and anyone can repeat the fold from the log and the journal.

const PARTITIONS = 3;
const DEVICES = 9;
const RULES = `rules:
  - { id: gone, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }
  - { id: kept, metric: temperature, above: 100, deadband: 5, severity: WARNING }
`;
const FEWER_RULES = 'rules: [{ id: kept, metric: temperature, above: 90, deadband: 5, severity: WARNING }]\n';

let pipeline: TestPipeline | undefined;
let producer: ForeignProducer | undefined;
afterEach(async () => {
  await producer?.close();
  await pipeline?.close();
});

/** Devices 0, 3, 6 are always hot; the others go up and down. */
function round(by: ForeignProducer, now: number, number: number): ForeignRecord[] {
  return Array.from({ length: DEVICES }, (_, device) => {
    const temperature = device % 3 === 0 ? 120 : 98 + 9 * Math.sin(number / 6 + device);
    return by.record({ deviceId: `m${device}`, eventTime: now, identity: 1 + number * DEVICES + device, temperature });
  });
}

/** Whether every partition has been restored, and has committed what that came to. */
const hasBegun = (role: { log(): string }): boolean => role.log().split('"partition restored"').length === PARTITIONS + 1;

/** Whether every partition has a clock, which the first reading sets. */
const hasFoldedEverywhere = async (role: RoleProcess): Promise<boolean> =>
  (await readMetrics(role)).labelValues('event_time_lag_seconds', 'partition').length === PARTITIONS;

describe('a restart with another window and one rule less', () => {
  test('is journaled in every partition, ends what cannot go on, and the oracle agrees', { timeout: 90_000 }, async () => {
    pipeline = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES });
    const by = await ForeignProducer.open({ prefix: pipeline.prefix, partitions: PARTITIONS });
    producer = by;
    const running = pipeline;
    const fewer = join(running.folder, 'fewer.yaml');
    await writeFile(fewer, FEWER_RULES);
    const feed = new LiveFeed(by, (now, number) => round(by, now, number));

    const first = running.start('aggregate');
    const hasRaised = async () => (await readMetrics(first)).sum('alert_transitions_total', { rule: 'gone', transition: 'RAISED' }) >= 3;
    await first.logged('"started"');
    await waitUntil(() => hasBegun(first), 'every partition', 20_000);
    await waitUntil(hasRaised, 'alerts of the rule that will go', 20_000);
    await waitUntil(() => hasFoldedEverywhere(first), 'readings of every partition', 20_000);
    expect(await first.stop()).toBe(0);

    const second = running.start('aggregate', { WINDOW_SIZE: '3s', RULES_FILE: fewer, SETTINGS_VERSION: '1' });
    await waitUntil(() => second.log().split('settings changed').length === PARTITIONS + 1, 'the change in every partition', 20_000);
    await waitUntil(() => hasBegun(second), 'every partition with the change', 20_000);
    await waitUntil(async () => (await readMetrics(second)).sum('windows_emitted_total', { closed_by: 'TIME' }) > 0, 'new windows', 20_000);
    expect(await second.stop()).toBe(0);

    // The older version loses, although it starts later.
    const third = running.start('aggregate', { WINDOW_SIZE: '7s' });
    await waitUntil(() => third.log().split('other settings are in force').length === PARTITIONS + 1, 'three warnings', 20_000);
    expect((await readMetrics(third)).sum('settings_overruled')).toBe(PARTITIONS);
    await feed.stop();
    await running.settle();
    expect(await third.stop()).toBe(0);

    const dump = await running.dump();
    const { violations, outcomes } = running.verdict(dump);
    expect(violations).toEqual([]);
    expect(Object.fromEntries(outcomes)).toEqual({ counted: feed.readings });
    for (const { journal } of dump.partitions) {
      const changes = journal.flatMap(({ settings }) => (settings === undefined ? [] : [settings]));
      expect(changes).toMatchObject([
        { windowSizeMs: 5_000, rules: [{ id: 'gone' }, { id: 'kept', version: 1, threshold: 100 }] },
        { windowSizeMs: 3_000, rules: [{ id: 'kept', version: 2, threshold: 90 }] },
      ]);
      expect((changes[1] as { rules: unknown[] }).rules).toHaveLength(1);
    }
    const alerts = dump.partitions.flatMap((partition) => partition.alerts);
    const expired = alerts.filter(({ transition }) => transition === 'EXPIRED');
    expect(expired.map(({ deviceId }) => deviceId)).toEqual(expect.arrayContaining(['m0', 'm3', 'm6']));
    expect(new Set(expired.map(({ ruleId }) => ruleId))).toEqual(new Set(['gone']));
    const versions = new Set(alerts.filter(({ ruleId }) => ruleId === 'kept').map(({ ruleVersion }) => ruleVersion));
    expect(versions).toEqual(new Set([1, 2]));
    const sizes = new Set(dump.partitions.flatMap(({ aggregates }) => aggregates.map((row) => row.windowEnd - row.windowStart)));
    expect(sizes).toEqual(new Set([5_000, 3_000]));
  });
});
