import { expect, test } from 'vitest';
import { nameUuid } from '../../../src/aggregator/name-uuid.ts';
import { type RebuildContext, rebuildPartition } from '../../../src/aggregator/rebuild-partition.ts';
import { RecordsEncoder } from '../../../src/core/record-batch.ts';
import { TOPICS } from '../../support/aggregator-world.ts';
import { MemoryLog } from '../../support/memory-log.ts';

const AT = { topic: TOPICS.aggregates, partition: 0 };
const UNUSED_DECODER = { decode: () => ({ kind: 'undecodable' as const, detail: 'nothing' }), load: () => Promise.resolve() };

/** A log where one transaction wrote a row, and how it ended. */
function logWith(end: 'commit' | 'abort'): MemoryLog {
  const log = new MemoryLog();
  for (const name of Object.values(TOPICS)) log.createTopic({ name, partitions: 1, replicationFactor: 1, configs: {} });
  const encoder = new RecordsEncoder(64);
  encoder.reset(0);
  encoder.add(Buffer.from('d0'), Buffer.from('{}'), 0);
  const producer = log.initProducer('aggregator-0');
  log.appendInTransaction('aggregator-0', producer, { ...AT, records: encoder.take(), count: 1, baseTimestampMs: 0 });
  log.endTransaction('aggregator-0', end);
  return log;
}

function contextOf(log: MemoryLog): RebuildContext {
  const client = log.client('rebuild');
  return {
    groupId: 'telemetry.aggregator',
    topics: TOPICS,
    partitions: 1,
    decoder: UNUSED_DECODER,
    alertDecoder: UNUSED_DECODER,
    uuid: nameUuid,
    admin: client.admin(),
    restore: client.fetchLoop({ name: 'restore', maxWaitMs: 1, maxBytesPerPartition: 10_000, isolation: 'committed' }),
    openLane: (partition) => client.transactionLane({ transactionalId: `aggregator-${partition}`, transactionTimeoutMs: 30_000 }),
  };
}

test('a partition whose only transaction was aborted was never used', async () => {
  expect(await rebuildPartition(contextOf(logWith('abort')), 0)).toEqual({ kind: 'unused' });
});

test('one with rows and nothing that tells how they came about is lost', async () => {
  await expect(rebuildPartition(contextOf(logWith('commit')), 0)).rejects.toMatchObject({ code: 'STATE_LOST' });
});
