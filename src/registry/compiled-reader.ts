import { isUtf8 } from 'node:buffer';
import type avro from 'avsc';
import { viewOf } from '../core/buffer-view.ts';
import { NO_METRICS } from '../core/reading.ts';

// A reader of one of our own schemas, made into a function of its own: nearly every record is written with the schema of its reader, and
// then there is nothing to resolve. It costs less than half of what guard and library cost together (bench/codec). What it takes they take too, and it
// gives the same values (a property test compares them); it also refuses integers written in more bytes than they can need.

/** Reads a value from buffer[start, end) and throws an Error for anything that is not exactly one value. */
export type CompiledReader<Value> = (buffer: Buffer, start: number, end: number) => Value;

/** Makes the reader. The type must be one of ours: its names become part of a program. */
export function compileReader<Value>(type: avro.Type): CompiledReader<Value> {
  const program = new ProgramText();
  const expression = program.expressionFor(type);
  const make = new Function('r', ...program.constantNames, `'use strict'; return () => ${expression};`) as (
    ...given: unknown[]
  ) => () => Value;
  const readValue = make(PRIMITIVE_READERS, ...program.constants);
  return (buffer, start, end) => {
    begin(buffer, start, end);
    const value = readValue();
    if (at !== end) throw new Error(`${end - at} bytes are left over after the value`);
    return value;
  };
}

/** The text of an expression that reads a value, and the constants that it refers to. The readers are its `r`. */
export class ProgramText {
  readonly constants: unknown[] = [];
  readonly constantNames: string[] = [];

  expressionFor(type: avro.Type): string {
    switch (type.typeName) {
      case 'record':
        return this.#record(type as avro.types.RecordType);
      case 'union:unwrapped':
        return this.#union((type as avro.types.UnwrappedUnionType).types);
      case 'enum':
        return `r.symbol(${this.constant((type as avro.types.EnumType).symbols)})`;
      case 'array':
        return `r.array(() => ${this.expressionFor((type as avro.types.ArrayType).itemsType)})`;
      case 'map':
        return `r.map(() => ${this.expressionFor((type as unknown as { valuesType: avro.Type }).valuesType)})`;
      default:
        if (!Object.hasOwn(PRIMITIVE_READERS, type.typeName)) throw new Error(`no reader for the type ${type.typeName}`);
        return `r.${type.typeName}()`;
    }
  }

  #record({ fields }: avro.types.RecordType): string {
    // The parts of an object literal are evaluated in their order, which is that of the bytes.
    return `({ ${fields.map((field) => `${field.name}: ${this.expressionFor(field.type)}`).join(', ')} })`;
  }

  #union(types: readonly avro.Type[]): string {
    const [first, second] = types;
    if (types.length !== 2 || first?.typeName !== 'null' || second === undefined)
      throw new Error('only unions of null and one type are read');
    return `(r.branch() === 0 ? null : ${this.expressionFor(second)})`;
  }

  /** The name by which the text refers to the value. */
  constant(value: unknown): string {
    const name = `c${this.constants.length}`;
    this.constants.push(value);
    this.constantNames.push(name);
    return name;
  }
}

// The bytes being read. Module variables and not fields of an object: reading is synchronous, and they cost less.
let bytes: Buffer = Buffer.alloc(0);
let view = new DataView(bytes.buffer);
let at = 0;
let end = 0;

/** What is read from now on by the readers. Gives the view of the whole buffer. */
export function begin(buffer: Buffer, start: number, stop: number): DataView {
  if (buffer !== bytes) {
    bytes = buffer;
    view = viewOf(buffer);
  }
  at = start;
  end = stop;
  return view;
}

export const TRUNCATED = 'the value is cut off';

/** Moves over `size` bytes; gives where they begin. */
function take(size: number): number {
  const start = at;
  at += size;
  if (at > end) throw new Error(TRUNCATED);
  return start;
}

