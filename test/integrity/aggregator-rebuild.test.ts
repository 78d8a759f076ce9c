import { afterEach, describe, expect, test } from 'vitest';
import { FedPipeline } from '../support/fed-pipeline.ts';
import { runIngot } from '../support/ingot-process.ts';
import { alertViolations, journalViolations, partViolations } from '../support/oracle/invariants.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { addPartitions, deleteRecordsBelow, forgetGroup, recreateTopic, scribble } from '../support/topic-vandal.ts';
import { waitUntil } from '../support/wait-until.ts';

// The state topic is lost or damaged while devices go on talking: the aggregator refuses, `ingot rebuild-state` makes the state anew, and
// what comes out is what would have come out without all that.

const PARTITIONS = 2;

let fed: FedPipeline | undefined;
afterEach(async () => {
  await fed?.close();
});

/** A pipeline at whose aggregator windows are open and alerts fire, and which was stopped, or killed. */
async function interrupted(how: 'stopped' | 'killed'): Promise<FedPipeline> {
  const feeding = await FedPipeline.start({ partitions: PARTITIONS });
  fed = feeding;
  const role = feeding.aggregator();
  // Each partition has something to lose.
  await feeding.owned([role]);
  await feeding.progress([role], 600);
  if (how === 'stopped') expect(await role.stop()).toBe(0);
  else await role.kill();
  return feeding;
}

async function expectRefusal(feeding: FedPipeline, code: string): Promise<RoleProcess> {
  const refused = feeding.aggregator();
  await refused.ended(60_000);
  expect(refused.child.exitCode).toBeGreaterThan(0);
  expect(refused.log()).toContain(code);
  return refused;
}

async function rebuild(feeding: FedPipeline): Promise<{ rows: Record<string, unknown>[]; err: string }> {
  const { code, out, err } = await runIngot(['rebuild-state', '-o', 'json'], { ...feeding.pipeline.environment });
  expect(code, err).toBe(0);
  return { rows: JSON.parse(out) as Record<string, unknown>[], err };
}

async function goOn(feeding: FedPipeline): Promise<void> {
  const role = feeding.aggregator();
  await feeding.progress([role], 300);
  await feeding.settle([role]);
}

describe('a rebuilt state', () => {
  test('is that which was deleted, with the group or without', { timeout: 240_000 }, async () => {
    const feeding = await interrupted('killed');
    const { pipeline } = feeding;
    await recreateTopic(pipeline, `${pipeline.prefix}aggregator-state`);
    await expectRefusal(feeding, 'STATE_LOST');
    const { rows, err } = await rebuild(feeding);
    expect(rows).toMatchObject(Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, state: 'rebuilt', exact: 'yes' })));
    expect(err).toBe('');
    const role = feeding.aggregator();
    await feeding.progress([role], 300);
    // While it runs nobody may rebuild what it uses.
    const { code, err: refusal } = await runIngot(['rebuild-state'], { ...pipeline.environment });
    expect([code, refusal]).toEqual([2, expect.stringContaining('AGGREGATOR_RUNNING')]);
    expect(await role.stop()).toBe(0);
    // A whole state is left alone; without the group, and with another loss, all the same.
    expect((await rebuild(feeding)).rows.map(({ state }) => state)).toEqual(['was whole', 'was whole']);
    await recreateTopic(pipeline, `${pipeline.prefix}aggregator-state`);
    await forgetGroup(`${pipeline.prefix}aggregator`);
    await expectRefusal(feeding, 'STATE_LOST');
    expect((await rebuild(feeding)).rows.map(({ exact }) => exact)).toEqual(['yes', 'yes']);
    await goOn(feeding);
    await feeding.expectOneFold();
  });

  test('replaces one of which a record is damaged', { timeout: 240_000 }, async () => {
    const feeding = await interrupted('stopped');
    const { pipeline } = feeding;
    const topic = `${pipeline.prefix}aggregator-state`;
    await scribble(pipeline, { topic, partition: 0 }, '$progress');
    await scribble(pipeline, { topic, partition: 1 }, 's1');
    await expectRefusal(feeding, 'STATE_UNREADABLE');
    const { rows } = await rebuild(feeding);
    expect(rows.map(({ state }) => state)).toEqual(['rebuilt', 'rebuilt']);
    await goOn(feeding);
    await feeding.expectOneFold();
  });

  test('tells what cannot be exact when the first readings are gone, and ends each alert once', { timeout: 240_000 }, async () => {
    const feeding = await interrupted('stopped');
    // A second life tells its settings anew, so that there is somewhere to begin.
    const again = feeding.aggregator();
    await feeding.progress([again], 300);
    expect(await again.stop()).toBe(0);
    const { pipeline } = feeding;
    const before = await pipeline.dump();
    await recreateTopic(pipeline, `${pipeline.prefix}aggregator-state`);
    await deleteRecordsBelow(
      `${pipeline.prefix}readings`,
      before.partitions.map(() => 50),
    );
    const { rows, err } = await rebuild(feeding);
    expect(rows.map(({ exact }) => exact)).toEqual(['no', 'no']);
    expect(err).toContain('repeated from offset');
    expect(err).toContain('Alerts: ');
    const role = feeding.aggregator();
    await feeding.progress([role], 300);
    await feeding.end(role);
    const { partitions } = await pipeline.dump();
    for (const { journal, aggregates, alerts } of partitions) {
      expect(journalViolations(journal, { firstTxnSeq: 1 })).toEqual([]);
      expect(partViolations(aggregates)).toEqual([]);
      expect(alertViolations(alerts)).toEqual([]);
    }
  });
});

describe('the aggregator refuses', () => {
  test('readings of which some were deleted unread, until that is accepted', { timeout: 240_000 }, async () => {
    const feeding = await interrupted('stopped');
    const { pipeline } = feeding;
    const watermarks = () => pipeline.log.admin().watermarks(`${pipeline.prefix}readings`);
    const stoppedAt = await watermarks();
    let ends = stoppedAt;
    const isUnreadEverywhere = async (): Promise<boolean> => {
      ends = await watermarks();
      return ends.every(({ highWatermark }, partition) => highWatermark > stoppedAt[partition]!.highWatermark);
    };
    await waitUntil(isUnreadEverywhere, 'readings that nobody has read, in each partition');
    await deleteRecordsBelow(
      `${pipeline.prefix}readings`,
      ends.map(({ highWatermark }) => highWatermark),
    );
    const refused = await expectRefusal(feeding, 'LOG_TRUNCATED');
    expect(refused.log()).toContain('--accept-loss');
    const role = pipeline.start('aggregate --accept-loss');
    await feeding.owned([role]);
    await feeding.progress([role], 200);
    await feeding.end(role);
    const { partitions } = await pipeline.dump();
    for (const [partition, { journal }] of partitions.entries()) {
      expect(journal.map(({ txnSeq }) => txnSeq)).toEqual(journal.map((_, index) => index + 1));
      const gap = journal.findIndex((entry) => 'lost' in entry);
      const lost = { from: journal[gap - 1]!.to, to: ends[partition]!.highWatermark };
      expect(journal[gap]).toMatchObject({ from: lost.to, lost });
    }
  });

  test('a readings topic that has got more partitions', { timeout: 120_000 }, async () => {
    const feeding = await interrupted('stopped');
    await addPartitions(feeding.pipeline, PARTITIONS + 1);
    const refused = await expectRefusal(feeding, 'PARTITIONS_CHANGED');
    expect(refused.log()).toContain('KAFKA_TOPIC_PREFIX');
  });
});
