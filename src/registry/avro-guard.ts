import { isUtf8 } from 'node:buffer';

// Looks through Avro bytes before the Avro library decodes them. The library trusts the counts it reads: six bytes that claim an
// array of 2^28 nulls exhaust the heap, a map count of 2^53 loops for ever, and it accepts NaN and infinities. The guard walks the
// bytes with the writer's schema, allocates nothing, and does work in proportion to the bytes: every value it admits takes at
// least one byte.

/** What a writer's schema may be, so that walking it is cheap and ends. */
export const SCHEMA_LIMITS = { textChars: 262_144, nodes: 2_000, depth: 24 } as const;

/** Checks buffer[start, end): null when the library can decode it without harm, otherwise what is wrong with it. */
export type AvroGuard = (buffer: Buffer, start: number, end: number) => string | null;

/** Why a writer's schema is not read at all. */
export class RefusedSchemaError extends Error {
  override readonly name = 'RefusedSchemaError';
}

interface Cursor {
  buffer: Buffer;
  at: number;
  end: number;
  /** Where the bytes of the string walked last begin. */
  textStart: number;
  problem: string;
}

/** Moves the cursor over one value; false when the value is refused, and then `problem` says why. */
type Walk = (cursor: Cursor) => boolean;

/**
 * Makes the guard of one writer's schema (parsed JSON). Throws RefusedSchemaError for schemas that are recursive, too large, or hold values without bytes (null outside a union, an
 * empty record, a fixed of size 0), because a few bytes of such data can claim any number of values.
 */
export function compileAvroGuard(schema: unknown): AvroGuard {
  const walk = new GuardCompiler().compile(schema, '', 0);
  const cursor: Cursor = { buffer: Buffer.alloc(0), at: 0, end: 0, textStart: 0, problem: '' };
  return (buffer, start, end) => {
    cursor.buffer = buffer;
    cursor.at = start;
    cursor.end = end;
    if (!walk(cursor)) return cursor.problem;
    return cursor.at === end ? null : `${end - cursor.at} bytes are left over after the value`;
  };
}

// Names that mean something else on a JavaScript object, which is what the library builds.
const UNSAFE_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

type SchemaObject = { readonly [key: string]: unknown };

class GuardCompiler {
  #nodes = 0;
  readonly #named = new Map<string, Walk | 'in progress'>();

  compile(schema: unknown, namespace: string, depth: number): Walk {
    if (++this.#nodes > SCHEMA_LIMITS.nodes) throw new RefusedSchemaError(`the schema has more than ${SCHEMA_LIMITS.nodes} parts`);
    if (depth > SCHEMA_LIMITS.depth) throw new RefusedSchemaError(`the schema is nested deeper than ${SCHEMA_LIMITS.depth}`);
    if (typeof schema === 'string') return this.#byName(schema, namespace);
    if (Array.isArray(schema)) return this.#union(schema, namespace, depth);
    if (schema === null || typeof schema !== 'object') throw new RefusedSchemaError('the schema is not a schema');
    return this.#byObject(schema as SchemaObject, namespace, depth);
  }

  #byName(name: string, namespace: string): Walk {
    const primitive = PRIMITIVES.get(name);
    if (primitive !== undefined) return primitive;
    if (name === 'null') throw new RefusedSchemaError('the schema has null outside a union');
    const named = this.#named.get(qualify(name, namespace)) ?? this.#named.get(name);
    if (named === undefined) throw new RefusedSchemaError(`the schema names an unknown type '${name}'`);
    if (named === 'in progress') throw new RefusedSchemaError(`the schema is recursive in '${name}'`);
    return named;
  }

