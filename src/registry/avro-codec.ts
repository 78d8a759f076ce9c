import avro from 'avsc';

import { WIRE_PREFIX_BYTES, writeWirePrefix } from '../core/wire-format.ts';
import { type AvroGuard, compileAvroGuard, RefusedSchemaError, SCHEMA_LIMITS } from './avro-guard.ts';
import { compileReader } from './compiled-reader.ts';
import { compileWriter } from './compiled-writer.ts';
import { compileReusingReader, type Reuse } from './reusing-reader.ts';

// Values to bytes and back with the Avro library, without an object or a copy that is not needed.

const INITIAL_BUFFER_BYTES = 4_096;

/** No value of ours is larger: Kafka's default limit of a record is 1 MB. */
const MAX_ENCODED_BYTES = 8 * 1024 * 1024;

/** Parses the text of a schema. Records come out as plain fields without the library's methods. Throws what the library throws. */
export function parseAvroType(schemaText: string): avro.Type {
  return avro.Type.forSchema(JSON.parse(schemaText) as avro.Schema, { omitRecordMethods: true });
}

export interface AvroEncoder<Value> {
  readonly schemaId: number;
  /**
   * The value in the wire format. A view into a buffer that the next call overwrites.
   * Throws when the value does not fit the schema; IngotError `RECORD_TOO_LARGE` above 8 MiB.
   */
  encode(value: Value): Buffer;
}

/** An encoder under one of our schemas, which the registry knows by this id. */
export function createEncoder<Value>({ schemaId, type }: { schemaId: number; type: avro.Type }): AvroEncoder<Value> {
  const prefix = new Uint8Array(WIRE_PREFIX_BYTES);
  writeWirePrefix(prefix, schemaId);
  const writer = compileWriter<Value>(type, { initialBytes: INITIAL_BUFFER_BYTES, maxBytes: MAX_ENCODED_BYTES, prefix });
  return {
    schemaId,
    encode(value) {
      const { buffer, end } = writer.write(value);
      return buffer.subarray(0, end);
    },
  };
}

/** Reads values of one writer's schema as values of ours. */
export interface AvroReader<Value> {
  /**
   * Reads the Avro bytes buffer[start, end), without the wire format's prefix. Maps come out without a prototype. Throws an Error
   * that says what is wrong with the bytes; nothing that the bytes hold can do worse than that. With `reuse` the value may be the one
   * that was given before, overwritten.
   */
  read(buffer: Buffer, start: number, end: number): Value;
  /** Whether it has refused fractions beyond the magnitude that `reuse` names. */
  readonly isBounded: boolean;
}

/**
 * A reader that resolves what was written with `writerText` into `readerType`.
 * Throws RefusedSchemaError when the writer's schema cannot be resolved or is one that a decoder should not follow.
 */
export function createReader<Value>({
  writerText,
  readerType,
  reuse,
}: {
  writerText: string;
  readerType: avro.Type;
  reuse?: Reuse | undefined;
}): AvroReader<Value> {
  const { guard, writerType, resolver } = resolveWriter(writerText, readerType);
  if (canonical(writerType) === canonical(readerType)) {
    if (reuse === undefined) return { read: compileReader<Value>(readerType), isBounded: false };
    return { read: compileReusingReader<Value & object>(readerType, reuse), isBounded: true };
  }
  const mapFields = mapFieldsOf(readerType);
  return {
    isBounded: false,
    read(buffer, start, end) {
      const problem = guard(buffer, start, end);
      if (problem !== null) throw new Error(problem);
      const { value, offset } = readerType.decode(buffer, start, resolver) as { value: Value; offset: number };
      if (offset !== end) throw new Error('the decoder and the guard disagree on where the value ends');
      for (const field of mapFields) {
        const record = value as Record<string, object>;
        record[field] = Object.assign(Object.create(null), record[field]);
      }
      return value;
    },
  };
}

/** Without doc, logicalType, defaults and whatever else does not matter to the bytes. */
function canonical(type: avro.Type): string {
  return JSON.stringify(type.schema());
}

// The library's declarations have no name for it.
type Resolver = NonNullable<Parameters<avro.Type['decode']>[2]>;

function resolveWriter(writerText: string, readerType: avro.Type): { guard: AvroGuard; writerType: avro.Type; resolver: Resolver } {
  if (writerText.length > SCHEMA_LIMITS.textChars)
    throw new RefusedSchemaError(`the schema is longer than ${SCHEMA_LIMITS.textChars} characters`);
  try {
    // The guard goes first: it refuses depths and names that the library would follow.
    const guard = compileAvroGuard(JSON.parse(writerText));
    const writerType = parseAvroType(writerText);
    return { guard, writerType, resolver: readerType.createResolver(writerType) as Resolver };
  } catch (cause) {
    if (cause instanceof RefusedSchemaError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RefusedSchemaError(`the schema cannot be read as ${readerType.name}: ${why}`, { cause });
  }
}

function mapFieldsOf(type: avro.Type): readonly string[] {
  const fields = (type as avro.types.RecordType).fields ?? [];
  return fields.filter((field) => field.type.typeName === 'map').map((field) => field.name);
}
