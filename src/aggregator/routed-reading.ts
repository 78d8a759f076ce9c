import { murmur2, partitionOfHash } from '../core/murmur2.ts';
import { hasValidOrigin, hasValidValues, type Reading } from '../core/reading.ts';
import type { RecordReader } from '../core/record-batch.ts';
import { replayIdentityOf } from '../core/replay-headers.ts';
import type { Decoded } from '../registry/value-decoder-port.ts';
import type { AggregatorContext } from './aggregator-ports.ts';

export type RoutedReading = Decoded<Reading> | { readonly kind: 'misrouted' };

/** How the decoder may save work here: what the fold needs of a reading it takes at once, and it needs not all of it. */
export const READING_REUSE = { names: ['deviceId'], ignored: ['eventTimeSource', 'sequence', 'messageId', 'status', 'attributes'] };

const INVALID: RoutedReading = { kind: 'undecodable', detail: 'it breaks the rules of a reading' };
const MISROUTED: RoutedReading = { kind: 'misrouted' };

/** The reading in the record that the reader stands on, if it can be decoded and belongs to this partition, with the identity that counts. */
export function routedReading(
  reader: RecordReader,
  context: Pick<AggregatorContext, 'decoder' | 'partitions'>,
  partition: number,
): RoutedReading {
  const { buffer, keyStart, keyEnd } = reader;
  if (reader.valueStart < 0) return INVALID;
  const decoded = context.decoder.decode(buffer, reader.valueStart, reader.valueEnd);
  if (decoded.kind !== 'value') return decoded;
  const { value } = decoded;
  if (!hasValidOrigin(value) || !hasValidValues(value)) return INVALID;
  if (keyStart < 0 || partitionOfHash(murmur2(buffer, keyStart, keyEnd), context.partitions) !== partition) return MISROUTED;
  if (!keyEquals(buffer, keyStart, keyEnd, decoded.value.deviceId)) return MISROUTED;
  if (reader.hasHeaders) decoded.value.identity = replayIdentityOf(reader.headers()) ?? decoded.value.identity;
  return decoded;
}

/** Compares the key with the device id without making a string of it. */
function keyEquals(buffer: Buffer, start: number, end: number, deviceId: string): boolean {
  if (end - start !== deviceId.length) return false;
  // A device id is ASCII, so characters are bytes; anything else differs somewhere.
  for (let i = 0; i < deviceId.length; i += 1) if (buffer[start + i] !== deviceId.charCodeAt(i)) return false;
  return true;
}
