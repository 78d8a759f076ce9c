// Profiles of devices through restarts: what was said while nobody ran, in pieces; what makes no sense; a topic that was made anew.

import { expect, test, vi } from 'vitest';
import { type JournalEntry, PROFILE_KEY_PREFIX } from '../../../src/aggregator/progress.ts';
import type { DeviceProfile } from '../../../src/core/device-profile.ts';
import { RecordsEncoder } from '../../../src/core/record-batch.ts';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import { type AggregatorWorld, TOPICS } from '../../support/aggregator-world.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const profileOf = (site: string): DeviceProfile => ({ labels: { site }, thresholds: {}, disabledRules: [] });
const manyProfiles = (count: number) => Array.from({ length: count }, (_, index) => [`p${index}`, profileOf(`s${index}`)] as const);

const play = (scene: (world: AggregatorWorld, clock: VirtualClock) => Promise<void>) => playScene({ fetchBytes: 1_000_000 }, scene);

const journalOf = (world: AggregatorWorld) => world.committed(TOPICS.journal).map(({ value }) => JSON.parse(value!) as JournalEntry);
const changesOf = (world: AggregatorWorld) => journalOf(world).flatMap(({ profiles }) => (profiles === undefined ? [] : [profiles]));

function read(world: AggregatorWorld, second: number): void {
  const time = START_MS + 1_000 * second;
  const reading = plainReading({ deviceId: 'd0', eventTime: time, temperature: 20 });
  world.append([{ kind: 'record', offset: 0, appendTime: time, key: 'd0', reading }], 1);
}

/** The profiles that the state topic holds after compaction. */
function storedProfiles(world: AggregatorWorld): Record<string, string> {
  const stored = new Map<string, string>();
  for (const { key, value } of world.committed(TOPICS.state)) {
    if (!key!.startsWith(PROFILE_KEY_PREFIX)) continue;
    const deviceId = key!.slice(PROFILE_KEY_PREFIX.length);
    if (value === null) stored.delete(deviceId);
    else stored.set(deviceId, (JSON.parse(value) as DeviceProfile).labels['site']!);
  }
  return Object.fromEntries(stored);
}

test('what was said before the start is applied in pieces, before the first reading', () =>
  play(async (world, clock) => {
    read(world, 0);
    world.appendProfiles(manyProfiles(1_200));
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(2_000);
    expect(changesOf(world).map((changes) => changes.length)).toEqual([500, 500, 200]);
    expect(journalOf(world).map(({ from, to }) => to - from)).toEqual([0, 0, 0, 0, 1]);
    expect(world.progress?.devicesOffset).toBe(1_200);
    expect(Object.keys(storedProfiles(world))).toHaveLength(1_200);
  }));

test('a commit that fails in the middle of the pieces loses none and repeats none', () =>
  play(async (world, clock) => {
    world.appendProfiles(manyProfiles(1_200));
    world.scriptCommits([null, null, 'aborted']);
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(60_000);
    const named = changesOf(world).flatMap((changes) => changes.map(([deviceId]) => deviceId));
    expect([named.length, new Set(named).size]).toEqual([1_200, 1_200]);
    expect(journalOf(world).map(({ txnSeq }) => txnSeq)).toEqual([1, 2, 3, 4]);
  }));

test('while it runs a change comes within a long poll, and what changes nothing is not written', () =>
  play(async (world, clock) => {
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    world.appendProfiles([['d0', profileOf('north')]]);
    await clock.advance(1_100);
    world.appendProfiles([['d0', profileOf('north')]]);
    world.appendProfiles([['d1', null]]);
    await clock.advance(1_100);
    expect(changesOf(world)).toEqual([[['d0', profileOf('north')]]]);
    read(world, 0);
    await clock.advance(200);
    expect(world.progress).toMatchObject({ nextOffset: 1, devicesOffset: 3 });
  }));