function readByte(): number {
  if (at >= end) throw new Error(TRUNCATED);
  return bytes[at++]!;
}

const TWO_TO_27 = 2 ** 27;

/** A zigzag varint; exact, or an Error when it is not a safe integer. */
function readLong(): number {
  let byte = readByte();
  let low = byte & 0x7f;
  for (let shift = 7; byte >= 0x80 && shift < 28; shift += 7) {
    byte = readByte();
    low |= (byte & 0x7f) << shift;
  }
  if (byte < 0x80) return (low >>> 1) ^ -(low & 1);
  let high = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    byte = readByte();
    high |= (byte & 0x7f) << shift;
    // Halved before the parts are joined, because the unhalved sum would need one bit more than a number has.
    if (byte < 0x80) return safe(high * TWO_TO_27 + (low >>> 1), (low & 1) === 1);
  }
  throw new Error('an integer is too long, or its precision would be lost');
}

function safe(half: number, isNegative: boolean): number {
  const value = isNegative ? -half - 1 : half;
  if (!Number.isSafeInteger(value)) throw new Error('the precision of an integer would be lost');
  return value;
}

function readLength(): number {
  const length = readLong();
  if (length < 0) throw new Error('a length is negative or cut off');
  return length;
}

function readString(): string {
  const start = take(readLength());
  for (let index = start; index < at; index++) {
    if (bytes[index]! >= 0x80) return readUtf8(start);
  }
  return bytes.toString('latin1', start, at);
}

/** Different invalid bytes would decode to the same replacement character: two names would become one. */
function readUtf8(start: number): string {
  if (!isUtf8(bytes.subarray(start, at))) throw new Error('a string is not valid UTF-8');
  return bytes.toString('utf8', start, at);
}

function readDouble(): number {
  return finite(view.getFloat64(take(8), true));
}

function finite(value: number): number {
  if (!Number.isFinite(value)) throw new Error('a number is not finite');
  return value;
}

/** Blocks of items, each with its count, until a count of 0; a negative count is followed by the size of its block. */
function readBlocks(readItem: () => void): void {
  for (;;) {
    const count = readLong();
    if (count === 0) return;
    const size = count < 0 ? readLong() : -1;
    const start = at;
    if (Math.abs(count) > end - start) throw new Error('a block count is larger than the bytes that are left');
    for (let left = Math.abs(count); left > 0; left--) readItem();
    if (count < 0 && at - start !== size) throw new Error('a block is not as long as it says');
  }
}

// Named as the Avro types are, because the program's text refers to them so.
export const PRIMITIVE_READERS = {
  int: (): number => {
    const value = readLong();
    if ((value | 0) !== value) throw new Error('an integer is too long');
    return value;
  },
  long: readLong,
  double: readDouble,
  string: readString,
  boolean: (): boolean => {
    const byte = readByte();
    if (byte > 1) throw new Error('a boolean is neither 0 nor 1');
    return byte === 1;
  },
  /** Of a union of two. */
  branch: (): number => {
    const index = readByte();
    if (index !== 0 && index !== 2) throw new Error('a union index is out of range');
    return index;
  },
  seek: (position: number): void => {
    at = position;
  },
  tell: (): number => at,
  symbol: (symbols: readonly string[]): string => {
    const symbol = symbols[readLong()];
    if (symbol === undefined) throw new Error('an enum index is out of range');
    return symbol;
  },
  array: (readItem: () => unknown): unknown[] => {
    const items: unknown[] = [];
    readBlocks(() => items.push(readItem()));
    return items;
  },
  map: (readItem: () => unknown): object => {
    if (at < end && bytes[at] === 0) {
      at++;
      return NO_METRICS;
    }
    const entries = Object.create(null) as Record<string, unknown>;
    readBlocks(() => {
      const key = readString();
      if (key === '__proto__') throw new Error("a map has the key '__proto__'");
      entries[key] = readItem();
    });
    return entries;
  },
} as const;
