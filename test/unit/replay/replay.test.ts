import { describe, expect, test } from 'vitest';
import { identityOf } from '../../../src/core/identity.ts';
import { partitionForKey } from '../../../src/core/murmur2.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';
import { LETTERS_AT_MS, outcomes, REPLAY_PARTITIONS, REPLAY_TOPICS, ReplayWorld } from '../../support/replay-world.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ofDevice = (device: string) => partitionForKey(Buffer.from(device), REPLAY_PARTITIONS);
const said = (ts: number, temperature = 20) => JSON.stringify({ ts, temperature });

describe('a message of the bridge', () => {
  test('becomes a reading when its cause is mended, once, and its letter stays as it was', async () => {
    const world = new ReplayWorld();
    world.message({ payload: said(LETTERS_AT_MS), headers: { traceparent: '00-1-2-01' } });
    const letters = world.committed(REPLAY_TOPICS.bridgeDeadLetters);
    world.nowMs += 2 * DAY_MS;
    expect(outcomes(await world.replay())).toEqual(['replayed']);
    const [replayed] = world.replayed();
    expect(replayed).toMatchObject({ key: 'd1', partition: ofDevice('d1'), reading: { deviceId: 'd1', temperature: 20 } });
    const topic = REPLAY_TOPICS.bridgeDeadLetters;
    expect(replayed?.headers).toEqual({
      'first-append-time': String(LETTERS_AT_MS),
      'replay-identity': String(identityOf(topic, Buffer.from(`${ofDevice('d1')}/0/${LETTERS_AT_MS}`))),
      attempt: '2',
      'replay-of': `${topic}/${ofDevice('d1')}/0`,
      traceparent: '00-1-2-01',
    });
    expect(outcomes(await world.replay())).toEqual(['already_replayed']);
    expect(world.replayed()).toHaveLength(1);
    expect(world.committed(REPLAY_TOPICS.bridgeDeadLetters)).toEqual(letters);
  });

  test('that would be refused still is told why, gets no mark, and goes through later', async () => {
    const world = new ReplayWorld();
    world.message({ payload: said(LETTERS_AT_MS) });
    const [result] = await world.replay({}, world.context(undefined, { maxPayloadBytes: 10 }));
    expect(result).toMatchObject({ outcome: 'refused', reason: 'payload_too_large', detail: expect.stringContaining('at most 10') });
    expect(world.committed(REPLAY_TOPICS.marks)).toEqual([]);
    expect(outcomes(await world.replay())).toEqual(['replayed']);
  });

  test('without a time of its own has the time at which the bridge received it', async () => {
    const world = new ReplayWorld();
    world.message({ payload: '{"temperature":20}', headers: { timestamp: String(LETTERS_AT_MS - 5) } });
    world.message({ payload: '{"temperature":20}', headers: { timestamp: 'soon' } });
    world.nowMs += HOUR_MS;
    await world.replay();
    expect(world.replayed().map(({ reading }) => reading.eventTime)).toEqual([LETTERS_AT_MS - 5, LETTERS_AT_MS]);
  });

  test('of which only the beginning was kept cannot be replayed, and says so', async () => {
    const world = new ReplayWorld();
    world.message({ payload: '{"ts":', headers: { 'payload-bytes': '70000', 'failure-reason': 'payload_too_large' } });
    const [result] = await world.replay();
    expect(result).toMatchObject({ outcome: 'refused', reason: 'payload_too_large', detail: expect.stringContaining('of 70000 bytes') });
  });

  test('that is larger than a record may be is refused by itself, the others go on', async () => {
    const world = new ReplayWorld();
    world.message({ payload: said(LETTERS_AT_MS) });
    world.message({ payload: `{"ts":${LETTERS_AT_MS},"temperature":1,"status":"${'x'.repeat(100)}"}` });
    const results = await world.replay({}, world.context(undefined, { valueBytesMax: 450 }));
    expect(outcomes(results)).toEqual(['replayed', 'refused record_too_large']);
  });
});