  #byObject(schema: SchemaObject, namespace: string, depth: number): Walk {
    switch (schema.type) {
      case 'array':
        return walkBlocks(this.compile(schema.items, namespace, depth + 1));
      case 'map':
        return walkMap(this.compile(schema.values, namespace, depth + 1));
      case 'record':
      case 'error':
        return this.#declare(schema, namespace, (inner) => this.#record(schema, inner, depth));
      case 'enum':
        return this.#declare(schema, namespace, () => walkEnum(arrayOf(schema.symbols, 'symbols').length));
      case 'fixed':
        return this.#declare(schema, namespace, () => walkFixed(schema.size));
      default:
        return this.compile(schema.type, namespace, depth + 1);
    }
  }

  #declare(schema: SchemaObject, namespace: string, make: (namespace: string) => Walk): Walk {
    if (typeof schema.name !== 'string') throw new RefusedSchemaError(`a ${String(schema.type)} of the schema has no name`);
    const own = typeof schema.namespace === 'string' ? schema.namespace : namespace;
    const fullName = qualify(schema.name, own);
    refuseUnsafe(fullName.slice(fullName.lastIndexOf('.') + 1));
    this.#named.set(fullName, 'in progress');
    const walk = make(fullName.includes('.') ? fullName.slice(0, fullName.lastIndexOf('.')) : '');
    this.#named.set(fullName, walk);
    return walk;
  }

  #record(schema: SchemaObject, namespace: string, depth: number): Walk {
    const walks = arrayOf(schema.fields, 'fields').map((field) => {
      const { name, type } = field as SchemaObject;
      refuseUnsafe(String(name));
      return this.compile(type, namespace, depth + 1);
    });
    if (walks.length === 0) throw new RefusedSchemaError('the schema has a record without fields');
    return (cursor) => {
      for (let index = 0; index < walks.length; index++) {
        if (!walks[index]!(cursor)) return false;
      }
      return true;
    };
  }

  #union(branches: readonly unknown[], namespace: string, depth: number): Walk {
    const walks = branches.map((branch) => (isNull(branch) ? null : this.compile(branch, namespace, depth + 1)));
    return (cursor) => {
      const index = readCount(cursor);
      const walk = walks[index];
      if (walk === undefined) return refuse(cursor, 'a union index is out of range');
      return walk === null || walk(cursor);
    };
  }
}

function isNull(schema: unknown): boolean {
  return schema === 'null' || (typeof schema === 'object' && schema !== null && (schema as SchemaObject).type === 'null');
}

