import { IngotError } from '../../src/errors.ts';
import type { SchemaRegistry } from '../../src/registry/registry-client.ts';
import { incompatibilities } from '../../src/registry/schema-compatibility.ts';

/** A registry in memory, and what a test may do to it. */
export interface MemoryRegistry extends SchemaRegistry {
  /** Makes every call fail as if nobody listened. */
  isAway: boolean;
  /** Names of the calls made, in order. */
  readonly calls: string[];
  /** Puts a schema in that nobody of ours would register. */
  put(schemaId: number, text: string, schemaType?: string): void;
}

interface Version {
  readonly schemaId: number;
  readonly text: string;
}

export function memoryRegistry(): MemoryRegistry {
  const schemas = new Map<number, { text: string; schemaType: string }>();
  const subjects = new Map<string, Version[]>();
  const levels = new Map<string, string>();
  const calls: string[] = [];
  const state = { isAway: false };

  const answer = async <Value>(call: string, make: () => Value): Promise<Value> => {
    calls.push(call);
    if (state.isAway) throw new IngotError('REGISTRY_UNREACHABLE', 'The Schema Registry in memory is away.');
    return make();
  };
  const versionsOf = (subject: string): Version[] => subjects.get(subject) ?? [];
  const fits = (subject: string, text: string): boolean => {
    const level = levels.get(subject) ?? 'NONE';
    const earlier = level.endsWith('TRANSITIVE') ? versionsOf(subject) : versionsOf(subject).slice(-1);
    const ours = { text, label: 'new' };
    return earlier.every((version) => {
      const theirs = { text: version.text, label: 'old' };
      const isBackward = level === 'NONE' || incompatibilities(ours, theirs).length === 0;
      return isBackward && (!level.startsWith('FULL') || incompatibilities(theirs, ours).length === 0);
    });
  };
  const register = (subject: string, text: string): number => {
    JSON.parse(text);
    const known = versionsOf(subject).find((version) => version.text === text);
    if (known !== undefined) return known.schemaId;
    if (!fits(subject, text)) throw new IngotError('SCHEMA_INCOMPATIBLE', 'The registry in memory says no.');
    const schemaId = [...schemas].find(([, schema]) => schema.text === text)?.[0] ?? schemas.size + 1;
    schemas.set(schemaId, { text, schemaType: 'AVRO' });
    subjects.set(subject, [...versionsOf(subject), { schemaId, text }]);
    return schemaId;
  };

  return {
    url: 'memory:',
    calls,
    get isAway() {
      return state.isAway;
    },
    set isAway(value) {
      state.isAway = value;
    },
    put: (schemaId, text, schemaType = 'AVRO') => void schemas.set(schemaId, { text, schemaType }),
    subjects: () => answer('subjects', () => [...subjects.keys()]),
    version: (subject, version) =>
      answer('version', () => {
        const number = version === 'latest' ? versionsOf(subject).length : version;
        const found = versionsOf(subject)[number - 1];
        return found === undefined ? null : { subject, version: number, ...found };
      }),
    idOf: (subject, text) => answer('idOf', () => versionsOf(subject).find((version) => version.text === text)?.schemaId ?? null),
    schemaOf: (schemaId) => answer('schemaOf', () => schemas.get(schemaId) ?? null),
    compatibilityOf: (subject) => answer('compatibilityOf', () => levels.get(subject) ?? null),
    setCompatibility: (subject, level) => answer('setCompatibility', () => void levels.set(subject, level)),
    canFollow: (subject, text) => answer('canFollow', () => fits(subject, text)),
    register: (subject, text) => answer('register', () => register(subject, text)),
  };
}