test('what makes no sense is left out and holds nothing up', () =>
  play(async (world, clock) => {
    const at = { topic: TOPICS.devices, partition: 0 };
    const encoder = new RecordsEncoder(256);
    encoder.reset(0);
    encoder.add(Buffer.from('d0'), Buffer.from('no profile'), 0);
    encoder.add(null, Buffer.from('{}'), 0);
    encoder.add(Buffer.from('two words'), null, 0);
    world.log.partition(at).append({ ...at, records: encoder.take(), count: encoder.count, baseTimestampMs: 0 }, null);
    const bad: DeviceProfile = { labels: {}, thresholds: { hot: { threshold: 1, deadband: -1, levels: null } }, disabledRules: [] };
    world.appendProfiles([
      ['d0', bad],
      ['d0', profileOf('south')],
    ]);
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(2_000);
    expect(changesOf(world)).toEqual([[['d0', profileOf('south')]]]);
  }));

test('a topic that was made anew is read whole, and what it does not name is taken away', () =>
  play(async (world, clock) => {
    world.appendProfiles([
      ['d0', profileOf('north')],
      ['d1', profileOf('south')],
      ['d2', profileOf('west')],
    ]);
    const first = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(2_000);
    first.kill();
    world.log.createTopic({ name: TOPICS.devices, partitions: 1, replicationFactor: 1, configs: {} });
    world.appendProfiles([
      ['d1', profileOf('south')],
      ['d2', profileOf('east')],
    ]);
    world.expelDead();
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(20_000);
    expect(changesOf(world).at(-1)).toEqual([
      ['d0', null],
      ['d2', profileOf('east')],
    ]);
    expect(storedProfiles(world)).toEqual({ d1: 'south', d2: 'east' });
    expect(world.progress?.devicesOffset).toBe(2);
  }));

test('each run tells the journal the profiles in force, a piece with each transaction', () =>
  play(async (world, clock) => {
    world.appendProfiles(manyProfiles(700));
    const first = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(2_000);
    first.kill();
    world.expelDead();
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(20_000);
    const before = journalOf(world).length;
    for (let second = 0; second < 3; second++) {
      read(world, second);
      await clock.advance(200);
    }
    const told = journalOf(world).slice(before);
    expect(told.map(({ profilesInForce }) => [profilesInForce?.profiles.length, profilesInForce?.left])).toEqual([
      [500, 200],
      [200, 0],
      [undefined, undefined],
    ]);
    expect(new Map(told.flatMap(({ profilesInForce }) => profilesInForce?.profiles ?? []))).toEqual(new Map(manyProfiles(700)));
    expect(told[0]?.settingsInForce).toBeDefined();
  }));

test('a transaction that changes profiles does not repeat others as well', () =>
  play(async (world, clock) => {
    world.appendProfiles(manyProfiles(700));
    const first = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(2_000);
    first.kill();
    world.expelDead();
    world.appendProfiles([['d0', profileOf('north')]]);
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(20_000);
    read(world, 0);
    await clock.advance(200);
    const journal = journalOf(world);
    expect(journal.filter(({ profiles, profilesInForce }) => profiles !== undefined && profilesInForce !== undefined)).toEqual([]);
    expect(journal.at(-1)?.profilesInForce).toMatchObject({ left: 201 });
  }));

test('a long list of changes that comes while it runs does not wait for a long poll between its pieces', () =>
  play(async (world, clock) => {
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    world.longPollMs = 30_000;
    read(world, 0);
    await clock.advance(1_500);
    world.appendProfiles(manyProfiles(1_200));
    await clock.advance(1_500);
    expect(changesOf(world).flat()).toHaveLength(1_200);
  }));

test('a batch that cannot be read is left out, with nothing else: before the start and while it runs', () =>
  play(async (world, clock) => {
    const devices = world.log.partition({ topic: TOPICS.devices, partition: 0 });
    world.appendProfiles([['d0', profileOf('north')]]);
    world.appendProfiles(manyProfiles(3));
    world.appendProfiles([['d1', profileOf('south')]]);
    devices.damage(2);
    const process = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(2_000);
    expect(storedProfiles(world)).toEqual({ d0: 'north', d1: 'south' });
    read(world, 0);
    await clock.advance(1_500);
    world.appendProfiles(manyProfiles(2));
    devices.damage(5);
    world.appendProfiles([['d2', profileOf('west')]]);
    await clock.advance(20_000);
    read(world, 1);
    await clock.advance(1_500);
    expect(process.failure).toBeNull();
    expect(storedProfiles(world)).toEqual({ d0: 'north', d1: 'south', d2: 'west' });
    expect(world.progress).toMatchObject({ nextOffset: 2, devicesOffset: 8 });
  }));
