import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ReadingOutcome } from '../../src/core/outcome.ts';
import type { FoldVerdict } from '../support/fold-verdict.ts';
import { ForeignProducer, type ForeignRecord, registerSchema, wireValue } from '../support/foreign-producer.ts';
import { partitionOfKey } from '../support/oracle/murmur2.ts';
import type { TopicRecord } from '../support/read-topic.ts';
import { type RoleMetrics, readMetrics } from '../support/role-metrics.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import type { LogDump } from '../support/topic-dump.ts';

// What somebody else writes to `readings`: other partitioners, other bytes, other clocks. Each record has its one outcome, nothing stops
// the stream, and what is refused lies in readings.dlq as it was.

const PARTITIONS = 3;
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const RULES = 'rules: [{ id: hot, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }]\n';

interface Case {
  readonly name: string;
  readonly outcome: ReadingOutcome;
  readonly record: ForeignRecord;
}

/** A schema that a careless decoder follows: each null takes no byte, so six bytes ask for 2^28 of them. */
const BOMB_SCHEMA = JSON.stringify({
  type: 'record',
  name: 'SensorReading',
  namespace: 'io.ingot.telemetry',
  fields: [
    { name: 'deviceId', type: 'string' },
    { name: 'eventTime', type: 'long' },
    { name: 'receivedAt', type: 'long' },
    { name: 'nothings', type: { type: 'array', items: 'null' } },
  ],
});
const BOMB_COUNT = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x02]);
const UNKNOWN_SCHEMA_ID = 2_000_000_000;

function wrongPartition(key: string): number {
  return (partitionOfKey(key, PARTITIONS) + 1) % PARTITIONS;
}

async function cases(producer: ForeignProducer, prefix: string): Promise<Case[]> {
  const now = Date.now();
  const good = (deviceId: string, more: object = {}) => producer.encode({ deviceId, eventTime: now, temperature: 20, ...more });
  const bombId = await registerSchema(`${prefix}bomb`, BOMB_SCHEMA);
  const one = (name: string, outcome: ReadingOutcome, record: ForeignRecord): Case => ({ name, outcome, record });
  const undecodable = (name: string, value: Buffer | null) => one(name, 'undecodable', { key: 'u1', value });
  return [
    one('a reading', 'counted', { key: 'd1', value: good('d1') }),
    one('a reading that is not to be aggregated', 'not_aggregatable', { key: 'd1', value: good('d1', { aggregatable: false }) }),
    one('a reading with an identity', 'counted', { key: 'd2', value: good('d2', { identity: 77 }) }),
    one('the same again', 'duplicate', { key: 'd2', value: good('d2', { identity: 77 }) }),
    one('another partitioner', 'misrouted', { key: 'd3', value: good('d3'), partition: wrongPartition('d3') }),
    one('a key that is not the device', 'misrouted', { key: 'd4', value: good('d5') }),
    one('a key that begins like the device', 'misrouted', { key: 'd4', value: good('d44') }),
    one('no key', 'misrouted', { key: null, value: good('d6'), partition: 1 }),
    undecodable('no value', null),
    undecodable('an empty value', Buffer.alloc(0)),
    undecodable('JSON', Buffer.from('{"deviceId":"u1","temperature":20}')),
    undecodable('random bytes', Buffer.concat([Buffer.from([7]), randomBytes(40)])),
    undecodable('300 KiB of random bytes', Buffer.concat([Buffer.from([1]), randomBytes(300 * 1024)])),
    undecodable('a schema that the registry does not know', wireValue(UNKNOWN_SCHEMA_ID, Buffer.from('x'))),
    undecodable('a reading that is cut off', good('u1').subarray(0, -3)),
    undecodable('a reading with a byte too many', Buffer.concat([good('u1'), Buffer.from([0])])),
    undecodable('a number that is none', good('u1', { temperature: Number.NaN })),
    undecodable('an infinite number', good('u1', { metrics: { torque: Number.POSITIVE_INFINITY } })),
    undecodable('a number that no sum can take', good('u1', { pressure: 1.5e100 })),
    undecodable('the same among the metrics', good('u1', { metrics: { torque: -1.7e308 } })),
    undecodable('six bytes that become 2^28 nulls', wireValue(bombId, Buffer.concat([Buffer.from([2, 0x61, 2, 2]), BOMB_COUNT]))),
    one('a clock that is ahead', 'future', { key: 'd7', value: good('d7', { eventTime: now + HOUR_MS }) }),
    one('a clock that is a year behind', 'ancient', { key: 'd7', value: good('d7', { eventTime: now - 365 * DAY_MS }) }),
    one('the year 1970', 'ancient', { key: 'd7', value: good('d7', { eventTime: 1 }) }),
    one('a reading after all that', 'counted', { key: 'd7', value: good('d7', { temperature: 120 }) }),
  ];
}

