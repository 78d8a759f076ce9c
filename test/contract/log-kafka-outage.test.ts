import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecordReader } from '../../src/core/record-batch.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { type RunningKafka, startKafka } from '../../src/local-stack/kafka.ts';
import { configureLog } from '../../src/ops/log.ts';
import { currentRecord, encoded, readToEnd, values } from '../support/memory-log-records.ts';

// A broker of its own, killed with -9 and started again while everything that Ingot does with Kafka is under way.

configureLog({ level: 'silent', format: 'json' });

const READ = { name: 'reader', maxWaitMs: 50, maxBytesPerPartition: 1_048_576, isolation: 'committed' } as const;
const TOPIC = 'outage';

let folder: string;
let kafka: RunningKafka;
let client: LogClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-outage-'));
  kafka = await startKafka({ folder, preferredPort: null });
  client = createKafkaLog({ brokers: kafka.brokers, clientId: 'outage' });
  await client.admin().createTopics([{ name: TOPIC, partitions: 2, replicationFactor: 1, configs: {} }]);
});
afterAll(async () => {
  await client?.close();
  await kafka?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends numbers one after the other until told to stop; returns how many were acknowledged. */
async function produceUntil(isOver: () => boolean): Promise<number> {
  const lane = client.produceLane({ name: 'lane', acks: 'all' });
  let count = 0;
  for (; !isOver(); count++) await lane.send([encoded({ topic: TOPIC, partition: 0 }, [String(count)])]);
  await lane.close(1000);
  return count;
}

/** Commits numbers one after the other as the aggregator does: after any error fence, and read what was committed. */
async function commitUntil(isOver: () => boolean): Promise<number> {
  const at = { topic: TOPIC, partition: 1 };
  const reading = client.fetchLoop({ ...READ, name: 'restore', maxWaitMs: 1 });
  let count = 0;
  while (!isOver()) {
    const lane = client.transactionLane({ transactionalId: 'outage', transactionTimeoutMs: 10_000 });
    try {
      const fenceOffset = await lane.fence(at);
      const committed = (await readToEnd(reading, at)).filter((record) => record.offset < fenceOffset);
      for (count = committed.length; !isOver(); count++) await lane.commit([encoded(at, [String(count)])]);
    } catch {
      // In doubt: the next fence tells.
    }
    await lane.close();
  }
  await reading.close();
  return count;
}

/** Reads along and returns what it saw; the bytes come from before and after the outage. */
async function readAlong(partition: number, isOver: (seen: number) => boolean): Promise<string[]> {
  const loop = client.fetchLoop({ ...READ, name: `along-${partition}` });
  const cursor = loop.open({ topic: TOPIC, partition }, 0);
  const reader = new RecordReader();
  const seen: string[] = [];
  while (!isOver(seen.length)) {
    reader.reset(await cursor.next());
    while (reader.next()) seen.push(currentRecord(reader).value!);
  }
  await loop.close();
  return seen;
}

describe('the broker killed and started again', () => {
  it('interrupts everything and loses nothing', { timeout: 180_000 }, async () => {
    const assignments: (readonly number[])[] = [];
    const failures: Error[] = [];
    const membership = client.membership({ groupId: 'outage', topic: TOPIC, sessionTimeoutMs: 10_000, evictOwnClientId: true });
    await membership.start({ onAssigned: (partitions) => assignments.push(partitions), onFailed: (error) => failures.push(error) });
    let isOver = false;
    let counts: { produced: number; committed: number } | null = null;
    const producing = produceUntil(() => isOver);
    const committing = commitUntil(() => isOver);
    const alongside = [
      readAlong(0, (seen) => counts !== null && seen >= counts.produced),
      readAlong(1, (seen) => counts !== null && seen >= counts.committed),
    ];
    const highWatermarks = async () => (await client.admin().watermarks(TOPIC)).map((row) => row.highWatermark);
    await expect.poll(async () => (await highWatermarks()).every((end) => end > 20), { timeout: 60_000 }).toBe(true);
    await kafka.kill();
    kafka = await startKafka({ folder, preferredPort: null });
    const after = await highWatermarks();
    await expect.poll(async () => (await highWatermarks()).every((end, p) => end > after[p]! + 20), { timeout: 60_000 }).toBe(true);
    await membership.confirm(60_000);
    isOver = true;
    const [produced, committed] = await Promise.all([producing, committing]);
    counts = { produced, committed };
    const [first, second] = await Promise.all(alongside);
    const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i));
    // At least once, in order of first sight; exactly once in transactions.
    expect([...new Set(first)]).toEqual(numbers(produced));
    expect(second).toEqual(numbers(committed));
    expect(values(await readToEnd(client.fetchLoop(READ), { topic: TOPIC, partition: 1 }))).toEqual(numbers(committed));
    expect(failures).toEqual([]);
    expect(assignments.at(-1)).toEqual([0, 1]);
    await membership.stop(5000);
  });
});
