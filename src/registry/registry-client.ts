import { Agent } from 'node:https';
import { createRequire } from 'node:module';
import type { ConnectionOptions } from 'node:tls';
import type { SchemaRegistryAPIClientArgs } from '@kafkajs/confluent-schema-registry/dist/api/index.js';
import { type TlsSettingNames, tlsAdvice } from '../core/tls-failure.ts';
import { IngotError } from '../errors.ts';
import type { Compatibility } from './our-schemas.ts';

// The registry over HTTP, with what Confluent's and Apicurio's (its `/apis/ccompat/v7`) both offer. Requests are made by the HTTP side of
// @kafkajs/confluent-schema-registry; its `SchemaRegistry` class is not used, because `register` sets the compatibility only after
// the first version, and no call of it has a deadline.

export interface RegisteredSchema {
  readonly subject: string;
  readonly version: number;
  readonly schemaId: number;
  readonly text: string;
}

/** Every call is one request with a deadline; IngotError `REGISTRY_UNREACHABLE` (may be repeated) or `REGISTRY_REFUSED`. */
export interface SchemaRegistry {
  readonly url: string;
  subjects(): Promise<readonly string[]>;
  /** A version of a subject; null when there is none. */
  version(subject: string, version: number | 'latest'): Promise<RegisteredSchema | null>;
  /** The id under which a subject has exactly this text; null when it does not. */
  idOf(subject: string, text: string): Promise<number | null>;
  /** The text of a schema; null when the registry answers that there is no such id. `AVRO` unless `schemaType` says otherwise. */
  schemaOf(schemaId: number): Promise<{ readonly text: string; readonly schemaType: string } | null>;
  /** The subject's own setting; null when it has none and the registry's default rules. */
  compatibilityOf(subject: string): Promise<string | null>;
  setCompatibility(subject: string, compatibility: Compatibility): Promise<void>;
  /** Whether the text could follow the subject's latest version; true when there is none. */
  canFollow(subject: string, text: string): Promise<boolean>;
  /** Adds a version, or finds it; resolves with the schema's id. Rejects with `SCHEMA_INCOMPATIBLE` when the registry does. */
  register(subject: string, text: string): Promise<number>;
}

export interface RegistryOptions {
  readonly url: string;
  /** `user:password`. */
  readonly auth?: string | undefined;
  /** For https: which CAs are trusted instead of the usual ones, and our own certificate. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> | undefined;
  readonly requestTimeoutMs?: number;
}

const REQUEST_TIMEOUT_MS = 5_000;
/** After its signal the library reports by itself what it can. */
const ABORT_MARGIN_MS = 250;
/** Of what is no answer of a registry, a proxy's page for instance, this much is shown. */
const SHOWN_TEXT_MAX = 200;

interface ApiResponse {
  data(): unknown;
}
type ApiCall = (parameters: Record<string, unknown>) => Promise<ApiResponse>;

/** What is used of the library's client. Its own declarations say `any`. */
interface RegistryApi {
  readonly Schema: { readonly find: ApiCall };
  readonly Subject: {
    readonly [call in 'all' | 'version' | 'registered' | 'register' | 'config' | 'updateConfig' | 'compatible']: ApiCall;
  };
}

// Required, not imported: Node and the test runner do not agree on what the default import of this CommonJS module is.
const { default: createApi } = createRequire(import.meta.url)('@kafkajs/confluent-schema-registry/dist/api/index.js') as {
  default: (options: SchemaRegistryAPIClientArgs) => RegistryApi;
};

/** Connects to nothing yet. */
export function createSchemaRegistry({ url, auth, tls, requestTimeoutMs = REQUEST_TIMEOUT_MS }: RegistryOptions): SchemaRegistry {
  const api = createApi({
    host: url.replace(/\/+$/, ''),
    clientId: 'ingot',
    // Who calls knows whether and how long to try again.
    retry: { retries: 0 },
    ...(auth === undefined ? {} : { auth: credentials(auth) }),
    ...(tls === undefined ? {} : { agent: new Agent({ ...tls, keepAlive: true }) }),
  });
  const call = async (method: ApiCall, parameters: Record<string, unknown>): Promise<unknown> => {
    const response = await answerOf(method({ ...parameters, signal: AbortSignal.timeout(requestTimeoutMs) }), requestTimeoutMs).catch(
      (error: unknown) => {
        throw toIngotError(error, url);
      },
    );
    return response.data();
  };
  const must = async (method: ApiCall, parameters: Record<string, unknown>): Promise<unknown> => {
    try {
      return await call(method, parameters);
    } catch (error) {
      throw error instanceof NotFound ? unreachable(url, error.message, error) : error;
    }
  };
  const subjects = async (): Promise<readonly string[]> => stringsOf(await must(api.Subject.all, {}), url);
  const orNull = async <Value>(ask: () => Promise<Value>): Promise<Value | null> => {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
      // A wrong path or a proxy answers 404 as well, and taking that for "no such schema" would make dead letters of good records. Only
      // a registry answers this question.
      await subjects();
      return null;
    }
  };
  return {
    url,
    subjects,
    version: (subject, version) => orNull(async () => toRegistered(await call(api.Subject.version, { subject, version }), subject, url)),
    idOf: (subject, text) => orNull(async () => idIn(await call(api.Subject.registered, { subject, body: { schema: text } }), url)),
    schemaOf: (schemaId) => orNull(async () => schemaIn(await call(api.Schema.find, { id: schemaId }), url)),
    compatibilityOf: (subject) => orNull(async () => levelIn(await call(api.Subject.config, { subject }), url)),
    setCompatibility: async (subject, compatibility) => {
      const set = () => must(api.Subject.updateConfig, { subject, body: { compatibility } });
      // Of several that set it for the first time at the same moment Apicurio answers all but one with 409; then it is there, and can be set.
      await set().catch((error: unknown) => (isConflict(error) ? set() : Promise.reject(error)));
    },
    canFollow: async (subject, text) => {
      const verdict = await orNull(() => call(api.Subject.compatible, { subject, version: 'latest', body: { schema: text } }));
      return verdict === null || (field(verdict, 'is_compatible', 'boolean', url) as boolean);
    },
    register: async (subject, text) => idIn(await must(api.Subject.register, { subject, body: { schema: text } }), url),
  };
}