describe('a reading of the aggregator', () => {
  const reading = (more: object = {}) => plainReading({ deviceId: 'd1', eventTime: LETTERS_AT_MS, identity: 7, temperature: 20, ...more });

  test('goes back with its bytes untouched, with the time at which it first came', async () => {
    const world = new ReplayWorld();
    const value = Buffer.from(`\u0001${JSON.stringify(reading())}  `);
    world.refused({ reading: reading(), value, headers: { 'first-append-time': String(LETTERS_AT_MS - HOUR_MS) } });
    await world.replay();
    const [record] = world.committed(REPLAY_TOPICS.readings);
    expect(record?.value).toBe(value.toString('utf8'));
    expect(record?.headers['first-append-time']).toBe(String(LETTERS_AT_MS - HOUR_MS));
  });

  test('that was misrouted goes to the partition of its device, under its name', async () => {
    const world = new ReplayWorld();
    const partition = 1 - ofDevice('d1');
    world.refused({ reading: reading(), partition });
    world.refused({ reading: reading({ identity: 8 }), key: null, partition });
    expect(outcomes(await world.replay())).toEqual(['replayed', 'replayed']);
    expect(world.replayed().map(({ key, partition: at }) => [key, at])).toEqual([
      ['d1', ofDevice('d1')],
      ['d1', ofDevice('d1')],
    ]);
  });

  test('that is no reading, is still ahead of the clock, or is too old stays', async () => {
    const world = new ReplayWorld();
    world.refused({ key: 'd1', value: Buffer.from('?') });
    world.refused({ reading: reading({ eventTime: LETTERS_AT_MS + 2 * HOUR_MS }) });
    world.refused({ reading: reading({ eventTime: LETTERS_AT_MS - 7 * DAY_MS - 1, identity: 8 }) });
    world.refused({ reading: reading({ deviceId: 'a/b' }), key: 'd1' });
    expect(outcomes(await world.replay())).toEqual(['refused undecodable', 'refused future', 'refused ancient', 'refused undecodable']);
    world.nowMs += 2 * HOUR_MS;
    const results = await world.replay({}, world.context(undefined, { pastLimitMs: null }));
    expect(outcomes(results)).toEqual(['refused undecodable', 'replayed', 'replayed', 'refused undecodable']);
  });

  test('that waited for days is not ancient for that', async () => {
    const world = new ReplayWorld();
    world.refused({ reading: reading({ eventTime: LETTERS_AT_MS - 6 * DAY_MS }) });
    world.nowMs += 20 * DAY_MS;
    expect(outcomes(await world.replay())).toEqual(['replayed']);
  });
});

describe('copies of one message', () => {
  test('count once: the others are settled as copies', async () => {
    const world = new ReplayWorld();
    world.message({ payload: said(LETTERS_AT_MS) });
    world.message({ payload: said(LETTERS_AT_MS) });
    expect(outcomes(await world.replay())).toEqual(['replayed', 'duplicate']);
    world.message({ payload: said(LETTERS_AT_MS) });
    const again = await world.replay();
    expect(outcomes(again)).toEqual(['already_replayed', 'already_replayed', 'duplicate']);
    expect(again[2]?.detail).toBe(`the same message as ${REPLAY_TOPICS.bridgeDeadLetters}/${ofDevice('d1')}/0`);
    expect(world.replayed()).toHaveLength(1);
  });

  test('without an identity are messages of their own', async () => {
    const world = new ReplayWorld();
    for (let time = 0; time < 2; time++) world.message({ payload: '{"temperature":20}' });
    expect(outcomes(await world.replay())).toEqual(['replayed', 'replayed']);
  });

  test('the letter of a replay that was refused is none', async () => {
    const world = new ReplayWorld();
    const reading = plainReading({ deviceId: 'd1', eventTime: LETTERS_AT_MS, identity: 7 });
    world.refused({ reading });
    await world.replay();
    world.refused({ reading, headers: { attempt: '2' } });
    expect(outcomes(await world.replay())).toEqual(['already_replayed', 'replayed']);
  });
});