let pipeline: TestPipeline;
let producer: ForeignProducer;
let sent: readonly Case[];
let dump: LogDump;
let verdict: FoldVerdict;
let metrics: RoleMetrics;

beforeAll(async () => {
  pipeline = await TestPipeline.create({ partitions: PARTITIONS, rules: RULES });
  producer = await ForeignProducer.open({ prefix: pipeline.prefix, partitions: PARTITIONS });
  sent = await cases(producer, pipeline.prefix);
  const aggregator = pipeline.start('aggregate');
  // One after the other, so that the order within a partition is that of the list; one in two compressed.
  for (const [index, { record }] of sent.entries()) await producer.send([record], { gzip: index % 2 === 1 });
  await pipeline.settle();
  metrics = await readMetrics(aggregator);
  expect(await aggregator.stop()).toBe(0);
  dump = await pipeline.dump();
  verdict = pipeline.verdict(dump);
}, 90_000);

afterAll(async () => {
  await producer?.close();
  await pipeline?.close();
});

function sameBytes(record: TopicRecord, { key, value }: ForeignRecord): boolean {
  return record.key === key && record.hasValue === (value !== null) && record.value.equals(value ?? Buffer.alloc(0));
}

describe('records of a foreign producer', () => {
  test('have the outcome that they should, and the oracle agrees (I1, I5)', () => {
    expect(verdict.violations).toEqual([]);
    const wanted = Map.groupBy(sent, ({ outcome }) => outcome);
    expect(Object.fromEntries(verdict.outcomes)).toEqual(Object.fromEntries([...wanted].map(([outcome, list]) => [outcome, list.length])));
  });

  test('that are refused lie in readings.dlq with untouched bytes and their cause', () => {
    const letters = dump.partitions.flatMap(({ deadLetters }) => deadLetters);
    const refused = sent.filter(({ outcome }) => !['counted', 'not_aggregatable', 'duplicate'].includes(outcome));
    expect(letters.length).toBe(refused.length);
    for (const { partition, readings, deadLetters } of dump.partitions) {
      for (const letter of deadLetters) {
        const source = readings.find(({ offset }) => String(offset) === letter.headers['source-offset'])!;
        const about = sent.find(({ record }) => sameBytes(source, record));
        expect(letter.headers, about?.name).toEqual({
          'original-topic': `${pipeline.prefix}readings`,
          'failure-reason': about?.outcome,
          'failure-stage': 'aggregator',
          'failure-detail': expect.stringMatching(/.{10,}/),
          timestamp: expect.stringMatching(/^\d{13}$/),
          attempt: '1',
          'first-append-time': String(source.timestampMs),
          'source-partition': String(partition),
          'source-offset': String(source.offset),
        });
        expect(sameBytes(letter, about!.record), about?.name).toBe(true);
      }
    }
  });

  test('are counted in the ledger (P9)', () => {
    expect(metrics.sum('readings_consumed_total')).toBe(sent.length);
    for (const [outcome, count] of verdict.outcomes) expect(metrics.sum('readings_consumed_total', { outcome })).toBe(count);
    for (const reason of ['undecodable', 'misrouted', 'future', 'ancient'] as const) {
      expect(metrics.sum('dead_letters_total', { stage: 'aggregator', reason })).toBe(verdict.outcomes.get(reason));
    }
  });

  test('do not stop what comes after them', () => {
    const alerts = dump.partitions.flatMap(({ alerts }) => alerts.map(({ deviceId, transition }) => [deviceId, transition]));
    expect(alerts).toEqual([['d7', 'RAISED']]);
  });
});
