import { describe, expect, it } from 'vitest';
import { RecordReader } from '../../src/core/record-batch.ts';
import { currentRecord, encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { COMMITTED, LONG_POLL_MS, type LogContractContext } from './log-contract-context.ts';

export function describeReading(context: LogContractContext): void {
  describe('fetch loop', () => {
    const fill = async (at: { topic: string; partition: number }, batches: readonly (readonly string[])[]) => {
      const lane = context.client().produceLane({ name: 'lane', acks: 'all' });
      for (const batch of batches) await lane.send([encoded(at, batch)]);
      await lane.close(1000);
    };

    it('reads from the offset asked for, in the middle of a batch', async () => {
      const at = { topic: await context.newTopic(), partition: 0 };
      await fill(at, [['a', 'b', 'c'], ['d']]);
      expect(values(await readToEnd(context.loop(), at, 1))).toEqual(['b', 'c', 'd']);
    });

    it('answers with nothing after a long poll, and says when it asked and where the end is', async () => {
      const at = { topic: await context.newTopic(), partition: 0 };
      await fill(at, [['a']]);
      const cursor = context.loop().open(at, 1);
      const askedAtMs = performance.now();
      const fetched = await cursor.next();
      expect(fetched).toMatchObject({ fetchOffset: 1, highWatermark: 1, lastStableOffset: 1, logStartOffset: 0, ...at });
      expect(fetched.batches.length).toBe(0);
      expect(fetched.sentAtMs).toBeLessThanOrEqual(performance.now());
      expect(fetched.sentAtMs).toBeGreaterThan(askedAtMs - 2 * LONG_POLL_MS - 1000);
      cursor.close();
    });

    it('wakes up when records come', async () => {
      const at = { topic: await context.newTopic(), partition: 0 };
      const patient = context.client().fetchLoop({ ...COMMITTED, name: 'patient', maxWaitMs: 20_000 });
      const cursor = patient.open(at, 0);
      const waiting = cursor.next();
      await fill(at, [['a']]);
      expect((await waiting).batches.length).toBeGreaterThan(0);
      await patient.close();
    });

    it('goes on from the end of what it gave, over markers and aborted records', async () => {
      const at = { topic: await context.newTopic(), partition: 0 };
      const id = context.log().freshName('tx');
      const reader = new RecordReader();
      const cursor = context.loop().open(at, 0);
      const seen: (string | null)[] = [];
      let endOffset = 0;
      const lane = context.client().transactionLane({ transactionalId: id, transactionTimeoutMs: 20_000 });
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
      const topic = await context.newTopic();
      for (const partition of [0, 1, 2]) await fill({ topic, partition }, [[`p${partition}`], ['x']]);
      const side = context.client().fetchLoop({ ...COMMITTED, name: 'side', maxWaitMs: 500 });
      const untaken = side.open({ topic, partition: 0 }, 0);
      expect((await untaken.next()).batches.length).toBeGreaterThan(0);
      const [one, two] = await Promise.all([readToEnd(side, { topic, partition: 1 }), readToEnd(side, { topic, partition: 2 })]);
      expect(values(one)).toEqual(['p1', 'x']);
      expect(values(two)).toEqual(['p2', 'x']);
      await side.close();
    });

    it('gives two cursors on one partition each what it asked for', async () => {
      const at = { topic: await context.newTopic(), partition: 0 };
      await fill(at, [['a'], ['b'], ['c']]);
      const shared = context.client().fetchLoop({ ...COMMITTED, name: 'shared', maxBytesPerPartition: 1 });
      const begins = [0, 3, 1, 3, 2, 0];
      const all = await Promise.all(begins.map((offset) => readToEnd(shared, at, offset)));
      expect(all.map(values)).toEqual(begins.map((offset) => ['a', 'b', 'c'].slice(offset)));
      await shared.close();
    });

    it('delivers batches larger than its limit per partition, whichever partition they are in', async () => {
      const topic = await context.newTopic();
      const large = 'x'.repeat(5000);
      for (const partition of [0, 1, 2]) await fill({ topic, partition }, [[large], ['y'], [large]]);
      const narrow = context.client().fetchLoop({ ...COMMITTED, name: 'narrow', maxBytesPerPartition: 1000 });
      const all = await Promise.all([0, 1, 2].map((partition) => readToEnd(narrow, { topic, partition })));
      for (const records of all) expect(values(records)).toEqual([large, 'y', large]);
      await narrow.close();
    });

    it('rejects what waits when the cursor, or the loop, is closed', async () => {
      const topic = await context.newTopic();
      const own = context.client().fetchLoop({ ...COMMITTED, name: 'own', maxWaitMs: 20_000 });
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
      const at = { topic: await context.newTopic({ 'max.message.bytes': '4000000' }), partition: 0 };
      const record = { key: null, value: null };
      await context
        .client()
        .produceLane({ name: 'lane', acks: 'all' })
        .send([encoded(at, new Array(200_000).fill(record))]);
      expect(await readToEnd(context.loop(), at)).toHaveLength(200_000);
    });
  });
}
