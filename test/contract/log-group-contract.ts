import { describe, expect, it } from 'vitest';
import { encoded, readToEnd } from '../support/memory-log-records.ts';
import type { LogContractContext } from './log-contract-context.ts';

export function describeGroupsAndAdmin(context: LogContractContext): void {
  describe('membership', () => {
    const newMember = (topic: string, groupId: string, clientId = 'member') => {
      const ofProcess = context.log().newClient(clientId);
      const membership = ofProcess.membership({ groupId, topic, sessionTimeoutMs: 10_000, evictOwnClientId: clientId !== 'member' });
      const assignments: (readonly number[])[] = [];
      const failures: Error[] = [];
      const start = () => membership.start({ onAssigned: (p) => assignments.push(p), onFailed: (error) => failures.push(error) });
      return { membership, assignments, failures, start, current: () => assignments.at(-1) ?? [], close: () => ofProcess.close() };
    };

    it('assigns all partitions to one, shares them between two, gives them back', async () => {
      const topic = await context.newTopic();
      const groupId = context.log().freshName('group');
      const [one, two] = [newMember(topic, groupId), newMember(topic, groupId)];
      await one.start();
      expect(one.current()).toEqual([0, 1, 2]);
      await two.start();
      await expect.poll(() => [...one.current(), ...two.current()].toSorted(), { timeout: 60_000 }).toEqual([0, 1, 2]);
      expect(one.current().length).toBeGreaterThan(0);
      expect(two.current().length).toBeGreaterThan(0);
      await one.membership.stop(5000);
      await expect.poll(() => two.current(), { timeout: 60_000 }).toEqual([0, 1, 2]);
      await two.membership.confirm(10_000);
      await two.membership.stop(5000);
      expect([...one.failures, ...two.failures]).toEqual([]);
      await Promise.all([one.close(), two.close()]);
    });

    it('commits offsets that the admin sees, and is not given the records', async () => {
      const topic = await context.newTopic();
      const groupId = context.log().freshName('group');
      const lane = context.client().produceLane({ name: 'lane', acks: 'all' });
      await lane.send([encoded({ topic, partition: 0 }, ['a', 'b', 'c'])]);
      const member = newMember(topic, groupId);
      await member.start();
      expect(await context.client().admin().committedOffsets(groupId, topic)).toEqual([null, null, null]);
      await member.membership.confirm(10_000);
      await member.membership.commitOffsets(new Map([[0, 2]]));
      expect(await context.client().admin().committedOffsets(groupId, topic)).toEqual([2, null, null]);
      await member.membership.confirm(10_000);
      expect(member.assignments).toEqual([[0, 1, 2]]);
      await member.membership.stop(5000);
      await member.close();
    });

    it('does not wait for an earlier life of the same process', async () => {
      const topic = await context.newTopic();
      const groupId = context.log().freshName('group');
      const clientId = context.log().freshName('instance');
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
      const unreachable = context.log().newUnreachableClient();
      const membership = unreachable.membership({ groupId: 'g', topic: 't', sessionTimeoutMs: 10_000, evictOwnClientId: false });
      await expect(membership.confirm(50)).rejects.toMatchObject({ code: 'MEMBERSHIP_UNCONFIRMED' });
      await expect(membership.commitOffsets(new Map([[0, 1]]))).rejects.toMatchObject({ code: 'OFFSETS_NOT_COMMITTED' });
      await membership.stop(50);
      await unreachable.close();
    });
  });

  describe('admin', () => {
    it('creates what is missing, once, and describes it', async () => {
      const name = context.log().freshName('topic');
      const spec = { name, partitions: 2, replicationFactor: 1, configs: { 'retention.ms': '3600000' } };
      expect(await context.client().admin().createTopics([spec])).toEqual([name]);
      expect(await context.client().admin().createTopics([spec])).toEqual([]);
      const [described, ...others] = await context
        .client()
        .admin()
        .describeTopics([name, context.log().freshName('missing')]);
      expect(others).toEqual([]);
      expect(described).toMatchObject({ name, partitions: 2, replicationFactor: 1 });
      expect(described!.configs.get('retention.ms')).toBe('3600000');
    });

    it('tells the watermarks, open and aborted transactions included', async () => {
      const topic = await context.newTopic();
      await context
        .client()
        .produceLane({ name: 'lane', acks: 'all' })
        .send([encoded({ topic, partition: 1 }, ['a', 'b'])]);
      expect(await context.client().admin().watermarks(topic)).toEqual([
        { logStartOffset: 0, highWatermark: 0 },
        { logStartOffset: 0, highWatermark: 2 },
        { logStartOffset: 0, highWatermark: 0 },
      ]);
    });

    it('finds the offsets at a time', async () => {
      const topic = await context.newTopic({ 'message.timestamp.type': 'LogAppendTime' });
      const at = { topic, partition: 0 };
      const lane = context.client().produceLane({ name: 'lane', acks: 'all' });
      await lane.send([encoded(at, ['a'])]);
      const [first] = await readToEnd(context.loop(), at);
      expect(await context.client().admin().offsetsAtTime(topic, first!.timestampMs)).toEqual([0, 0, 0]);
      expect(
        await context
          .client()
          .admin()
          .offsetsAtTime(topic, first!.timestampMs + 60_000),
      ).toEqual([1, 0, 0]);
    });

    it('says when there is no such topic', async () => {
      const missing = context.log().freshName('missing');
      await expect(context.client().admin().watermarks(missing)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      await expect(context.client().admin().committedOffsets('group', missing)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      await expect(context.client().admin().offsetsAtTime(missing, 0)).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
      expect(await context.client().admin().describeTopics([missing])).toEqual([]);
    });
  });
}
