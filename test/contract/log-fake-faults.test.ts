import { describe, expect, it } from 'vitest';
import { MemoryLog } from '../support/memory-log.ts';
import { encoded, readToEnd, values } from '../support/memory-log-records.ts';

// The faults that the log in memory can be told to have, and the settings of its clocks.

const AT = { topic: 't', partition: 0 };
const READ = { name: 'r', maxWaitMs: 5, maxBytesPerPartition: 1000, isolation: 'committed' } as const;

function newLog(options: ConstructorParameters<typeof MemoryLog>[0] = {}) {
  const log = new MemoryLog(options);
  log.createTopic({ name: 't', partitions: 1, replicationFactor: 1, configs: { 'message.timestamp.type': 'LogAppendTime' } });
  const client = log.client();
  const lane = () => client.transactionLane({ transactionalId: 'id', transactionTimeoutMs: 1000 });
  const loop = client.fetchLoop(READ);
  return { log, client, lane, loop };
}

const inDoubt = { code: 'TRANSACTION_IN_DOUBT' };

describe('scripted commits', () => {
  it('can be committed though the caller is told otherwise', async () => {
    const { log, lane, loop } = newLog();
    log.scriptCommits('id', ['committed']);
    await expect(lane().commit([encoded(AT, ['a'])])).rejects.toMatchObject(inDoubt);
    expect(values(await readToEnd(loop, AT))).toEqual(['a']);
  });

  it('can be aborted, after others went well', async () => {
    const { log, lane, loop } = newLog();
    log.scriptCommits('id', [null, 'aborted']);
    const own = lane();
    await own.commit([encoded(AT, ['a'])]);
    await expect(own.commit([encoded(AT, ['b'])])).rejects.toMatchObject(inDoubt);
    expect(values(await readToEnd(loop, AT))).toEqual(['a']);
  });

  it('can be left open: readers stop before them until somebody fences', async () => {
    const { log, client, lane, loop } = newLog();
    log.scriptCommits('id', ['left-open']);
    await expect(lane().commit([encoded(AT, ['a'])])).rejects.toMatchObject(inDoubt);
    await client.produceLane({ name: 'other', acks: 'all' }).send([encoded(AT, ['b'])]);
    expect(await readToEnd(loop, AT)).toEqual([]);
    expect(log.partition(AT)).toMatchObject({ lastStableOffset: 0, highWatermark: 2 });
    await lane().fence(AT);
    expect(values(await readToEnd(loop, AT))).toEqual(['b']);
  });

  it('can be fenced by another owner', async () => {
    const { log, lane, loop } = newLog();
    log.scriptCommits('id', ['fenced']);
    const own = lane();
    const error: unknown = await own.commit([encoded(AT, ['a'])]).catch((reason: unknown) => reason);
    expect(own.isFenced(error)).toBe(true);
    expect(await readToEnd(loop, AT)).toEqual([]);
  });

  it('are fenced when the transaction expired', async () => {
    const { log, lane } = newLog();
    const own = lane();
    await own.fence(AT);
    log.expireTransaction('id');
    const error: unknown = await own.commit([encoded(AT, ['a'])]).catch((reason: unknown) => reason);
    expect(own.isFenced(error)).toBe(true);
  });
});

describe('other faults', () => {
  it('a lost acknowledgement appends twice', async () => {
    const { log, client, loop } = newLog();
    log.scriptSends('lane', ['acknowledgement-lost']);
    await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded(AT, ['a', 'b'])]);
    expect(values(await readToEnd(loop, AT))).toEqual(['a', 'b', 'a', 'b']);
  });

  it('an outage holds sends until it ends', async () => {
    const { log, client, loop } = newLog();
    log.beginOutage();
    const sending = client.produceLane({ name: 'lane', acks: 'all' }).send([encoded(AT, ['a'])]);
    expect(await readToEnd(loop, AT)).toEqual([]);
    log.endOutage();
    await sending;
    expect(values(await readToEnd(loop, AT))).toEqual(['a']);
  });

  it('retention raises the start of the log, and reading before it is refused', async () => {
    const { log, client, loop } = newLog();
    const lane = client.produceLane({ name: 'lane', acks: 'all' });
    await lane.send([encoded(AT, ['a', 'b'])]);
    await lane.send([encoded(AT, ['c'])]);
    log.partition(AT).deleteBefore(2);
    expect(await client.admin().watermarks('t')).toEqual([{ logStartOffset: 2, highWatermark: 3 }]);
    expect(values(await readToEnd(loop, AT, 2))).toEqual(['c']);
    await expect(loop.open(AT, 1).next()).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    await expect(loop.open(AT, 4).next()).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
  });

  it('encoded records that do not hold what they claim are a bug of the test', async () => {
    const { client } = newLog();
    const wrong = { ...encoded(AT, ['a', 'b']), count: 1 };
    await expect(client.produceLane({ name: 'lane', acks: 'all' }).send([wrong])).rejects.toThrow();
  });

  it('who was expelled from the group joins again when it asks', async () => {
    const { log, client } = newLog();
    const assignments: (readonly number[])[] = [];
    const membership = client.membership({ groupId: 'g', topic: 't', sessionTimeoutMs: 1, evictOwnClientId: false });
    await membership.start({ onAssigned: (partitions) => assignments.push(partitions), onFailed: () => undefined });
    log.group('g', 1).expel('test');
    await expect(membership.commitOffsets(new Map([[0, 1]]))).rejects.toMatchObject({ code: 'OFFSETS_NOT_COMMITTED' });
    await membership.confirm(1);
    expect(assignments).toEqual([[0], [0]]);
  });
});

describe('clocks', () => {
  it('are the ones given: append times and times of asking', async () => {
    const { client } = newLog({ nowMs: () => 5_000, monotonicMs: () => 77, isPollInstant: true });
    const loop = client.fetchLoop({ ...READ, maxWaitMs: 3_600_000 });
    await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded(AT, ['a'])]);
    const [record] = await readToEnd(loop, AT);
    expect(record!.timestampMs).toBe(5_000);
    const cursor = loop.open(AT, 1);
    expect((await cursor.next()).sentAtMs).toBe(77);
    expect(await client.admin().offsetsAtTime('t', 5_000)).toEqual([0]);
    expect(await client.admin().offsetsAtTime('t', 5_001)).toEqual([1]);
  });
});