function credentials(auth: string): { username: string; password: string } {
  const colon = auth.indexOf(':');
  return { username: auth.slice(0, colon), password: auth.slice(colon + 1) };
}

/** The library never settles when a connection ends in the middle of an answer, its own signal or not. */
async function answerOf(asked: Promise<ApiResponse>, timeoutMs: number): Promise<ApiResponse> {
  const { promise: expired, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('its answer did not come to its end')), timeoutMs + ABORT_MARGIN_MS);
  try {
    return await Promise.race([asked, expired]);
  } finally {
    clearTimeout(timer);
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof IngotError && error.code === 'SCHEMA_INCOMPATIBLE';
}

/** Status 404. Thrown and caught inside this file. */
class NotFound extends Error {}

// The library's error has the HTTP status. It also has status 400 when no answer came at all (refused, reset, timed out).
const NO_ANSWER = 400;

function toIngotError(error: unknown, url: string): Error {
  const status = error instanceof Error && 'status' in error ? Number(error.status) : Number.NaN;
  const said = error instanceof Error ? saidBy(error.message) : String(error);
  if (status === 404) return new NotFound(said);
  const advice = tlsAdvice(said, TLS_SETTINGS);
  if (status === NO_ANSWER && advice !== null) return refused(url, `${said}. ${advice}.`, error);
  if (status === 401) return refused(url, `${said}. Check SCHEMA_REGISTRY_AUTH.`, error);
  if (status === 403) return refused(url, `${said}. Check what the user of SCHEMA_REGISTRY_AUTH may do.`, error);
  if (status === 409) return new IngotError('SCHEMA_INCOMPATIBLE', said, { cause: error });
  if (status === NO_ANSWER || status === 408 || status === 429 || status >= 500 || Number.isNaN(status))
    return unreachable(url, said, error);
  return refused(url, said, error);
}

const TLS_SETTINGS: TlsSettingNames = {
  address: 'SCHEMA_REGISTRY_URL',
  ca: 'SCHEMA_REGISTRY_CA_FILE',
  certificate: 'SCHEMA_REGISTRY_CERT_FILE and SCHEMA_REGISTRY_KEY_FILE',
};

function refused(url: string, why: string, cause: unknown): IngotError {
  return new IngotError('REGISTRY_REFUSED', `The Schema Registry at ${url} refused a request: ${why}`, { cause });
}

/**
 * In words what the library's message says. Without a `message` in the answer it is `Error, status 503: ` and the answer, where an object
 * is `[object Object]`; when no answer came it is status 400 and the error of the connection.
 */
function saidBy(message: string): string {
  const text = message.replace(/^ingot - /, '');
  const parts = /^Error, status (\d+)(?:: (.*))?$/s.exec(text);
  if (parts === null) return text;
  const [, status = '', detail = ''] = parts;
  if (detail === 'The operation was aborted') return 'no answer in time';
  if (Number(status) === NO_ANSWER && /^[a-z ]*E[A-Z]{3,}|^socket |^Client network socket|certificate/.test(detail)) return detail;
  const shown = detail === '[object Object]' ? '' : detail.replaceAll(/\s+/g, ' ').slice(0, SHOWN_TEXT_MAX);
  return `HTTP status ${status}${shown === '' ? '' : `: ${shown}`}`;
}

function unreachable(url: string, why: string, cause?: unknown): IngotError {
  return new IngotError('REGISTRY_UNREACHABLE', `The Schema Registry at ${url} does not answer: ${why}. Check SCHEMA_REGISTRY_URL.`, {
    cause,
  });
}

function field(answer: unknown, name: string, type: 'string' | 'number' | 'boolean', url: string): unknown {
  const value = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>)[name] : undefined;
  if (typeof value !== type) throw unreachable(url, `its answer has no ${name}, as a registry's would have`);
  return value;
}

function idIn(answer: unknown, url: string): number {
  return field(answer, 'id', 'number', url) as number;
}

function levelIn(answer: unknown, url: string): string {
  return field(answer, 'compatibilityLevel', 'string', url) as string;
}

function schemaIn(answer: unknown, url: string): { text: string; schemaType: string } {
  const { schemaType = 'AVRO' } = answer as { schemaType?: string };
  return { text: field(answer, 'schema', 'string', url) as string, schemaType };
}

function stringsOf(answer: unknown, url: string): readonly string[] {
  if (!Array.isArray(answer)) throw unreachable(url, "its answer is no list of subjects, as a registry's would be");
  return answer.map(String);
}

function toRegistered(answer: unknown, subject: string, url: string): RegisteredSchema {
  return {
    subject,
    version: field(answer, 'version', 'number', url) as number,
    schemaId: idIn(answer, url),
    text: field(answer, 'schema', 'string', url) as string,
  };
}
