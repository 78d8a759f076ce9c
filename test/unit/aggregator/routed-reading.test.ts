import fc from 'fast-check';
import { expect, test } from 'vitest';
import { routedReading } from '../../../src/aggregator/routed-reading.ts';
import { DEVICE_ID_PATTERN, type Reading } from '../../../src/core/reading.ts';
import { encodeRecordBatch, RecordReader, RecordsEncoder } from '../../../src/core/record-batch.ts';
import type { Decoded } from '../../../src/registry/value-decoder-port.ts';
import { partitionOfKey } from '../../support/oracle/murmur2.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';

const PARTITIONS = 3;
const MAX = 1e100;

/** What becomes of a decoded reading, with its own key in its own partition unless told otherwise. */
function kindOf(reading: Reading, key = reading.deviceId, partition = partitionOfKey(key, PARTITIONS)): string {
  const encoder = new RecordsEncoder(64);
  encoder.reset(0);
  encoder.add(Buffer.from(key), Buffer.of(0), 0);
  const reader = new RecordReader();
  const batches = encodeRecordBatch({ records: encoder.take(), count: 1, baseTimestampMs: 0 });
  reader.reset({ batches, fetchOffset: 0, abortedTransactions: [] });
  reader.next();
  const decode = (): Decoded<typeof reading> => ({ kind: 'value', value: reading });
  const decoder = { decode, load: () => Promise.resolve() };
  return routedReading(reader, { decoder, partitions: PARTITIONS }, partition).kind;
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

test('a reading counts when its key is the id of its device, and the partition that of the key, whatever was read before', () => {
  const name = fc.oneof(
    fc.nat(9).map((n) => `d${n}`),
    fc.string({ unit: fc.constantFrom('a', ':', ' ', 'ä', 'é'), maxLength: 3 }),
    fc.constantFrom('a'.repeat(128), 'a'.repeat(129), 'a'.repeat(200)),
  );
  fc.assert(
    fc.property(name, fc.option(name, { nil: undefined }), fc.nat(PARTITIONS - 1), (deviceId, otherKey, partition) => {
      const key = otherKey ?? deviceId;
      const isOurs = key === deviceId && partitionOfKey(key, PARTITIONS) === partition;
      const expected = DEVICE_ID_PATTERN.test(deviceId) ? (isOurs ? 'value' : 'misrouted') : 'undecodable';
      expect(kindOf(plainReading({ ...good, deviceId }), key, partition)).toBe(expected);
    }),
    { numRuns: 1_000 },
  );
});
