import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FetchLoop, LogClient } from '../../src/kafka/log-port.ts';
import { DEFAULT_TIMESTAMP_MS, encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { COMMITTED, type LogContractContext, type LogUnderTest } from './log-contract-context.ts';
import { describeGroupsAndAdmin } from './log-group-contract.ts';
import { describeReading } from './log-reading-contract.ts';

// What Ingot relies on in the log. One suite for the real broker and for the log in memory.

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
    const context: LogContractContext = { log: () => log, client: () => client, loop: () => loop, newTopic };
    const inDoubt = expect.objectContaining({ code: 'TRANSACTION_IN_DOUBT' });

    beforeAll(() => {
      log = makeLog();
      client = log.newClient();
      loop = client.fetchLoop(COMMITTED);
    });
    afterAll(async () => {
      await client.close();
    });

    describeReading(context);
    describeGroupsAndAdmin(context);

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
          { offset: 1, timestampMs: DEFAULT_TIMESTAMP_MS, key: 'd1', value: null, headers: { 'failure-reason': 'invalid_json' } },
          { offset: 2, timestampMs: DEFAULT_TIMESTAMP_MS, key: '', value: '', headers: {} },
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
        const lane = client.produceLane({ name: 'lane', acks });
        // Sent until it is seen: without acknowledgement nobody says that a topic made a moment ago was not ready yet.
        const sendAndRead = async () => {
          await lane.send([encoded(at, ['a'])]);
          return values(await readToEnd(loop, at));
        };
        await expect.poll(sendAndRead, { timeout: 60_000 }).toContain('a');
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

      it('names the batches that are too large, and appends all others, once', async () => {
        const topic = await newTopic({ 'max.message.bytes': '2000' });
        const lane = client.produceLane({ name: 'lane', acks: 'all' });
        const to = (partition: number, value: string) => encoded({ topic, partition }, [value]);
        // Partition 0 has something already, so that its sequence numbers have begun.
        await lane.send([to(0, 'first')]);
        const tooLarge = 'x'.repeat(3000);
        const call = [to(0, 'a'), encoded({ topic, partition: 0 }, []), to(1, tooLarge), to(2, 'b'), to(1, 'behind'), to(0, tooLarge)];
        await expect(lane.send(call)).rejects.toMatchObject({
          code: 'RECORD_TOO_LARGE',
          details: { topicPartition: { topic, partition: 1 }, pending: [2, 4, 5] },
        });
        // The same lane goes on, also with as many records as were refused.
        await lane.send([to(0, 'c'), to(1, 'd'), to(2, 'e')]);
        expect(values(await readToEnd(loop, { topic, partition: 0 }))).toEqual(['first', 'a', 'c']);
        expect(values(await readToEnd(loop, { topic, partition: 1 }))).toEqual(['d']);
        expect(values(await readToEnd(loop, { topic, partition: 2 }))).toEqual(['b', 'e']);
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
  });
}
