import { isDeepStrictEqual } from 'node:util';
import { IngotError } from '../errors.ts';
import { schemaFound, schemaRegistered } from '../ops/registry-events.ts';
import { type OurSchema, subjectOf } from './our-schemas.ts';
import type { RegisteredSchema, SchemaRegistry } from './registry-client.ts';
import { type ComparedSchema, type Incompatibility, incompatibilities } from './schema-compatibility.ts';

// Our schemas and their subjects: find them, add them, or say by name why they cannot be added.

export interface SubjectSchema {
  readonly schema: OurSchema;
  readonly subject: string;
}

export function subjectSchema(schema: OurSchema, topicPrefix: string): SubjectSchema {
  return { schema, subject: subjectOf(schema, topicPrefix) };
}

/** The id of our schema under its subject, or null when it is not there. */
export async function findSchemaId(registry: SchemaRegistry, { schema, subject }: SubjectSchema): Promise<number | null> {
  const exact = await registry.idOf(subject, schema.text);
  if (exact !== null) return exact;
  // Somebody may have registered the same schema with other white space, which some registries take for another text.
  const latest = await registry.version(subject, 'latest');
  return latest !== null && isSameJson(latest.text, schema.text) ? latest.schemaId : null;
}

function isSameJson(text: string, other: string): boolean {
  try {
    return isDeepStrictEqual(JSON.parse(text), JSON.parse(other));
  } catch {
    return false;
  }
}

/**
 * The id of our schema; it is added when it is not there. The subject's compatibility is set before its first version, and left alone
 * when somebody has set another one.
 * Rejects with IngotError `SCHEMA_INCOMPATIBLE`, naming the fields; nothing has been changed then.
 */
export async function registerSchema(registry: SchemaRegistry, target: SubjectSchema): Promise<number> {
  const found = await findSchemaId(registry, target);
  if (found !== null) {
    schemaFound({ subject: target.subject, schemaId: found });
    return found;
  }
  const { schema, subject } = target;
  await refuseIncompatible(registry, target);
  if ((await registry.compatibilityOf(subject)) === null) await registry.setCompatibility(subject, schema.compatibility);
  try {
    const schemaId = await registry.register(subject, schema.text);
    schemaRegistered({ subject, schemaId });
    return schemaId;
  } catch (error) {
    // Our own comparison found nothing, so the registry's words are all there is to say.
    if (error instanceof IngotError && error.code === 'SCHEMA_INCOMPATIBLE') {
      throw new IngotError('SCHEMA_INCOMPATIBLE', `${schema.file} cannot follow ${subject}: ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/** The id of our schema, which must be there. IngotError `SCHEMA_NOT_REGISTERED`, or `SCHEMA_INCOMPATIBLE` when it could not be added. */
export async function requireSchema(registry: SchemaRegistry, target: SubjectSchema): Promise<number> {
  const found = await findSchemaId(registry, target);
  if (found !== null) {
    schemaFound({ subject: target.subject, schemaId: found });
    return found;
  }
  await refuseIncompatible(registry, target);
  const { schema, subject } = target;
  throw new IngotError(
    'SCHEMA_NOT_REGISTERED',
    `${schema.file} is not registered under ${subject} at ${registry.url}. Run 'ingot schemas register', or set SCHEMA_AUTO_REGISTER=true.`,
  );
}

/** What the registry holds against our schema: its incompatibilities with the earlier versions, by our rules and by the registry's. */
export interface CompatibilityReport {
  /** The latest version; null when the subject has none. */
  readonly latestVersion: number | null;
  readonly problems: readonly Incompatibility[];
  /** The registry's verdict on the latest version. */
  readonly registryAccepts: boolean;
}

export async function checkCompatibility(registry: SchemaRegistry, { schema, subject }: SubjectSchema): Promise<CompatibilityReport> {
  const versions = await earlierVersions(registry, subject);
  return {
    latestVersion: versions[0]?.version ?? null,
    problems: firstProblems(schema, versions),
    registryAccepts: await registry.canFollow(subject, schema.text),
  };
}

/** Versions of a subject that are compared at most, the latest first. */
const VERSIONS_MAX = 100;

async function earlierVersions(registry: SchemaRegistry, subject: string): Promise<readonly RegisteredSchema[]> {
  const latest = await registry.version(subject, 'latest');
  if (latest === null) return [];
  const versions = [latest];
  for (let version = latest.version - 1; version >= 1 && versions.length < VERSIONS_MAX; version--) {
    const earlier = await registry.version(subject, version);
    if (earlier !== null) versions.push(earlier);
  }
  return versions;
}

/** The problems with the latest version that has any. */
function firstProblems(schema: OurSchema, versions: readonly RegisteredSchema[]): readonly Incompatibility[] {
  const ours: ComparedSchema = { text: schema.text, label: schema.file };
  for (const { version, text } of versions) {
    const theirs: ComparedSchema = { text, label: `version ${version}` };
    const problems = [
      ...incompatibilities(ours, theirs),
      ...(schema.compatibility === 'FULL_TRANSITIVE' ? incompatibilities(theirs, ours) : []),
    ];
    if (problems.length > 0) return problems;
  }
  return [];
}

async function refuseIncompatible(registry: SchemaRegistry, { schema, subject }: SubjectSchema): Promise<void> {
  const problems = firstProblems(schema, await earlierVersions(registry, subject));
  if (problems.length === 0) return;
  throw new IngotError(
    'SCHEMA_INCOMPATIBLE',
    `${schema.file} cannot follow ${subject} (${schema.compatibility}): ${describeProblems(problems)}. Nothing was registered or produced. New fields need a default; a change of type needs a new field.`,
    { details: { subject, fields: problems.map((problem) => problem.field) } },
  );
}

/** `zone is missing in version 1, and ...; humidity is ...`. */
export function describeProblems(problems: readonly Incompatibility[]): string {
  return problems.map(({ field, change }) => `${field === '' ? 'the record' : `field ${field}`} ${change}`).join('; ');
}
