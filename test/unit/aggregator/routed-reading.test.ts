import { expect, test } from 'vitest';
import { routedReading } from '../../../src/aggregator/routed-reading.ts';
import type { Reading } from '../../../src/core/reading.ts';
import { encodeRecordBatch, RecordReader, RecordsEncoder } from '../../../src/core/record-batch.ts';
import type { Decoded } from '../../../src/registry/value-decoder-port.ts';
import { partitionOfKey } from '../../support/oracle/murmur2.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';

const PARTITIONS = 3;
const MAX = 1e100;

/** What becomes of a decoded reading with its own key, in its own partition. */
function kindOf(reading: Reading): string {
  const encoder = new RecordsEncoder(64);
  encoder.reset(0);
  encoder.add(Buffer.from(reading.deviceId), Buffer.of(0), 0);
  const reader = new RecordReader();
  const batches = encodeRecordBatch({ records: encoder.take(), count: 1, baseTimestampMs: 0 });
  reader.reset({ batches, fetchOffset: 0, abortedTransactions: [] });
  reader.next();
  const decode = (): Decoded<typeof reading> => ({ kind: 'value', value: reading });
  const decoder = { decode, load: () => Promise.resolve() };
  return routedReading(reader, { decoder, partitions: PARTITIONS }, partitionOfKey(reading.deviceId, PARTITIONS)).kind;
}

const good = { deviceId: 'd1', eventTime: 0 };

test.each([
  [{}, 'value'],
  [{ temperature: MAX, pressure: -MAX, metrics: { torque: MAX } }, 'value'],
  [{ illuminance: MAX * 1.01 }, 'undecodable'],
  [{ temperature: -MAX * 1.01 }, 'undecodable'],
  [{ metrics: { torque: 1, ratio: Number.MAX_VALUE } }, 'undecodable'],
  // The field counts and the entry of the same name does not, but it is no number that a reading may have.
  [{ temperature: 20, metrics: { temperature: -Number.MAX_VALUE } }, 'undecodable'],
  [{ deviceId: '$progress' }, 'undecodable'],
  [{ eventTime: 8.65e15 }, 'undecodable'],
])('a reading with %j is %s', (more, kind) => {
  expect(kindOf(plainReading({ ...good, ...more }))).toBe(kind);
});
