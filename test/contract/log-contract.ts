import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecordReader } from '../../src/core/record-batch.ts';
import type { FetchLoop, LogClient } from '../../src/kafka/log-port.ts';
import { currentRecord, encoded, readToEnd, values } from '../support/memory-log-records.ts';

// What Ingot relies on in the log. One suite for the real broker and for the log in memory.

export interface LogUnderTest {
  /** A client of its own, as another process would have one. */
  readonly newClient: (clientId?: string) => LogClient;
  /** A client whose log does not answer. */
  readonly newUnreachableClient: () => LogClient;
  readonly freshName: (prefix: string) => string;
}

const LONG_POLL_MS = 80;
const COMMITTED = { name: 'committed', maxWaitMs: LONG_POLL_MS, maxBytesPerPartition: 1_048_576, isolation: 'committed' } as const;
const PARTITIONS = 3;

export function describeLog(name: string, makeLog: () => LogUnderTest): void {
  describe(name, () => {
    let log: LogUnderTest;
    let client: LogClient;
    let loop: FetchLoop;

    const newTopic = async (configs: Record<string, string> = {}): Promise<string> => {
      const topic = log.freshName('contract');
      await client.admin().createTopics([{ name: topic, partitions: PARTITIONS, replicationFactor: 1, configs }]);
      return topic;
    };
    const inDoubt = expect.objectContaining({ code: 'TRANSACTION_IN_DOUBT' });

    beforeAll(() => {
      log = makeLog();
      client = log.newClient();
      loop = client.fetchLoop(COMMITTED);
    });
    afterAll(async () => {
      await client.close();
    });

    describe('produce lane', () => {
      it('appends the records of several topics and partitions, in their order', async () => {
        const [one, two] = [await newTopic(), await newTopic()];
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        await lane.send([
          encoded({ topic: one, partition: 0 }, ['a', 'b']),
          encoded({ topic: one, partition: 2 }, ['c']),
          encoded({ topic: two, partition: 0 }, ['d']),
        ]);
        await lane.send([encoded({ topic: one, partition: 0 }, ['e'])]);
        expect(values(await readToEnd(loop, { topic: one, partition: 0 }))).toEqual(['a', 'b', 'e']);
        expect(values(await readToEnd(loop, { topic: one, partition: 2 }))).toEqual(['c']);
        expect(values(await readToEnd(loop, { topic: two, partition: 0 }))).toEqual(['d']);
      });

      it('keeps keys, values, headers and times, null ones too', async () => {
        const at = { topic: await newTopic(), partition: 1 };
        const headers = [['failure-reason', 'invalid_json']] as const;
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        await lane.send([
          encoded(at, [
            { key: null, value: 'v', timestampMs: 1_700_000_000_500 },
            { key: 'd1', value: null, headers },
            { key: '', value: '' },
          ]),
        ]);
        expect(await readToEnd(loop, at)).toEqual([
          { offset: 0, timestampMs: 1_700_000_000_500, key: null, value: 'v', headers: {} },
          { offset: 1, timestampMs: 1_700_000_000_000, key: 'd1', value: null, headers: { 'failure-reason': 'invalid_json' } },
          { offset: 2, timestampMs: 1_700_000_000_000, key: '', value: '', headers: {} },
        ]);
      });

      it('gives records of a LogAppendTime topic the time of appending', async () => {
        const at = { topic: await newTopic({ 'message.timestamp.type': 'LogAppendTime' }), partition: 0 };
        const beforeMs = Date.now();
        await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded(at, ['a', 'b'])]);
        for (const record of await readToEnd(loop, at)) {
          expect(record.timestampMs).toBeGreaterThanOrEqual(beforeMs - 1000);
          expect(record.timestampMs).toBeLessThanOrEqual(Date.now() + 1000);
        }
      });

      it('appends two batches for one partition in one call, in their order', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded(at, ['a']), encoded(at, ['b']), encoded(at, ['c'])]);
        expect(values(await readToEnd(loop, at))).toEqual(['a', 'b', 'c']);
      });

      it.each(['leader', 'none'] as const)('appends with acks=%s', async (acks) => {
        const at = { topic: await newTopic(), partition: 0 };
        await client.produceLane({ name: 'lane', acks }).send([encoded(at, ['a'])]);
        await expect.poll(async () => values(await readToEnd(loop, at))).toEqual(['a']);
      });

      it('has nothing to do for no records', async () => {
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        await lane.send([]);
        await lane.send([encoded({ topic: 'there-is-none', partition: 0 }, [])]);
      });

      it('refuses a second send while one is in flight, and goes on', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        const first = lane.send([encoded(at, ['a'])]);
        await expect(lane.send([encoded(at, ['b'])])).rejects.toMatchObject({ code: 'LANE_BUSY' });
        await first;
        await lane.send([encoded(at, ['c'])]);
        expect(values(await readToEnd(loop, at))).toEqual(['a', 'c']);
      });

      it('names the partition whose batch is too large, and accepts the others again', async () => {
        const topic = await newTopic({ 'max.message.bytes': '2000' });
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        const good = [encoded({ topic, partition: 0 }, ['a']), encoded({ topic, partition: 2 }, ['b'])];
        const tooLarge = encoded({ topic, partition: 1 }, ['x'.repeat(3000)]);
        await expect(lane.send([good[0]!, tooLarge, good[1]!])).rejects.toMatchObject({
          code: 'RECORD_TOO_LARGE',
          details: { topicPartition: { topic, partition: 1 } },
        });
        await lane.send(good);
        expect(values(await readToEnd(loop, { topic, partition: 0 })).at(-1)).toBe('a');
        expect(values(await readToEnd(loop, { topic, partition: 1 }))).toEqual([]);
        expect(values(await readToEnd(loop, { topic, partition: 2 })).at(-1)).toBe('b');
      });

      it('waits for a log that does not answer, until closed, which does not hang', async () => {
        const unreachable = log.newUnreachableClient();
        const lane = unreachable.produceLane({ name: 'lane', acks: 'all' });
        const sending = lane.send([encoded({ topic: 'any', partition: 0 }, ['a'])]);
        sending.catch(() => undefined);
        const startedAtMs = performance.now();
        await lane.close(200);
        expect(performance.now() - startedAtMs).toBeLessThan(1500);
        await expect(sending).rejects.toMatchObject({ code: 'LANE_CLOSED' });
        await expect(lane.send([])).rejects.toMatchObject({ code: 'LANE_CLOSED' });
        await unreachable.close();
      });

      it('finishes the send in flight when closed', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        const sending = lane.send([encoded(at, ['a'])]);
        await lane.close(5000);
        await sending;
        expect(values(await readToEnd(loop, at))).toEqual(['a']);
      });
    });

    describe('transaction lane', () => {
      const newLane = (transactionalId: string) => client.transactionLane({ transactionalId, transactionTimeoutMs: 20_000 });

      it('commits to several partitions at once, visibly', async () => {
        const topic = await newTopic();
        const lane = newLane(log.freshName('tx'));
        await lane.commit([encoded({ topic, partition: 0 }, ['a', 'b']), encoded({ topic, partition: 1 }, ['c'])]);
        await lane.commit([encoded({ topic, partition: 0 }, ['d'])]);
        await lane.commit([]);
        expect(values(await readToEnd(loop, { topic, partition: 0 }))).toEqual(['a', 'b', 'd']);
        expect(values(await readToEnd(loop, { topic, partition: 1 }))).toEqual(['c']);
      });

      it('fences with an invisible record, and everything committed before lies below its offset', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        const id = log.freshName('tx');
        const lane = newLane(id);
        await lane.fence(at);
        await lane.commit([encoded(at, ['a'])]);
        const next = newLane(id);
        const fenceOffset = await next.fence(at);
        await next.commit([encoded(at, ['b'])]);
        const records = await readToEnd(loop, at);
        expect(values(records)).toEqual(['a', 'b']);
        expect(records[0]!.offset).toBeLessThan(fenceOffset);
        expect(records[1]!.offset).toBeGreaterThan(fenceOffset);
      });

      it('shuts an earlier owner out: nothing of it gets in, and it can tell', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        const id = log.freshName('tx');
        const zombie = newLane(id);
        await zombie.fence(at);
        const owner = newLane(id);
        await owner.fence(at);
        const error: unknown = await zombie.commit([encoded(at, ['zombie'])]).catch((reason: unknown) => reason);
        expect(error).toEqual(inDoubt);
        expect(zombie.isFenced(error)).toBe(true);
        await owner.commit([encoded(at, ['owner'])]);
        expect(values(await readToEnd(loop, at))).toEqual(['owner']);
        await expect(zombie.commit([encoded(at, ['again'])])).rejects.toMatchObject({ code: 'LANE_CLOSED' });
      });

      it('does not take another error for fencing', () => {
        const lane = newLane(log.freshName('tx'));
        expect(lane.isFenced(new Error('anything'))).toBe(false);
        expect(lane.isFenced(undefined)).toBe(false);
      });

      it('writes all or nothing when a batch is too large', async () => {
        const topic = await newTopic({ 'max.message.bytes': '2000' });
        const id = log.freshName('tx');
        const tooLarge = encoded({ topic, partition: 1 }, ['x'.repeat(3000)]);
        await expect(newLane(id).commit([encoded({ topic, partition: 0 }, ['a']), tooLarge])).rejects.toEqual(inDoubt);
        const next = newLane(id);
        await next.fence({ topic, partition: 0 });
        await next.commit([encoded({ topic, partition: 0 }, ['b'])]);
        expect(values(await readToEnd(loop, { topic, partition: 0 }))).toEqual(['b']);
      });

      it('shows aborted records to a reader of uncommitted ones only', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        const lane = newLane(log.freshName('tx'));
        await lane.fence(at);
        await lane.commit([encoded(at, ['a'])]);
        const everything = client.fetchLoop({ ...COMMITTED, name: 'uncommitted', isolation: 'uncommitted' });
        const all = await readToEnd(everything, at);
        expect(all.map((record) => record.key)).toEqual(['$fence', 'k']);
        expect(values(await readToEnd(loop, at))).toEqual(['a']);
        await everything.close();
      });

      it('refuses calls after it was closed, and closing does not hang', async () => {
        const lane = newLane(log.freshName('tx'));
        await lane.close();
        await expect(lane.fence({ topic: 'any', partition: 0 })).rejects.toMatchObject({ code: 'LANE_CLOSED' });
      });
    });

    describe('fetch loop', () => {
      const fill = async (at: { topic: string; partition: number }, batches: readonly (readonly string[])[]) => {
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        for (const batch of batches) await lane.send([encoded(at, batch)]);
        await lane.close(1000);
      };

      it('reads from the offset asked for, in the middle of a batch', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        await fill(at, [['a', 'b', 'c'], ['d']]);
        expect(values(await readToEnd(loop, at, 1))).toEqual(['b', 'c', 'd']);
      });

      it('answers with nothing after a long poll, and says when it asked and where the end is', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        await fill(at, [['a']]);
        const cursor = loop.open(at, 1);
        const askedAtMs = performance.now();
        const fetched = await cursor.next();
        expect(fetched).toMatchObject({ fetchOffset: 1, highWatermark: 1, lastStableOffset: 1, logStartOffset: 0, ...at });
        expect(fetched.batches.length).toBe(0);
        expect(fetched.sentAtMs).toBeLessThanOrEqual(performance.now());
        expect(fetched.sentAtMs).toBeGreaterThan(askedAtMs - 2 * LONG_POLL_MS - 1000);
        cursor.close();
      });

      it('wakes up when records come', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        const patient = client.fetchLoop({ ...COMMITTED, name: 'patient', maxWaitMs: 20_000 });
        const cursor = patient.open(at, 0);
        const waiting = cursor.next();
        await fill(at, [['a']]);
        expect((await waiting).batches.length).toBeGreaterThan(0);
        await patient.close();
      });

      it('goes on from the end of what it gave, over markers and aborted records', async () => {
        const at = { topic: await newTopic(), partition: 0 };
        const id = log.freshName('tx');
        const reader = new RecordReader();
        const cursor = loop.open(at, 0);
        const seen: (string | null)[] = [];
        let endOffset = 0;
        const lane = client.transactionLane({ transactionalId: id, transactionTimeoutMs: 20_000 });
        for (const value of ['a', 'b', 'c']) {
          await lane.fence(at);
          await lane.commit([encoded(at, [value])]);
          const before = seen.length;
          while (seen.length === before) {
            const fetched = await cursor.next();
            expect(fetched.fetchOffset).toBe(endOffset);
            reader.reset(fetched);
            while (reader.next()) seen.push(currentRecord(reader).value);
            endOffset = reader.nextOffset;
          }
        }
        expect(seen).toEqual(['a', 'b', 'c']);
        cursor.close();
      });

      it('reads partitions side by side, and one that nobody takes from does not hold the others up', async () => {
        const topic = await newTopic();
        for (const partition of [0, 1, 2]) await fill({ topic, partition }, [[`p${partition}`], ['x']]);
        const side = client.fetchLoop({ ...COMMITTED, name: 'side', maxWaitMs: 500 });
        const untaken = side.open({ topic, partition: 0 }, 0);
        expect((await untaken.next()).batches.length).toBeGreaterThan(0);
        const [one, two] = await Promise.all([readToEnd(side, { topic, partition: 1 }), readToEnd(side, { topic, partition: 2 })]);
        expect(values(one)).toEqual(['p1', 'x']);
        expect(values(two)).toEqual(['p2', 'x']);
        await side.close();
      });

      it('delivers batches larger than its limit per partition, whichever partition they are in', async () => {
        const topic = await newTopic();
        const large = 'x'.repeat(5000);
        for (const partition of [0, 1, 2]) await fill({ topic, partition }, [[large], ['y'], [large]]);
        const narrow = client.fetchLoop({ ...COMMITTED, name: 'narrow', maxBytesPerPartition: 1000 });
        const all = await Promise.all([0, 1, 2].map((partition) => readToEnd(narrow, { topic, partition })));
        for (const records of all) expect(values(records)).toEqual([large, 'y', large]);
        await narrow.close();
      });

      it('rejects what waits when the cursor, or the loop, is closed', async () => {
        const topic = await newTopic();
        const own = client.fetchLoop({ ...COMMITTED, name: 'own', maxWaitMs: 20_000 });
        const cursor = own.open({ topic, partition: 0 }, 0);
        const waiting = cursor.next();
        cursor.close();
        await expect(waiting).rejects.toMatchObject({ code: 'CURSOR_CLOSED' });
        await expect(cursor.next()).rejects.toMatchObject({ code: 'CURSOR_CLOSED' });
        const other = own.open({ topic, partition: 1 }, 0).next();
        other.catch(() => undefined);
        await own.close();
        await expect(other).rejects.toMatchObject({ code: 'CURSOR_CLOSED' });
      });

      it('reads a batch of 200 000 tiny records', async () => {
        const at = { topic: await newTopic({ 'max.message.bytes': '4000000' }), partition: 0 };
        const record = { key: null, value: null };
        await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded(at, new Array(200_000).fill(record))]);
        expect(await readToEnd(loop, at)).toHaveLength(200_000);
      });
    });

    describe('membership', () => {
      const newMember = (topic: string, groupId: string, clientId = 'member') => {
        const ofProcess = log.newClient(clientId);
        const membership = ofProcess.membership({ groupId, topic, sessionTimeoutMs: 10_000, evictOwnClientId: clientId !== 'member' });
        const assignments: (readonly number[])[] = [];
        const failures: Error[] = [];
        const start = () => membership.start({ onAssigned: (p) => assignments.push(p), onFailed: (error) => failures.push(error) });
        return { membership, assignments, failures, start, current: () => assignments.at(-1) ?? [], close: () => ofProcess.close() };
      };

      it('assigns all partitions to one, shares them between two, gives them back', async () => {
        const topic = await newTopic();
        const groupId = log.freshName('group');
        const [one, two] = [newMember(topic, groupId), newMember(topic, groupId)];
        await one.start();
        expect(one.current()).toEqual([0, 1, 2]);
        await two.start();
        await expect.poll(() => [...one.current(), ...two.current()].toSorted(), { timeout: 20_000 }).toEqual([0, 1, 2]);
        expect(one.current().length).toBeGreaterThan(0);
        expect(two.current().length).toBeGreaterThan(0);
        await one.membership.stop(5000);
        await expect.poll(() => two.current(), { timeout: 20_000 }).toEqual([0, 1, 2]);
        await two.membership.confirm(10_000);
        await two.membership.stop(5000);
        expect([...one.failures, ...two.failures]).toEqual([]);
        await Promise.all([one.close(), two.close()]);
      });

      it('commits offsets that the admin sees, and is not given the records', async () => {
        const topic = await newTopic();
        const groupId = log.freshName('group');
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        await lane.send([encoded({ topic, partition: 0 }, ['a', 'b', 'c'])]);
        const member = newMember(topic, groupId);
        await member.start();
        expect(await client.admin().committedOffsets(groupId, topic)).toEqual([null, null, null]);
        await member.membership.confirm(10_000);
        await member.membership.commitOffsets(new Map([[0, 2]]));
        expect(await client.admin().committedOffsets(groupId, topic)).toEqual([2, null, null]);
        await member.membership.confirm(10_000);
        expect(member.assignments).toEqual([[0, 1, 2]]);
        await member.membership.stop(5000);
        await member.close();
      });

      it('does not wait for an earlier life of the same process', async () => {
        const topic = await newTopic();
        const groupId = log.freshName('group');
        const clientId = log.freshName('instance');
        const dead = newMember(topic, groupId, clientId);
        await dead.start();
        // Never stopped: to the group it is alive until its session ends after 10 s.
        const alive = newMember(topic, groupId, clientId);
        const startedAtMs = performance.now();
        await alive.start();
        expect(alive.current()).toEqual([0, 1, 2]);
        expect(performance.now() - startedAtMs).toBeLessThan(5000);
        await Promise.all([dead.close(), alive.close()]);
      });

      it('says so when nobody confirms, or when it is no member', async () => {
        const unreachable = log.newUnreachableClient();
        const membership = unreachable.membership({ groupId: 'g', topic: 't', sessionTimeoutMs: 10_000, evictOwnClientId: false });
        await expect(membership.confirm(50)).rejects.toMatchObject({ code: 'MEMBERSHIP_UNCONFIRMED' });
        await expect(membership.commitOffsets(new Map([[0, 1]]))).rejects.toMatchObject({ code: 'OFFSETS_NOT_COMMITTED' });
        await membership.stop(50);
        await unreachable.close();
      });
    });

    describe('admin', () => {
      it('creates what is missing, once, and describes it', async () => {
        const name = log.freshName('topic');
        const spec = { name, partitions: 2, replicationFactor: 1, configs: { 'retention.ms': '3600000' } };
        expect(await client.admin().createTopics([spec])).toEqual([name]);
        expect(await client.admin().createTopics([spec])).toEqual([]);
        const [described, ...others] = await client.admin().describeTopics([name, log.freshName('missing')]);
        expect(others).toEqual([]);
        expect(described).toMatchObject({ name, partitions: 2, replicationFactor: 1 });
        expect(described!.configs.get('retention.ms')).toBe('3600000');
      });

      it('tells the watermarks, open and aborted transactions included', async () => {
        const topic = await newTopic();
        await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded({ topic, partition: 1 }, ['a', 'b'])]);
        expect(await client.admin().watermarks(topic)).toEqual([
          { logStartOffset: 0, highWatermark: 0 },
          { logStartOffset: 0, highWatermark: 2 },
          { logStartOffset: 0, highWatermark: 0 },
        ]);
      });

      it('finds the offsets at a time', async () => {
        const topic = await newTopic({ 'message.timestamp.type': 'LogAppendTime' });
        const at = { topic, partition: 0 };
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        await lane.send([encoded(at, ['a'])]);
        const [first] = await readToEnd(loop, at);
        expect(await client.admin().offsetsAtTime(topic, first!.timestampMs)).toEqual([0, 0, 0]);
        expect(await client.admin().offsetsAtTime(topic, first!.timestampMs + 60_000)).toEqual([1, 0, 0]);
      });

      it('says when there is no such topic', async () => {
        const missing = log.freshName('missing');
        await expect(client.admin().watermarks(missing)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
        await expect(client.admin().committedOffsets('group', missing)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
        await expect(client.admin().offsetsAtTime(missing, 0)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
        expect(await client.admin().describeTopics([missing])).toEqual([]);
      });
    });
  });
}