describe('which letters', () => {
  const four = () => {
    const world = new ReplayWorld();
    for (let index = 0; index < 4; index++) {
      world.nowMs = LETTERS_AT_MS + index * HOUR_MS;
      world.message({ payload: said(LETTERS_AT_MS, index) });
    }
    return world;
  };
  const temperatures = (world: ReplayWorld) => world.replayed().map(({ reading }) => reading.temperature);

  test('by time', async () => {
    const world = four();
    await world.replay({ sinceMs: LETTERS_AT_MS + HOUR_MS, untilMs: LETTERS_AT_MS + 3 * HOUR_MS });
    expect(temperatures(world)).toEqual([1, 2]);
  });

  test('by place', async () => {
    const world = four();
    const places = new Set([`${REPLAY_TOPICS.bridgeDeadLetters}/${ofDevice('d1')}/2`, `${REPLAY_TOPICS.readingDeadLetters}/0/9`]);
    expect(await world.replay({ places })).toHaveLength(1);
    expect(temperatures(world)).toEqual([2]);
  });

  test('at most so many, and the others the next time', async () => {
    const world = four();
    expect(outcomes(await world.replay({ replaysMax: 3 }))).toEqual(['replayed', 'replayed', 'replayed']);
    expect(outcomes(await world.replay({ replaysMax: 3 }))).toEqual([...Array<string>(3).fill('already_replayed'), 'replayed']);
    expect(temperatures(world)).toEqual([0, 1, 2, 3]);
  });

  test('in a dry run all are judged and nothing is written', async () => {
    const world = four();
    world.message({ payload: said(LETTERS_AT_MS, 0) });
    world.message({ payload: '{' });
    const results = await world.replay({ isDryRun: true });
    expect(outcomes(results)).toEqual([...Array<string>(4).fill('would_replay'), 'duplicate', 'refused invalid_json']);
    for (const topic of [REPLAY_TOPICS.readings, REPLAY_TOPICS.marks]) {
      for (let partition = 0; partition < REPLAY_PARTITIONS; partition++) {
        expect(world.log.partition({ topic, partition }).highWatermark).toBe(0);
      }
    }
  });
});

describe('marks', () => {
  test('of letters that retention has deleted are taken out of the topic', async () => {
    const world = new ReplayWorld();
    const at = { topic: REPLAY_TOPICS.bridgeDeadLetters, partition: ofDevice('d1') };
    for (let index = 0; index < 3; index++) world.message({ payload: said(LETTERS_AT_MS, index) });
    await world.replay();
    world.log.partition(at).deleteBefore(2);
    world.message({ payload: said(LETTERS_AT_MS, 9) });
    await world.replay();
    const removed = world.committed(REPLAY_TOPICS.marks).filter(({ value }) => value === null);
    expect(removed.map(({ key }) => key)).toEqual([`${at.topic}/${at.partition}/0`, `${at.topic}/${at.partition}/1`]);
  });

  test('left over from a topic that was made anew say nothing about the letters of now', async () => {
    const world = new ReplayWorld();
    world.message({ payload: said(LETTERS_AT_MS, 1) });
    await world.replay();
    const spec = { name: REPLAY_TOPICS.bridgeDeadLetters, partitions: REPLAY_PARTITIONS, replicationFactor: 1 };
    world.log.createTopic({ ...spec, configs: { 'message.timestamp.type': 'LogAppendTime' } });
    world.nowMs += 1;
    world.message({ payload: said(LETTERS_AT_MS, 2) });
    expect(outcomes(await world.replay())).toEqual(['replayed']);
    expect(world.replayed().map(({ reading }) => reading.temperature)).toEqual([1, 2]);
    // The fold knows the identity of the first one: with the same the second would be dropped as its duplicate.
    expect(new Set(world.replayed().map(({ headers }) => headers['replay-identity'])).size).toBe(2);
  });
});
