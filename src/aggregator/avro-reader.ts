import { wideVarintValue } from '../core/varint.ts';

const NAMES_KEPT = 64;
/** Metrics and rules: making a string of bytes takes longer than comparing them. */
const keptNames: (string | undefined)[] = new Array<string | undefined>(NAMES_KEPT).fill(undefined);

function isAt(name: string, bytes: Buffer, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let index = 0; index < length; index += 1) {
    const byte = bytes[start + index]!;
    if (byte > 127 || byte !== name.charCodeAt(index)) return false;
  }
  return true;
}

/** Avro's primitives, read one after the other. Each call throws RangeError when the bytes end too early or say what cannot be. */
export class AvroReader {
  private readonly bytes: Buffer;
  private at: number;
  private readonly end: number;

  /** Reads bytes[start, end). */
  constructor(bytes: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get isAtEnd(): boolean {
    return this.at === this.end;
  }

  boolean(): boolean {
    const byte = this.bytes[this.take(1)];
    if (byte !== 0 && byte !== 1) throw new RangeError(`a boolean is ${byte}`);
    return byte === 1;
  }

  /** A safe integer: of an int, a long, an enum, or the count of a block. */
  long(): number {
    const { bytes, at, end } = this;
    let zigzag = 0;
    for (let place = 0; place < 4 && at + place < end; place += 1) {
      const byte = bytes[at + place]!;
      zigzag |= (byte & 127) << (7 * place);
      if (byte > 127) continue;
      this.at = at + place + 1;
      return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    return this.wideLong();
  }

  double(): number {
    return this.bytes.readDoubleLE(this.take(8));
  }

  string(): string {
    const length = this.long();
    const start = this.take(length);
    return this.bytes.toString('utf8', start, start + length);
  }

  /** A string of which there are few different ones: that of an earlier call where it has the same characters, all of them ASCII. */
  name(): string {
    const length = this.long();
    const start = this.take(length);
    const { bytes } = this;
    const place = length === 0 ? 0 : (length + 31 * bytes[start]! + 7 * bytes[start + length - 1]!) % NAMES_KEPT;
    const kept = keptNames[place];
    if (kept !== undefined && isAt(kept, bytes, start, length)) return kept;
    const name = bytes.toString('utf8', start, start + length);
    keptNames[place] = name;
    return name;
  }

  /** Reads an array, item by item: of blocks of items, ended by a block of none. A negative count is followed by the size of its block. */
  array(readItem: () => void): void {
    for (let count = this.long(); count !== 0; count = this.long()) {
      if (count < 0) {
        count = -count;
        this.long();
      }
      for (; count > 0; count -= 1) readItem();
    }
  }

  private wideLong(): number {
    const value = wideVarintValue(this.bytes, this.at, this.end);
    if (!Number.isSafeInteger(value)) throw new RangeError('a number has no end, or is no safe integer');
    while (this.bytes[this.at]! > 127) this.at += 1;
    this.at += 1;
    return value;
  }

  /** Steps over so many bytes; gives where they begin. */
  private take(size: number): number {
    const start = this.at;
    if (!(size >= 0 && size <= this.end - start)) throw new RangeError(`${size} bytes are wanted where ${this.end - start} are left`);
    this.at = start + size;
    return start;
  }
}