function qualify(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`;
}

function arrayOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new RefusedSchemaError(`the schema has no list of ${what} where one is needed`);
  return value;
}

function refuseUnsafe(name: string): void {
  if (UNSAFE_NAMES.has(name)) throw new RefusedSchemaError(`the schema uses the name '${name}'`);
}

function refuse(cursor: Cursor, problem: string): false {
  cursor.problem = problem;
  return false;
}

const TRUNCATED = 'the value is cut off';
const MAX_VARINT_BYTES = 10;

/**
 * Reads a zigzag varint that is meant as a count, a length or an index. Gives NaN for what is cut off or overlong, so that every
 * `count >= 0` is false for it; values beyond 2^53 come out inexact, which does not matter because callers compare with far smaller bounds.
 */
function readCount(cursor: Cursor): number {
  const { buffer, end } = cursor;
  const first = cursor.at;
  let value = 0;
  let scale = 1;
  for (let at = first; at < end && at - first < MAX_VARINT_BYTES; at++) {
    const byte = buffer[at]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      cursor.at = at + 1;
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    scale *= 128;
  }
  return Number.NaN;
}

function skipVarint(maxBytes: number): Walk {
  return (cursor) => {
    const { buffer, end } = cursor;
    const limit = Math.min(end, cursor.at + maxBytes);
    for (let at = cursor.at; at < limit; at++) {
      if (buffer[at]! < 0x80) {
        cursor.at = at + 1;
        return true;
      }
    }
    return refuse(cursor, limit === end ? TRUNCATED : 'an integer is too long');
  };
}

function walkFixed(size: unknown): Walk {
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 1)
    throw new RefusedSchemaError('a fixed of the schema has no size');
  return (cursor) => {
    cursor.at += size;
    return cursor.at <= cursor.end || refuse(cursor, TRUNCATED);
  };
}

function walkEnum(symbols: number): Walk {
  return (cursor) => {
    const index = readCount(cursor);
    return (index >= 0 && index < symbols) || refuse(cursor, 'an enum index is out of range');
  };
}

const walkBoolean: Walk = (cursor) => {
  if (cursor.at >= cursor.end) return refuse(cursor, TRUNCATED);
  return cursor.buffer[cursor.at++]! <= 1 || refuse(cursor, 'a boolean is neither 0 nor 1');
};

// All exponent bits set: an infinity or NaN. Looked at as bytes because that is cheaper than reading the number.
const walkDouble: Walk = (cursor) => {
  const at = cursor.at;
  cursor.at += 8;
  if (cursor.at > cursor.end) return refuse(cursor, TRUNCATED);
  const infinite = (cursor.buffer[at + 7]! & 0x7f) === 0x7f && (cursor.buffer[at + 6]! & 0xf0) === 0xf0;
  return !infinite || refuse(cursor, 'a number is not finite');
};

const walkFloat: Walk = (cursor) => {
  const at = cursor.at;
  cursor.at += 4;
  if (cursor.at > cursor.end) return refuse(cursor, TRUNCATED);
  const infinite = (cursor.buffer[at + 3]! & 0x7f) === 0x7f && (cursor.buffer[at + 2]! & 0x80) === 0x80;
  return !infinite || refuse(cursor, 'a number is not finite');
};

const walkBytes: Walk = (cursor) => {
  const length = readCount(cursor);
  if (!(length >= 0)) return refuse(cursor, 'a length is negative or cut off');
  cursor.at += length;
  return cursor.at <= cursor.end || refuse(cursor, TRUNCATED);
};

const walkString: Walk = (cursor) => {
  const length = readCount(cursor);
  if (!(length >= 0)) return refuse(cursor, 'a length is negative or cut off');
  const start = cursor.at;
  cursor.textStart = start;
  const end = start + length;
  if (end > cursor.end) return refuse(cursor, TRUNCATED);
  cursor.at = end;
  const { buffer } = cursor;
  for (let at = start; at < end; at++) {
    // Different invalid bytes would decode to the same replacement character: two names would become one.
    if (buffer[at]! >= 0x80) return isUtf8(buffer.subarray(start, end)) || refuse(cursor, 'a string is not valid UTF-8');
  }
  return true;
};

const PROTO_KEY = Buffer.from('__proto__');

const walkKey: Walk = (cursor) => {
  if (!walkString(cursor)) return false;
  const { buffer, at, textStart } = cursor;
  if (at - textStart !== PROTO_KEY.length || buffer[textStart] !== PROTO_KEY[0]) return true;
  return buffer.compare(PROTO_KEY, 0, PROTO_KEY.length, textStart, at) !== 0 || refuse(cursor, "a map has the key '__proto__'");
};

function walkMap(values: Walk): Walk {
  return walkBlocks((cursor) => walkKey(cursor) && values(cursor));
}

/** Arrays and maps: blocks of items, each with its count, until a count of 0. A negative count is followed by the block's size. */
function walkBlocks(item: Walk): Walk {
  return (cursor) => {
    for (;;) {
      const count = readCount(cursor);
      if (count === 0) return true;
      // When the library skips a value it trusts the size, so the size is compared with what the items really take.
      const size = count < 0 ? readCount(cursor) : -1;
      const start = cursor.at;
      if (!(Math.abs(count) <= cursor.end - start)) return refuse(cursor, 'a block count is larger than the bytes that are left');
      for (let left = Math.abs(count); left > 0; left--) {
        if (!item(cursor)) return false;
      }
      if (count < 0 && cursor.at - start !== size) return refuse(cursor, 'a block is not as long as it says');
    }
  };
}

const PRIMITIVES: ReadonlyMap<string, Walk> = new Map<string, Walk>([
  ['boolean', walkBoolean],
  ['int', skipVarint(5)],
  ['long', skipVarint(MAX_VARINT_BYTES)],
  ['float', walkFloat],
  ['double', walkDouble],
  ['bytes', walkBytes],
  ['string', walkString],
]);
