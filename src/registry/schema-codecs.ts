import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import { registryAwaited, schemaIdTakenFromDisk, schemaStoreFailed } from '../ops/registry-events.ts';
import { type AvroEncoder, createEncoder, parseAvroType } from './avro-codec.ts';
import type { OurSchema } from './our-schemas.ts';
import { registerSchema, requireSchema, type SubjectSchema, subjectSchema } from './register-schemas.ts';
import { createSchemaRegistry, type RegistryOptions, type SchemaRegistry } from './registry-client.ts';
import type { Reuse } from './reusing-reader.ts';
import { NO_SCHEMA_STORE, openSchemaStore, type SchemaStore } from './schema-store.ts';
import { createValueDecoder } from './value-decoder.ts';
import type { ValueDecoder } from './value-decoder-port.ts';

// What the stages take from the registry: an encoder or a decoder for one of our types. After the start an encoder asks the registry for
// nothing, a decoder only for schemas that it has not seen.

export interface SchemaCodecs {
  readonly registry: SchemaRegistry;
  /**
   * Finds or registers our schema under its subject, waiting for the registry until the deadline; when it does not answer and the same
   * text had an id before, that id is used. Rejects with IngotError `SCHEMA_INCOMPATIBLE`, `SCHEMA_NOT_REGISTERED`, `REGISTRY_UNREACHABLE` or
   * `REGISTRY_REFUSED`.
   */
  openEncoder<Value>(schema: OurSchema<Value>): Promise<AvroEncoder<Value>>;
  /** Decodes what any writer of the topic wrote. Asks nothing yet. With `reuse` a value is only good until the next one is decoded. */
  openDecoder<Value>(schema: OurSchema<Value>, reuse?: Reuse): ValueDecoder<Value>;
}

interface StartOptions {
  readonly topicPrefix: string;
  /** Whether our schemas are registered when they are not there. */
  readonly autoRegister: boolean;
  /** How long the start waits for the registry. */
  readonly deadlineMs?: number;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  /** Of decoders: for so long the registry is asked again for an id that it does not know. Default 0. */
  readonly unknownPatienceMs?: number;
}

export interface SchemaCodecsOptions extends Omit<StartOptions, 'autoRegister'> {
  readonly registry: RegistryOptions & { readonly autoRegister: boolean };
  /** Where the copy of the schemas is kept; without it nothing is. */
  readonly storeFile?: string;
}

const START_DEADLINE_MS = 60_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 3_000;

/** Reads the copy on disk; does not connect. */
export async function openSchemaCodecs({ registry, storeFile, ...start }: SchemaCodecsOptions): Promise<SchemaCodecs> {
  const { autoRegister, ...address } = registry;
  const store =
    storeFile === undefined
      ? NO_SCHEMA_STORE
      : await openSchemaStore({ file: storeFile, registryUrl: address.url, onError: schemaStoreFailed });
  return startSchemaCodecs({ registry: createSchemaRegistry(address), store, autoRegister, ...start });
}

interface Start extends StartOptions {
  readonly registry: SchemaRegistry;
  readonly store: SchemaStore;
}

/** The same with a registry and a copy at hand. */
export function startSchemaCodecs(start: Start): SchemaCodecs {
  const { registry, store } = start;
  return {
    registry,
    openEncoder: async (schema) => {
      const schemaId = await startingId(subjectSchema(schema, start.topicPrefix), start);
      return createEncoder({ schemaId, type: parseAvroType(schema.text) });
    },
    openDecoder: (schema, reuse) =>
      createValueDecoder({ readerType: parseAvroType(schema.text), reuse, registry, store, unknownPatienceMs: start.unknownPatienceMs }),
  };
}

async function startingId(target: SubjectSchema, start: Start): Promise<number> {
  const { registry, store } = start;
  const deadlineAtMs = performance.now() + (start.deadlineMs ?? START_DEADLINE_MS);
  for (let retryInMs = FIRST_RETRY_MS; ; retryInMs = Math.min(retryInMs * 2, LAST_RETRY_MS)) {
    try {
      const schemaId = await (start.autoRegister ? registerSchema(registry, target) : requireSchema(registry, target));
      await store.keepId(target.subject, target.schema.text, schemaId);
      return schemaId;
    } catch (error) {
      if (!(error instanceof IngotError)) throw error;
      const known = store.idOf(target.subject, target.schema.text);
      // A registry that is starting has not read back yet what it gave us: it is asked again.
      const isMissed = error.code === 'SCHEMA_NOT_REGISTERED' && known !== null;
      // A certificate that has expired, or a password that was changed, is an outage too; it stops only who does not know the id.
      const isAway = error.canRetry || error.code === 'REGISTRY_REFUSED';
      if (known !== null && isAway) {
        schemaIdTakenFromDisk({ subject: target.subject, schemaId: known, error: error.message });
        return known;
      }
      if (!error.canRetry && !isMissed) throw error;
      if (performance.now() + retryInMs > deadlineAtMs) throw error;
      registryAwaited({ url: registry.url, error: error.message, retryInMs });
      await sleep(retryInMs, undefined, start.signal === undefined ? {} : { signal: start.signal });
    }
  }
}
