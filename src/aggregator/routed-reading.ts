import { partitionOfHash } from '../core/murmur2.ts';
import { NameTable } from '../core/name-table.ts';
import { hasValidValues, isDate, isDeviceId, METRIC_MAGNITUDE_MAX, type Reading } from '../core/reading.ts';
import type { RecordReader } from '../core/record-batch.ts';
import { replayIdentityOf } from '../core/replay-headers.ts';
import type { Decoded } from '../registry/value-decoder-port.ts';
import type { AggregatorContext } from './aggregator-ports.ts';

export type RoutedReading = Decoded<Reading> | { readonly kind: 'misrouted' };

/** The devices heard, of all partitions of the process. */
const DEVICE_IDS = new NameTable();

/** How the decoder may save work here: what the fold needs of a reading it takes at once, and it needs not all of it. */
export const READING_REUSE = {
  names: ['deviceId'],
  table: DEVICE_IDS,
  ignored: ['eventTimeSource', 'sequence', 'messageId', 'status', 'attributes'],
  magnitudeMax: METRIC_MAGNITUDE_MAX,
};

const INVALID: RoutedReading = { kind: 'undecodable', detail: 'it breaks the rules of a reading' };
const MISROUTED: RoutedReading = { kind: 'misrouted' };

/** The reading in the record that the reader stands on, if it can be decoded and belongs to this partition, with the identity that counts. */
export function routedReading(
  reader: RecordReader,
  context: Pick<AggregatorContext, 'decoder' | 'partitions'>,
  partition: number,
): RoutedReading {
  const { buffer, keyStart } = reader;
  if (reader.valueStart < 0) return INVALID;
  const place = keyStart < 0 ? -1 : DEVICE_IDS.find(reader.view, keyStart, reader.keyEnd);
  // Both before the decoder looks for the name in the value: the place may hold another one then.
  const key = place < 0 ? null : DEVICE_IDS.nameAt(place);
  const hash = place < 0 ? 0 : DEVICE_IDS.hashAt(place);
  const decoded = context.decoder.decode(buffer, reader.valueStart, reader.valueEnd);
  if (decoded.kind !== 'value') return decoded;
  const { value } = decoded;
  // A key that is an id of a device was checked when it came for the first time.
  const isOfKey = value.deviceId === key;
  if (!(isOfKey || isDeviceId(value.deviceId)) || !isDate(value.eventTime)) return INVALID;
  if (decoded.isBounded !== true && !hasValidValues(value)) return INVALID;
  if (!isOfKey || partitionOfHash(hash, context.partitions) !== partition) return MISROUTED;
  if (reader.hasHeaders) value.identity = replayIdentityOf(reader.headers()) ?? value.identity;
  return decoded;
}
