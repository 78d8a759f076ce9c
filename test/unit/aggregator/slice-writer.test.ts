import { expect, test } from 'vitest';
import type { JournalEntry, Progress } from '../../../src/aggregator/progress.ts';
import { SliceWriter } from '../../../src/aggregator/slice-writer.ts';
import { FoldOutbox } from '../../../src/core/fold-output.ts';
import { TOPICS as KAFKA_TOPICS } from '../../../src/kafka/topics.ts';
import { TOPICS } from '../../support/aggregator-world.ts';

const PROGRESS = { nextOffset: 1, txnSeq: 1 } as Progress;
const JOURNAL = { txnSeq: 1 } as JournalEntry;
/** max.message.bytes of a broker that nobody has configured, less the header of a batch. */
const BROKER_BYTES_MAX = 1_048_588 - 61;

test('large records are never put together into a batch that a broker refuses', () => {
  const encode = () => Buffer.alloc(0);
  const writer = new SliceWriter({ topics: TOPICS, partition: 0, encoders: { aggregate: encode, alert: encode } });
  writer.begin(0);
  const sizes = [700, 300, 700, 300, 900, 10, 10, 760];
  for (const [offset, kilobytes] of sizes.entries()) {
    const value = Buffer.alloc(kilobytes * 1024);
    const refused = { reason: 'undecodable', detail: '', key: Buffer.from('d1'), firstAppendTimeMs: 1, attempt: 1, trace: null } as const;
    writer.deadLetter({ offset, value, ...refused });
  }
  const batches = writer.finish(new FoldOutbox().take(), { progress: PROGRESS, journal: JOURNAL });
  const deadLetters = batches.filter(({ topic }) => topic === TOPICS.readingsDlq);
  expect(deadLetters.reduce((sum, { count }) => sum + count, 0)).toBe(sizes.length);
  for (const { records } of deadLetters) expect(records.length).toBeLessThanOrEqual(BROKER_BYTES_MAX);
});

test('of a refused record that no topic would take the beginning is kept', () => {
  const encode = () => Buffer.alloc(0);
  const writer = new SliceWriter({ topics: TOPICS, partition: 0, encoders: { aggregate: encode, alert: encode } });
  writer.begin(0);
  const value = Buffer.alloc(20 * 1024 * 1024, 'x');
  writer.deadLetter({
    offset: 7,
    value,
    reason: 'undecodable',
    detail: 'garbage',
    key: value,
    firstAppendTimeMs: 1,
    attempt: 1,
    trace: null,
  });
  const batches = writer.finish(new FoldOutbox().take(), { progress: PROGRESS, journal: JOURNAL });
  const [letter] = batches.filter(({ topic }) => topic === TOPICS.readingsDlq);
  const limit = Number(KAFKA_TOPICS.readingDeadLetters.configs['max.message.bytes']);
  expect(letter!.records.length).toBeLessThan(limit);
  expect(letter!.records.includes('garbage (cut off: the key had 20971520 bytes, the value 20971520)')).toBe(true);
});
