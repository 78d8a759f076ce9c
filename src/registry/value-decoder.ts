import type avro from 'avsc';
import { readSchemaId, WIRE_PREFIX_BYTES } from '../core/wire-format.ts';
import { IngotError } from '../errors.ts';
import { writerSchemaLoaded, writerSchemaRefused, writerSchemaUnavailable } from '../ops/registry-events.ts';
import { AbsentSchemas } from './absent-schemas.ts';
import { type AvroReader, createReader } from './avro-codec.ts';
import { RefusedSchemaError } from './avro-guard.ts';
import type { SchemaRegistry } from './registry-client.ts';
import type { Reuse } from './reusing-reader.ts';
import type { SchemaStore } from './schema-store.ts';
import type { Decoded, ValueDecoder } from './value-decoder-port.ts';

// Record values to values of one of our types, whoever wrote them: by the schema id in front of the bytes.

/** Schemas whose readers are kept; the one that came first makes room. */
const READERS_MAX = 256;
/** Ids that are known to be of no use. */
const REFUSED_MAX = 4_096;
/** So long an id that the registry did not know is not asked for again: a follower of a registry may lag behind its leader. */
const REFUSED_FOR_MS = 60_000;

const NO_READER = {
  schemaId: -1,
  reader: {
    isBounded: false,
    read: (): never => {
      throw new Error('there is no reader yet');
    },
  },
};

interface Refused {
  readonly reason: string;
  readonly untilMs: number;
}

/** A decoder into `readerType`. */
export function createValueDecoder<Value>(options: {
  readerType: avro.Type;
  /** Set when the caller has done with each value before it decodes the next one: `decode` may then give the same objects each time. */
  reuse?: Reuse | undefined;
  registry: Pick<SchemaRegistry, 'schemaOf'>;
  store: SchemaStore;
  /** For so long the registry is asked again for an id that it does not know. Default 0: its first word is taken. */
  unknownPatienceMs?: number | undefined;
}): ValueDecoder<Value> {
  const readers = new Map<number, AvroReader<Value>>();
  /** The reader used last: nearly every record has the schema of the one before. */
  let newest: { readonly schemaId: number; readonly reader: AvroReader<Value> } = NO_READER;
  /** The answer given last, given again when it says the same. */
  let answer: { readonly kind: 'value'; readonly value: Value; readonly isBounded: boolean } | null = null;
  const refused = new Map<number, Refused>();
  const loading = new Map<number, Promise<void>>();
  const absent = new AbsentSchemas({ patienceMs: options.unknownPatienceMs ?? 0, now: () => performance.now() });

  const refuse = (schemaId: number, reason: string): void => {
    remember(refused, schemaId, { reason, untilMs: performance.now() + REFUSED_FOR_MS }, REFUSED_MAX);
    writerSchemaRefused({ schemaId, reason });
  };
  const fetchReader = async (schemaId: number): Promise<void> => {
    const schema = await schemaText(schemaId, options).catch((error: unknown) => {
      absent.registryFailed();
      throw error;
    });
    if (schema === null) {
      if (!absent.isFinal(schemaId)) throw unknownYet(schemaId);
      return refuse(schemaId, 'the registry has no schema with this id');
    }
    absent.found(schemaId);
    try {
      const reader = createReader<Value>({ writerText: schema.text, readerType: options.readerType, reuse: options.reuse });
      newest = NO_READER;
      remember(readers, schemaId, reader, READERS_MAX);
    } catch (error) {
      if (!(error instanceof RefusedSchemaError)) throw error;
      return refuse(schemaId, error.message);
    }
    refused.delete(schemaId);
    writerSchemaLoaded({ schemaId, from: schema.from });
  };

  return {
    decode(buffer, start, end) {
      const schemaId = readSchemaId(buffer, start, end);
      if (schemaId < 0) return { kind: 'undecodable', detail: 'the value does not begin with a zero byte and a schema id' };
      if (schemaId !== newest.schemaId) {
        const reader = readers.get(schemaId);
        if (reader === undefined) return unknownOrRefused(refused, schemaId);
        newest = { schemaId, reader };
      }
      try {
        const value = newest.reader.read(buffer, start + WIRE_PREFIX_BYTES, end);
        if (answer?.value !== value) answer = { kind: 'value', value, isBounded: newest.reader.isBounded };
        return answer;
      } catch (error) {
        return { kind: 'undecodable', detail: error instanceof Error ? error.message : String(error) };
      }
    },
    load(schemaId) {
      if (readers.has(schemaId)) return Promise.resolve();
      let load = loading.get(schemaId);
      if (load === undefined) {
        load = fetchReader(schemaId).finally(() => loading.delete(schemaId));
        loading.set(schemaId, load);
      }
      return load;
    },
  };
}

function unknownYet(schemaId: number): IngotError {
  const error = new IngotError('SCHEMA_UNKNOWN', `The Schema Registry says that it has no schema with the id ${schemaId}.`);
  writerSchemaUnavailable({ schemaId, error: error.message });
  return error;
}

function unknownOrRefused(refused: ReadonlyMap<number, Refused>, schemaId: number): Decoded<never> {
  const refusal = refused.get(schemaId);
  if (refusal === undefined || performance.now() >= refusal.untilMs) return { kind: 'unknown_schema', schemaId };
  return { kind: 'undecodable', detail: `schema ${schemaId}: ${refusal.reason}` };
}

function remember<Value>(map: Map<number, Value>, schemaId: number, value: Value, max: number): void {
  map.delete(schemaId);
  if (map.size >= max) map.delete(map.keys().next().value!);
  map.set(schemaId, value);
}

/** The registry's word counts; the copy on disk only when it does not answer. */
async function schemaText(
  schemaId: number,
  { registry, store }: { registry: Pick<SchemaRegistry, 'schemaOf'>; store: SchemaStore },
): Promise<{ text: string; from: 'registry' | 'disk' } | null> {
  try {
    const schema = await registry.schemaOf(schemaId);
    if (schema === null) return null;
    // The reader refuses other kinds with a reason of its own: their text is no Avro schema.
    if (schema.schemaType === 'AVRO') await store.keepText(schemaId, schema.text);
    return { text: schema.text, from: 'registry' };
  } catch (error) {
    const text = store.textOf(schemaId);
    if (text !== null) return { text, from: 'disk' };
    writerSchemaUnavailable({ schemaId, error: error instanceof Error ? error.message : String(error) });
    throw error;
  }
}
