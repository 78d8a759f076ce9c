import { FLEXIBLE, FlexibleReader } from './field-notation.ts';
import { KAFKA_ERROR } from './kafka-errors.ts';
import { type EncodedRequest, type LibraryBroker, sharedVersion } from './request-channel.ts';

// Which transactions a cluster speaks, out of ApiVersions (version 3; an older broker speaks none but the first). In those of version 2 (KIP-890,
// feature `transaction.version`) the leader of a partition adds it to the transaction itself, and each transaction has an epoch of its own.

export type TransactionVersion = 1 | 2;

const API_VERSIONS = { apiKey: 18, apiName: 'ApiVersions', oldest: 0, newest: 3 };
/** The first version with tagged fields, among them the features of the cluster. */
const FIRST_VERSION_WITH_FEATURES = 3;
const FINALIZED_FEATURES_TAG = 2;
const FEATURE = 'transaction.version';
/** Without them a broker does not speak version 2, whatever the cluster has agreed on. */
const NEEDED: readonly { readonly apiKey: number; readonly version: number }[] = [
  { apiKey: 0, version: 12 },
  { apiKey: 26, version: 5 },
];
const CLIENT_NAME = 'ingot';
const CLIENT_VERSION = '1';

/** client_software_name client_software_version, in version 3; the older ones have no body. */
export function apiVersionsRequest(broker: LibraryBroker): EncodedRequest {
  const { apiKey, apiName } = API_VERSIONS;
  const apiVersion = sharedVersion(broker, API_VERSIONS);
  if (apiVersion < FIRST_VERSION_WITH_FEATURES) {
    return { apiKey, apiName, apiVersion, isAnswered: true, bodyBytes: 0, writeBody: () => undefined };
  }
  return {
    ...{ apiKey, apiName, apiVersion, isFlexible: true, isAnswered: true },
    bodyBytes: FLEXIBLE.stringBytes(CLIENT_NAME) + FLEXIBLE.stringBytes(CLIENT_VERSION) + FLEXIBLE.endBytes,
    writeBody(into, start) {
      const at = FLEXIBLE.writeString(into, FLEXIBLE.writeString(into, start, CLIENT_NAME), CLIENT_VERSION);
      FLEXIBLE.writeEnd(into, at);
    },
  };
}

interface ApiVersionsAnswer {
  readonly code: number;
  readonly throttleTimeMs: number;
  readonly version: TransactionVersion;
}

/**
 * error_code [api_key min max] throttle_time, and among the tagged fields 2: [name max_level min_level]. The answer's header has no tagged
 * fields, as no other flexible answer. Throws a RangeError when it is cut off.
 */
export function readApiVersionsAnswer(answer: Buffer, apiVersion: number): ApiVersionsAnswer {
  const reader = new FlexibleReader(answer);
  const code = reader.int16();
  if (code !== KAFKA_ERROR.none || apiVersion < FIRST_VERSION_WITH_FEATURES) return { code, throttleTimeMs: 0, version: 1 };
  const newest = new Map<number, number>();
  for (let apis = reader.length(); apis > 0; apis--) {
    const apiKey = reader.int16();
    reader.skip(2);
    newest.set(apiKey, reader.int16());
    reader.tagged();
  }
  const throttleTimeMs = reader.int32();
  let level = 0;
  reader.tagged((tag, field) => {
    if (tag === FINALIZED_FEATURES_TAG) level = levelOf(field);
  });
  const isSpoken = NEEDED.every(({ apiKey, version }) => (newest.get(apiKey) ?? -1) >= version);
  return { code, throttleTimeMs, version: level >= 2 && isSpoken ? 2 : 1 };
}

function levelOf(features: FlexibleReader): number {
  let level = 0;
  for (let count = features.length(); count > 0; count--) {
    const name = features.string();
    const newest = features.int16();
    features.skip(2);
    features.tagged();
    if (name === FEATURE) level = newest;
  }
  return level;
}
