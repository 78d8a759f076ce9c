// The messages that nearly all devices send, read from their bytes: one flat object of plain ASCII, numbers, short strings and booleans, with
// `metrics` at most as a second level. JSON.parse and what walks over its result cost four times as much.
//
// This says *yes* or *I don't know*, never no. Everything that is out of the ordinary (escapes, other characters, equal keys, a
// value out of range, anything that has to be refused) is left to decode-reading.ts, which decides. Where this says yes, both say the same:
// test/property/flat-reading.test.ts compares them.

import { COMMON_METRICS, METRIC_MAGNITUDE_MAX } from './reading.ts';
import { EARLIEST_PLAUSIBLE_EPOCH_MS, LATEST_PLAUSIBLE_EPOCH_MS } from './time.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const UNDERSCORE = 0x5f;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const LOWER_T = 0x74;
const LOWER_F = 0x66;
const LOWER_N = 0x6e;
const LOWER_E = 0x65;
const UPPER_E = 0x45;

/** Above these a message is not what this is for. */
const OTHER_NAMES_MAX = 24;
const NAME_BYTES_MAX = 63;
const TEXT_BYTES_MAX = 128;
const NUMBER_BYTES_MAX = 30;
/** So many digits are exact in a double, and so is a power of ten up to 22: then one division rounds as the standard wants it. */
const EXACT_DIGITS_MAX = 15;
const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

const commonMin = Float64Array.from(COMMON_METRICS, (metric) => metric.min);
const commonMax = Float64Array.from(COMMON_METRICS, (metric) => metric.max);

/** Fields that are not common metrics get these numbers, common metrics those below. */
const FIELD_TS = 16;
const FIELD_SEQ = 17;
const FIELD_ID = 18;
const FIELD_DEVICE_ID = 19;
const FIELD_STATUS = 20;
const FIELD_AGGREGATABLE = 21;
const FIELD_METRICS = 22;
const UNKNOWN_FIELD = -1;

interface KnownName {
  readonly bytes: Uint8Array;
  readonly field: number;
}

const HASH_SLOTS = 256;
const HASH_MULTIPLIER = 31;
const knownNames = knownNameTable();

function knownNameTable(): readonly (KnownName | null)[] {
  const table = new Array<KnownName | null>(HASH_SLOTS).fill(null);
  const special = [
    ['ts', FIELD_TS],
    ['seq', FIELD_SEQ],
    ['id', FIELD_ID],
    ['deviceId', FIELD_DEVICE_ID],
    ['status', FIELD_STATUS],
    ['aggregatable', FIELD_AGGREGATABLE],
    ['metrics', FIELD_METRICS],
  ] as const;
  const common = COMMON_METRICS.map((metric, index) => [metric.name, index] as const);
  for (const [name, field] of [...special, ...common]) {
    const bytes = Uint8Array.from(name, (letter) => letter.charCodeAt(0));
    const hash = bytes.reduce((sum, byte) => (Math.imul(sum, HASH_MULTIPLIER) + byte) | 0, 0);
    let slot = hash & (HASH_SLOTS - 1);
    while (table[slot] !== null) slot = (slot + 1) & (HASH_SLOTS - 1);
    table[slot] = { bytes, field };
  }
  return table;
}

/**
 * The fields of one message, overwritten by the next. Text and names are given as positions in `bytes`; all of them are printable ASCII.
 */
export class FlatReading {
  bytes: Buffer = Buffer.alloc(0);
  /** Epoch ms; NaN when the message has none. */
  eventTime = Number.NaN;
  /** NaN when the message has none. */
  sequence = Number.NaN;
  /** 0 when there is none; so is `statusStart`. */
  messageIdStart = 0;
  messageIdEnd = 0;
  statusStart = 0;
  statusEnd = 0;
  aggregatable = true;
  /** Bit n is set when common metric n is there. */
  commonMask = 0;
  readonly common = new Float64Array(COMMON_METRICS.length);
  /** Names without a field of their own: metrics where `isMetric` is 1, ignored fields elsewhere. */
  nameCount = 0;
  readonly nameStarts = new Uint32Array(OTHER_NAMES_MAX);
  readonly nameEnds = new Uint32Array(OTHER_NAMES_MAX);
  readonly isMetric = new Uint8Array(OTHER_NAMES_MAX);
  readonly values = new Float64Array(OTHER_NAMES_MAX);
  metricCount = 0;
  ignoredFields = 0;

  readonly #nameHashes = new Int32Array(OTHER_NAMES_MAX);
  #seenFields = 0;
  #deviceId: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #nameHash = 0;
  #number = 0;
  #mantissa = 0;

