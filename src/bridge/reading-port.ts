import type { IdentitySeed } from '../core/identity.ts';
import type { Reading } from '../core/reading.ts';

/** What the bridge asks of the registry's codec. */
export interface ReadingEncoder {
  /** The reading as a Kafka value in the wire format: a view that is valid until the next call. */
  encode(reading: Reading): Uint8Array;
}

/** What is known of a device before its message is looked at. */
export interface ReadingOrigin {
  /** The device id in ASCII, which is the Kafka key as well. */
  readonly key: Uint8Array;
  readonly identitySeed: IdentitySeed;
}

/** A message as it came in: the payload is bytes[payloadStart, payloadEnd). */
export interface IncomingMessage {
  readonly bytes: Buffer;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** Epoch ms. */
  readonly receivedAt: number;
}

/** Decodes and encodes in one go the messages that nearly all devices send. */
export interface ReadingTranscoder {
  /** The same bytes that decoding and encoding give, valid until the next call; null when the message has to go that way. */
  transcode(message: IncomingMessage, origin: ReadingOrigin): Uint8Array | null;
  /** Fields of the message transcoded last that were left out. */
  readonly ignoredFields: number;
}
