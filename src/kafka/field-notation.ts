import { readInt64 } from '../core/batch-layout.ts';
import { stringBytes, writeString } from './request-writer.ts';

// How strings and lengths stand in a request: as they always did, or as in its flexible versions (KIP-482), where a length is an unsigned varint
// of one more and every structure ends with its tagged fields, of which we send none.

export interface FieldNotation {
  stringBytes(text: string | null): number;
  writeString(into: Buffer, at: number, text: string | null): number;
  /** Of an array, or of a field of bytes. */
  lengthBytes(length: number): number;
  writeLength(into: Buffer, at: number, length: number): number;
  /** What a structure ends with. */
  readonly endBytes: number;
  writeEnd(into: Buffer, at: number): number;
}

export const CLASSIC: FieldNotation = {
  stringBytes,
  writeString,
  lengthBytes: () => 4,
  writeLength: (into, at, length) => into.writeInt32BE(length, at),
  endBytes: 0,
  writeEnd: (_into, at) => at,
};

export const FLEXIBLE: FieldNotation = {
  stringBytes(text) {
    const bytes = text === null ? 0 : Buffer.byteLength(text);
    return text === null ? 1 : varintBytes(bytes + 1) + bytes;
  },
  writeString(into, at, text) {
    if (text === null) return into.writeUInt8(0, at);
    const start = writeVarint(into, at, Buffer.byteLength(text) + 1);
    return start + into.write(text, start);
  },
  lengthBytes: (length) => varintBytes(length + 1),
  writeLength: (into, at, length) => writeVarint(into, at, length + 1),
  endBytes: 1,
  writeEnd: (into, at) => into.writeUInt8(0, at),
};

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

function writeVarint(into: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest > 127; rest >>>= 7) at = into.writeUInt8((rest & 127) | 128, at);
  return into.writeUInt8(rest, at);
}

/** Reads an answer in the flexible notation. Throws a RangeError where it is cut off. */
export class FlexibleReader {
  readonly #answer: Buffer;
  #at: number;

  constructor(answer: Buffer, at = 0) {
    this.#answer = answer;
    this.#at = at;
  }

  int16(): number {
    this.#at += 2;
    return this.#answer.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#at += 4;
    return this.#answer.readInt32BE(this.#at - 4);
  }

  int64(): number {
    this.#at += 8;
    return readInt64(this.#answer, this.#at - 8);
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#answer.readUInt8(this.#at++);
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new RangeError('an unsigned varint of more than 32 bits');
  }

  /** Of an array: null has none. */
  length(): number {
    return Math.max(0, this.varint() - 1);
  }

  string(): string | null {
    const length = this.varint() - 1;
    if (length < 0) return null;
    const start = this.#at;
    this.skip(length);
    return this.#answer.toString('utf8', start, start + length);
  }

  skip(bytes: number): void {
    this.#at += bytes;
    if (this.#at > this.#answer.length) throw new RangeError('the answer is cut off');
  }

  /** The tagged fields at the end of a structure; `read` is called for each with its tag and a reader that stands on it. */
  tagged(read: (tag: number, field: FlexibleReader) => void = () => undefined): void {
    for (let fields = this.varint(); fields > 0; fields--) {
      const tag = this.varint();
      const bytes = this.varint();
      const start = this.#at;
      this.skip(bytes);
      read(tag, new FlexibleReader(this.#answer, start));
    }
  }
}
