import { afterEach, describe, expect, test } from 'vitest';
import { ForeignProducer, type ForeignRecord } from '../support/foreign-producer.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { LiveFeed } from '../support/live-feed.ts';
import { readMetrics } from '../support/role-metrics.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import { waitUntil } from '../support/wait-until.ts';

// Labels and thresholds of single devices are changed while everything runs, and the aggregator is killed right after a change: each change
// is applied exactly once, between two readings, and the oracle comes to the same from the log and the journal.

const PARTITIONS = 2;
const DEVICES = 6;
const RULES = `rules:
  - { id: hot, metric: temperature, above: 100, deadband: 2, severity: WARNING, levels: [{ above: 110, severity: CRITICAL }], staleAfter: 1500ms }
`;

let pipeline: TestPipeline | undefined;
let producer: ForeignProducer | undefined;
afterEach(async () => {
  await producer?.close();
  await pipeline?.close();
});

/** All devices stay between 91 and 99: no alert by the rule itself. */
function round(by: ForeignProducer, now: number, number: number): ForeignRecord[] {
  return Array.from({ length: DEVICES }, (_, device) =>
    by.record({
      deviceId: `m${device}`,
      eventTime: now,
      identity: 1 + number * DEVICES + device,
      temperature: 95 + 4 * Math.sin(number / 5),
    }),
  );
}

const raised = async (role: RoleProcess) => (await readMetrics(role)).sum('alert_transitions_total', { rule: 'hot', transition: 'RAISED' });

describe('profiles of devices, changed while everything runs', () => {
  test('are felt without a restart, and exactly once through a kill', { timeout: 240_000 }, async () => {
    pipeline = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES });
    const by = await ForeignProducer.open({ prefix: pipeline.prefix, partitions: PARTITIONS });
    producer = by;
    const running = pipeline;
    const devices = async (...words: string[]) => await runIngot(['devices', ...words], running.environment);
    const feed = new LiveFeed(by, (now, number) => round(by, now, number));

    // Said before the aggregator starts for the first time: it holds from the first reading.
    expect(await devices('set', 'm5', '--label', 'site=yard')).toMatchObject({ code: 0, err: 'The profile of m5 is written.\n' });
    const first = running.start('aggregate');
    await first.logged('"started"');
    await waitUntil(async () => (await readMetrics(first)).sum('windows_emitted_total') > 0, 'windows', 60_000);
    expect(await raised(first)).toBe(0);

    // The ladder moves along: WARNING above 80, CRITICAL above 90, where the device always is.
    expect((await devices('set', 'm0', '--label', 'site=hall-3', '--threshold', 'hot=80')).code).toBe(0);
    await waitUntil(async () => (await raised(first)) === 1, 'the alert of the device with a lower threshold', 60_000);

    expect((await devices('set', 'm1', '--threshold', 'hot=70,CRITICAL=300', '--label', 'site=hall-4')).code).toBe(0);
    await first.kill();
    const second = running.start('aggregate');
    await second.logged('"started"');
    expect((await devices('set', 'm0', '--disable', 'hot')).code).toBe(0);
    const isExpired = async () => (await readMetrics(second)).sum('alert_transitions_total', { rule: 'hot', transition: 'EXPIRED' }) === 1;
    await waitUntil(isExpired, 'the end of the alert whose rule is disabled', 60_000);
    expect((await devices('forget', 'm5')).code).toBe(0);
    const changes = async () =>
      (await running.dump()).partitions.flatMap(({ journal }) => journal.flatMap((entry) => entry.profiles ?? []));
    await waitUntil(
      async () => (await changes()).some(([id, profile]) => id === 'm5' && profile === null),
      'the profile taken away',
      60_000,
    );
    await feed.stop();
    const silent = async () => (await readMetrics(second)).sum('alert_transitions_total', { rule: 'hot:stale', transition: 'RAISED' });
    await waitUntil(async () => (await silent()) >= DEVICES - 1, 'the silence of all devices that the rule judges', 60_000);
    await running.settle();
    expect(await second.stop()).toBe(0);

    const listed = jsonLines((await devices('list')).out);
    expect(listed).toMatchObject([
      { deviceId: 'm0', labels: { site: 'hall-3' }, thresholds: { hot: { threshold: 80 } }, disabledRules: ['hot'] },
      { deviceId: 'm1', labels: { site: 'hall-4' }, thresholds: { hot: { levels: [{ threshold: 300, severity: 'CRITICAL' }] } } },
    ]);
    expect(listed).toHaveLength(2);

    const dump = await running.dump();
    const { violations, outcomes } = running.verdict(dump);
    expect(violations).toEqual([]);
    expect(Object.fromEntries(outcomes)).toEqual({ counted: feed.readings });
    expect((await changes()).map(([deviceId]) => deviceId).sort()).toEqual(['m0', 'm0', 'm1', 'm5', 'm5']);
    const alerts = dump.partitions.flatMap((partition) => partition.alerts).filter(({ ruleId }) => ruleId === 'hot');
    const of = (id: string) => alerts.filter(({ deviceId }) => deviceId === id);
    expect(of('m0')[0]).toMatchObject({ transition: 'RAISED', severity: 'CRITICAL', threshold: 90, labels: { site: 'hall-3' } });
    expect(of('m0').at(-1)).toMatchObject({ transition: 'EXPIRED', threshold: 80, labels: { site: 'hall-3' } });
    expect(of('m1')).toMatchObject([{ transition: 'RAISED', severity: 'WARNING', threshold: 70, labels: { site: 'hall-4' } }]);
    const labelsOf = (id: string) =>
      dump.partitions.flatMap(({ aggregates }) => aggregates.filter(({ deviceId }) => deviceId === id).map(({ labels }) => labels['site']));
    expect([labelsOf('m5')[0], labelsOf('m5').at(-1)]).toEqual(['yard', undefined]);
    expect([labelsOf('m0')[0], labelsOf('m0').at(-1)]).toEqual([undefined, 'hall-3']);
  });

  test('can be given where only the aggregator registers schemas', { timeout: 120_000 }, async () => {
    pipeline = await TestPipeline.create({ partitions: 1, rules: RULES });
    const environment = { ...pipeline.environment, SCHEMA_AUTO_REGISTER: 'false' };
    await pipeline.start('aggregate').logged('"started"');
    expect((await runIngot(['devices', 'set', 'm0', '--label', 'site=hall-3'], environment)).code).toBe(0);
    expect(jsonLines((await runIngot(['devices', 'show', 'm0'], environment)).out)).toMatchObject([
      { deviceId: 'm0', labels: { site: 'hall-3' } },
    ]);
    expect((await runIngot(['devices', 'show', 'm1'], environment)).code).toBe(4);
    expect(await runIngot(['devices', 'set', 'm0'], environment)).toMatchObject({
      code: 2,
      err: expect.stringContaining('nothing to set'),
    });
    expect(await runIngot(['devices', 'set', 'a/b', '--label', 'x=y'], environment)).toMatchObject({
      code: 2,
      err: expect.stringContaining('no device id'),
    });
  });
});