  /** False when it has to be decoded by decode-reading.ts. `deviceId` is what the topic says. */
  read(bytes: Buffer, start: number, end: number, deviceId: Uint8Array): boolean {
    this.#begin(bytes, start, end, deviceId);
    if (!this.#skipTo(OPEN_BRACE)) return false;
    if (!this.#readObject(false)) return false;
    this.#skipBlanks();
    if (this.#at !== end) return false;
    return this.commonMask !== 0 || this.metricCount > 0 || this.statusEnd !== 0;
  }

  #begin(bytes: Buffer, start: number, end: number, deviceId: Uint8Array): void {
    this.bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#deviceId = deviceId;
    this.#seenFields = 0;
    this.eventTime = Number.NaN;
    this.sequence = Number.NaN;
    this.messageIdStart = 0;
    this.messageIdEnd = 0;
    this.statusStart = 0;
    this.statusEnd = 0;
    this.aggregatable = true;
    this.commonMask = 0;
    this.nameCount = 0;
    this.metricCount = 0;
    this.ignoredFields = 0;
  }

  /** Behind the opening brace; ends behind the closing one. */
  #readObject(isNested: boolean): boolean {
    if (this.#skipTo(CLOSE_BRACE)) return true;
    for (;;) {
      if (!this.#skipTo(QUOTE) || !this.#readName() || !this.#skipTo(COLON)) return false;
      this.#skipBlanks();
      const field = this.#knownField();
      // Within `metrics` every name is that of a metric.
      if (!(isNested && field > UNKNOWN_FIELD && field >= FIELD_TS ? this.#readOther(true) : this.#readField(field, isNested)))
        return false;
      this.#skipBlanks();
      const byte = this.#at < this.#end ? this.bytes[this.#at++]! : 0;
      if (byte === CLOSE_BRACE) return true;
      if (byte !== COMMA) return false;
    }
  }

  #readField(field: number, isNested: boolean): boolean {
    if (field === UNKNOWN_FIELD) return this.#readOther(isNested);
    if (field < FIELD_TS) return this.#readCommon(field);
    const bit = 1 << field;
    if ((this.#seenFields & bit) !== 0) return false;
    this.#seenFields |= bit;
    switch (field) {
      case FIELD_TS:
        if (!this.#readNumber() || !Number.isInteger(this.#number)) return false;
        this.eventTime = this.#number;
        return this.eventTime >= EARLIEST_PLAUSIBLE_EPOCH_MS && this.eventTime <= LATEST_PLAUSIBLE_EPOCH_MS;
      case FIELD_SEQ:
        if (!this.#readNumber()) return false;
        this.sequence = this.#number;
        return Number.isSafeInteger(this.sequence);
      case FIELD_ID:
        this.messageIdStart = this.#at + 1;
        this.messageIdEnd = this.#readText();
        return this.messageIdEnd > this.messageIdStart;
      case FIELD_STATUS:
        this.statusStart = this.#at + 1;
        this.statusEnd = this.#readText();
        return this.statusEnd > this.statusStart;
      case FIELD_DEVICE_ID:
        return this.#isDeviceId(this.#at + 1, this.#readText());
      case FIELD_AGGREGATABLE:
        this.aggregatable = this.bytes[this.#at] === LOWER_T;
        return this.#readWord() && this.bytes[this.#at - 1] === LOWER_E;
      default:
        return this.#skipTo(OPEN_BRACE) && this.#readObject(true);
    }
  }

  #readCommon(index: number): boolean {
    const bit = 1 << index;
    if ((this.commonMask & bit) !== 0 || !this.#readNumber()) return false;
    const value = this.#number;
    if (!(value >= commonMin[index]! && value <= commonMax[index]!)) return false;
    this.commonMask |= bit;
    this.common[index] = value;
    return true;
  }

  /** A field of another name: a metric when it is a number, otherwise ignored; within `metrics` it must be a number. */
  #readOther(isNested: boolean): boolean {
    if (!this.#rememberName()) return false;
    const index = this.nameCount++;
    const byte = this.bytes[this.#at]!;
    if (byte === MINUS || (byte >= ZERO && byte <= NINE)) {
      if (!this.#readNumber() || Math.abs(this.#number) > METRIC_MAGNITUDE_MAX) return false;
      this.isMetric[index] = 1;
      this.values[index] = this.#number;
      this.metricCount++;
      return true;
    }
    this.isMetric[index] = 0;
    this.ignoredFields++;
    return !isNested && (byte === QUOTE ? this.#readText() !== -1 : this.#readWord());
  }

  /** False when the name has been there before, or may be: of equal keys the last one counts, wherever they stand. */
  #rememberName(): boolean {
    const index = this.nameCount;
    if (index === OTHER_NAMES_MAX) return false;
    const start = this.#nameStart;
    const end = this.#nameEnd;
    const hash = this.#nameHash;
    const first = this.bytes[start]!;
    // Keys that are whole numbers change the order of an object; those with two underscores may be __proto__.
    if (start === end || (first >= ZERO && first <= NINE) || (first === UNDERSCORE && this.bytes[start + 1] === UNDERSCORE)) return false;
    for (let other = 0; other < index; other++) if (this.#nameHashes[other] === hash) return false;
    this.#nameHashes[index] = hash;
    this.nameStarts[index] = start;
    this.nameEnds[index] = end;
    return true;
  }

  #knownField(): number {
    for (let slot = this.#nameHash & (HASH_SLOTS - 1); ; slot = (slot + 1) & (HASH_SLOTS - 1)) {
      const known = knownNames[slot]!;
      if (known === null) return UNKNOWN_FIELD;
      if (this.#isEqual(known.bytes, this.#nameStart, this.#nameEnd)) return known.field;
    }
  }

  #isDeviceId(start: number, end: number): boolean {
    return end !== -1 && this.#isEqual(this.#deviceId, start, end);
  }

  #isEqual(expected: Uint8Array, start: number, end: number): boolean {
    const { bytes } = this;
    if (expected.length !== end - start) return false;
    for (let i = 0; i < expected.length; i++) if (expected[i] !== bytes[start + i]) return false;
    return true;
  }

  #skipBlanks(): void {
    const { bytes } = this;
    const end = this.#end;
    let at = this.#at;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
    }
    this.#at = at;
  }

  /** To the byte behind the next one that is no blank, if that is `expected`. */
  #skipTo(expected: number): boolean {
    if (this.bytes[this.#at] !== expected) this.#skipBlanks();
    if (this.#at >= this.#end || this.bytes[this.#at] !== expected) return false;
    this.#at++;
    return true;
  }

  /** Behind the opening quote; ends behind the closing one. */
  #readName(): boolean {
    const { bytes } = this;
    const start = this.#at;
    const end = Math.min(this.#end, start + NAME_BYTES_MAX + 1);
    let hash = 0;
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.#nameStart = start;
        this.#nameEnd = at;
        this.#nameHash = hash;
        this.#at = at + 1;
        return true;
      }
      if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return false;
      hash = (Math.imul(hash, HASH_MULTIPLIER) + byte) | 0;
    }
    return false;
  }

  /** A string of printable ASCII, possibly empty: where it ends, or -1. It begins behind the quote that stands at the position now. */
  #readText(): number {
    const { bytes } = this;
    if (this.#at >= this.#end || bytes[this.#at] !== QUOTE) return -1;
    const start = this.#at + 1;
    const end = Math.min(this.#end, start + TEXT_BYTES_MAX + 1);
    for (let at = start; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === QUOTE) {
        this.#at = at + 1;
        return at;
      }
      if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return -1;
    }
    return -1;
  }

  /** true, false or null. */
  #readWord(): boolean {
    const { bytes } = this;
    const at = this.#at;
    const first = bytes[at]!;
    const isFalse = first === LOWER_F;
    const end = at + (isFalse ? 5 : 4);
    if (end > this.#end) return false;
    this.#at = end;
    if (first === LOWER_T) return bytes[at + 1] === 0x72 && bytes[at + 2] === 0x75 && bytes[at + 3] === LOWER_E;
    if (first === LOWER_N) return bytes[at + 1] === 0x75 && bytes[at + 2] === 0x6c && bytes[at + 3] === 0x6c;
    return isFalse && bytes[at + 1] === 0x61 && bytes[at + 2] === 0x6c && bytes[at + 3] === 0x73 && bytes[at + 4] === LOWER_E;
  }

  /** A number into `#number`; -0 comes out as 0. */
  #readNumber(): boolean {
    const { bytes } = this;
    const start = this.#at;
    const isNegative = bytes[start] === MINUS;
    const digitsStart = isNegative ? start + 1 : start;
    this.#mantissa = 0;
    let at = this.#readDigits(digitsStart);
    let digits = at - digitsStart;
    // JSON has no empty numbers and no leading zeros.
    if (digits === 0 || (digits > 1 && bytes[digitsStart] === ZERO)) return false;
    let decimals = 0;
    if (at < this.#end && bytes[at] === DOT) {
      const decimalsStart = at + 1;
      at = this.#readDigits(decimalsStart);
      decimals = at - decimalsStart;
      if (decimals === 0) return false;
      digits += decimals;
    }
    const hasExponent = at < this.#end && (bytes[at] === LOWER_E || bytes[at] === UPPER_E);
    if (!hasExponent && digits <= EXACT_DIGITS_MAX) {
      const value = decimals === 0 ? this.#mantissa : this.#mantissa / POWERS_OF_TEN[decimals]!;
      this.#number = isNegative ? 0 - value : value;
      this.#at = at;
      return true;
    }
    if (hasExponent) at = this.#endOfExponent(at + 1);
    if (at === -1 || at - start > NUMBER_BYTES_MAX) return false;
    // Adding 0 turns -0 into 0.
    this.#number = Number(bytes.toString('latin1', start, at)) + 0;
    this.#at = at;
    return true;
  }

  /** Digits from `at` on, appended to `#mantissa`; where they end. */
  #readDigits(at: number): number {
    const { bytes } = this;
    const end = this.#end;
    let mantissa = this.#mantissa;
    for (; at < end; at++) {
      const digit = bytes[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      mantissa = mantissa * 10 + digit;
    }
    this.#mantissa = mantissa;
    return at;
  }

  /** Behind the E; -1 when no digit follows. */
  #endOfExponent(at: number): number {
    const sign = at < this.#end ? this.bytes[at] : 0;
    const digitsStart = sign === MINUS || sign === PLUS ? at + 1 : at;
    const end = this.#readDigits(digitsStart);
    return end === digitsStart ? -1 : end;
  }
}
