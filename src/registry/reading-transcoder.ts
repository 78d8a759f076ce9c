import type { IncomingMessage, ReadingOrigin } from '../bridge/reading-port.ts';
import { FlatReading } from '../core/flat-reading.ts';
import { identityFrom } from '../core/identity.ts';
import { WIRE_PREFIX_BYTES, writeWirePrefix } from '../core/wire-format.ts';

// From the bytes of an MQTT message to those of a SensorReading record, without the reading in between: for the messages that FlatReading
// knows. Field by field as schemas/sensor-reading.avsc has them; test/property/flat-reading.test.ts compares the bytes with those that the
// decoder and the encoder make of the same message.

const BUFFER_BYTES = 8_192;
/** Beside the names, which are part of the payload: 24 metrics of nine bytes, the doubles, the prefix. */
const MOST_ELSE_BYTES = 512;
const EVENT_TIME_DEVICE = 1;
const EVENT_TIME_BRIDGE = 2;
const NULL_BRANCH = 0;
const VALUE_BRANCH = 2;
const TWO_TO_28 = 2 ** 28;

/** Writes readings in the wire format into one buffer that is used again and again. */
export class ReadingTranscoder {
  readonly #flat = new FlatReading();
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  /** By length: to make a view costs more than to write what it shows, and the lengths are few. */
  readonly #views: Uint8Array[] = [];
  #at = 0;
  #ignoredFields = 0;

  constructor({ schemaId }: { readonly schemaId: number }) {
    writeWirePrefix(this.#buffer, schemaId);
  }

  /** Fields of the last message that were left out. */
  get ignoredFields(): number {
    return this.#ignoredFields;
  }

  /** The record's value, a view that is valid until the next call; null when the message has to go through the decoder. */
  transcode(message: IncomingMessage, origin: ReadingOrigin): Uint8Array | null {
    const { bytes, payloadStart, payloadEnd } = message;
    const { key } = origin;
    const flat = this.#flat;
    if (payloadEnd - payloadStart + key.length > BUFFER_BYTES - MOST_ELSE_BYTES) return null;
    if (!flat.read(bytes, payloadStart, payloadEnd, key)) return null;
    this.#ignoredFields = flat.ignoredFields;
    const hasTime = !Number.isNaN(flat.eventTime);
    const hasSequence = !Number.isNaN(flat.sequence);
    const hasIdentity = hasTime || hasSequence || flat.messageIdEnd !== 0;
    this.#at = WIRE_PREFIX_BYTES;
    this.#writeText(key, 0, key.length);
    this.#writeLong(hasTime ? flat.eventTime : message.receivedAt);
    this.#writeLong(message.receivedAt);
    this.#writeByte((hasTime ? EVENT_TIME_DEVICE : EVENT_TIME_BRIDGE) << 1);
    this.#writeLong(hasIdentity ? identityFrom(origin.identitySeed, bytes, payloadStart, payloadEnd) : 0);
    if (hasSequence) {
      this.#writeByte(VALUE_BRANCH);
      this.#writeLong(flat.sequence);
    } else this.#writeByte(NULL_BRANCH);
    this.#writeOptionalText(flat.messageIdStart, flat.messageIdEnd);
    this.#writeByte(flat.aggregatable ? 1 : 0);
    this.#writeOptionalText(flat.statusStart, flat.statusEnd);
    this.#writeCommon();
    this.#writeMetrics();
    // No attributes.
    this.#writeByte(0);
    return (this.#views[this.#at] ??= this.#buffer.subarray(0, this.#at));
  }

  #writeCommon(): void {
    const { common, commonMask } = this.#flat;
    const buffer = this.#buffer;
    let at = this.#at;
    for (let index = 0; index < common.length; index++) {
      if ((commonMask & (1 << index)) === 0) buffer[at++] = NULL_BRANCH;
      else {
        buffer[at] = VALUE_BRANCH;
        this.#view.setFloat64(at + 1, common[index]!, true);
        at += 9;
      }
    }
    this.#at = at;
  }

  #writeMetrics(): void {
    const { bytes, nameCount, nameStarts, nameEnds, isMetric, values, metricCount } = this.#flat;
    if (metricCount > 0) this.#writeByte(metricCount << 1);
    for (let index = 0; index < nameCount; index++) {
      if (isMetric[index] === 0) continue;
      this.#writeText(bytes, nameStarts[index]!, nameEnds[index]!);
      this.#view.setFloat64(this.#at, values[index]!, true);
      this.#at += 8;
    }
    this.#writeByte(0);
  }

  #writeByte(byte: number): void {
    this.#buffer[this.#at++] = byte;
  }

  #writeOptionalText(start: number, end: number): void {
    if (end === 0) {
      this.#writeByte(NULL_BRANCH);
      return;
    }
    this.#writeByte(VALUE_BRANCH);
    this.#writeText(this.#flat.bytes, start, end);
  }

  /** A string of ASCII with its length. */
  #writeText(from: Uint8Array, start: number, end: number): void {
    const buffer = this.#buffer;
    this.#writeLong(end - start);
    let at = this.#at;
    for (let i = start; i < end; i++) buffer[at++] = from[i]!;
    this.#at = at;
  }

  /** A zigzag varint of a safe integer. */
  #writeLong(value: number): void {
    const buffer = this.#buffer;
    let at = this.#at;
    // The zigzag form of a safe integer may have 54 bits: the low 28 first, so that each part fits 32-bit arithmetic.
    const half = value >= 0 ? value : -value - 1;
    const sign = value >= 0 ? 0 : 1;
    const high = Math.floor(half / (TWO_TO_28 / 2));
    let low = ((half % (TWO_TO_28 / 2)) << 1) | sign;
    if (high > 0) {
      for (let group = 0; group < 4; group++) {
        buffer[at++] = (low & 0x7f) | 0x80;
        low >>>= 7;
      }
      low = high;
    }
    while (low > 0x7f) {
      buffer[at++] = (low & 0x7f) | 0x80;
      low >>>= 7;
    }
    buffer[at++] = low;
    this.#at = at;
  }
}
