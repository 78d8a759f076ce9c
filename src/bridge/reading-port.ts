import type { Reading } from '../core/reading.ts';

/** What the bridge asks of the registry's codec. */
export interface ReadingEncoder {
  /** The reading as a Kafka value in the wire format: a view that is valid until the next call. */
  encode(reading: Reading): Uint8Array;
}
