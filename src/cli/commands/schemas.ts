import type { Config } from '../../config/settings-table.ts';
import { IngotError } from '../../errors.ts';
import { OUR_SCHEMAS, type OurSchema, subjectOf } from '../../registry/our-schemas.ts';
import { checkCompatibility, describeProblems, findSchemaId, registerSchema, subjectSchema } from '../../registry/register-schemas.ts';
import { createSchemaRegistry, type SchemaRegistry } from '../../registry/registry-client.ts';
import { type CommandContext, defineCommand, QUIET_LOG } from '../command.ts';
import { OUTPUT_FLAG, printRows } from '../output.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import { escapeControls } from '../terminal-text.ts';

// `ingot schemas`: the schemas in the registry, and how ours in schemas/ stand to them.

const SUBJECT_FLAG = {
  subject: { kind: 'string', placeholder: 'NAME', help: 'Only this one: a subject, a topic (alerts) or a record (Alert).' },
} as const;

const SETTINGS = ['SCHEMA_REGISTRY_URL', 'SCHEMA_REGISTRY_AUTH', 'KAFKA_TOPIC_PREFIX'];

function connect(config: Config): SchemaRegistry {
  return createSchemaRegistry(registryAddress(config));
}

/** Whether what a user typed means this schema. */
function isMeant(schema: OurSchema, typed: string, topicPrefix: string): boolean {
  return [schema.name, schema.topic, topicPrefix + schema.topic, subjectOf(schema, topicPrefix), schema.file].includes(typed);
}

/** Ours, or the one that was asked for. IngotError `USAGE` when that is none of ours. */
function chosenSchemas(typed: string | undefined, topicPrefix: string): readonly OurSchema[] {
  if (typed === undefined) return OUR_SCHEMAS;
  const chosen = OUR_SCHEMAS.filter((schema) => isMeant(schema, typed, topicPrefix));
  if (chosen.length > 0) return chosen;
  throw new IngotError('USAGE', `There is no schema '${typed}'. Ours are ${OUR_SCHEMAS.map(({ name }) => name).join(', ')}.`);
}

/** How our file stands to the registry. */
type Standing = 'up to date' | 'not registered' | 'differs' | 'foreign';

interface ListedSubject {
  readonly subject: string;
  readonly version: number | null;
  readonly schemaId: number | null;
  readonly compatibility: string | null;
  readonly file: string | null;
  readonly standing: Standing;
}

async function listed(registry: SchemaRegistry, subject: string, schema: OurSchema | undefined): Promise<ListedSubject> {
  const latest = await registry.version(subject, 'latest');
  const id = schema === undefined ? null : await findSchemaId(registry, { schema, subject });
  const standing = schema === undefined ? 'foreign' : id !== null ? 'up to date' : latest === null ? 'not registered' : 'differs';
  return {
    subject,
    version: latest?.version ?? null,
    schemaId: id ?? latest?.schemaId ?? null,
    compatibility: await registry.compatibilityOf(subject),
    file: schema?.file ?? null,
    standing,
  };
}

export const schemasList = defineCommand({
  description:
    'The subjects of our topics, and how the files in schemas/ stand to them. `differs`: the file has changed since; `ingot schemas check` says whether it can follow.',
  flags: { ...OUTPUT_FLAG, all: { kind: 'boolean', help: 'Every subject of the registry, those of others too.' } },
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  examples: [
    { line: 'ingot schemas list', shows: 'subject, version, id, compatibility of each' },
    { line: 'ingot schemas list --all -o json', shows: 'every subject of the registry' },
  ],
  run: async (context) => {
    const config = context.config();
    const registry = connect(config);
    const { topicPrefix } = config.kafka;
    const ours = new Map(OUR_SCHEMAS.map((schema) => [subjectOf(schema, topicPrefix), schema]));
    const foreign = context.flags.all ? (await registry.subjects()).filter((subject) => !ours.has(subject)).sort() : [];
    const rows: ListedSubject[] = [];
    for (const subject of [...ours.keys(), ...foreign]) rows.push(await listed(registry, subject, ours.get(subject)));
    await printRows(context, rows, {
      columns: [
        { title: 'subject', cell: (row) => row.subject },
        { title: 'version', cell: (row) => row.version, alignRight: true },
        { title: 'id', cell: (row) => row.schemaId, alignRight: true },
        { title: 'compatibility', cell: (row) => row.compatibility },
        { title: 'file', cell: (row) => row.file },
        { title: 'standing', cell: (row) => row.standing, style: (row) => (row.standing === 'up to date' ? 'green' : null) },
      ],
    });
    return 0;
  },
});

export const schemasShow = defineCommand({
  description:
    'Prints the text of a schema as the registry has it: a subject, a topic or a record, the latest version or the one that is named.',
  flags: {
    ...SUBJECT_FLAG,
    version: { kind: 'number', integer: true, min: 1, placeholder: 'N', help: 'This version instead of the latest.' },
  },
  args: [{ name: 'NAME', help: 'A subject, a topic (readings) or a record (SensorReading).', optional: true }],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  examples: [
    { line: 'ingot schemas show alerts', shows: 'the latest version of telemetry.alerts-value' },
    { line: 'ingot schemas show --subject telemetry.readings-value --version 1', shows: 'an earlier one' },
  ],
  run: async (context) => {
    const config = context.config();
    const { topicPrefix } = config.kafka;
    const typed = context.flags.subject ?? context.args[0];
    if (typed === undefined) {
      throw new IngotError('USAGE', "Which schema? For example 'ingot schemas show alerts'; 'ingot schemas list' names them.");
    }
    const known = OUR_SCHEMAS.find((schema) => isMeant(schema, typed, topicPrefix));
    const subject = known === undefined ? typed : subjectOf(known, topicPrefix);
    const found = await connect(config).version(subject, context.flags.version ?? 'latest');
    if (found === null) {
      const what = context.flags.version === undefined ? `no subject ${subject}` : `no version ${context.flags.version} of ${subject}`;
      throw new IngotError('SCHEMA_NOT_REGISTERED', `The Schema Registry has ${what}. 'ingot schemas list --all' shows what it has.`);
    }
    // The text may be anybody's: on a terminal its control characters are shown, and the lines stay lines.
    const text = context.isTerminal ? found.text.split('\n').map(escapeControls).join('\n') : found.text;
    context.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    return 0;
  },
});

export const schemasRegister = defineCommand({
  description:
    'Registers the files in schemas/ under the subjects of our topics. The compatibility of a subject is set before its first version. Nothing changes for a schema that is there already. Exit code 4 when one cannot follow its earlier versions.',
  flags: { ...OUTPUT_FLAG, ...SUBJECT_FLAG },
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  examples: [{ line: 'ingot schemas register', shows: 'subject and id of each' }],
  run: async (context) => {
    const config = context.config();
    const registry = connect(config);
    const { topicPrefix } = config.kafka;
    const rows: { subject: string; schemaId: number; file: string }[] = [];
    for (const schema of chosenSchemas(context.flags.subject, topicPrefix)) {
      const target = subjectSchema(schema, topicPrefix);
      rows.push({ subject: target.subject, schemaId: await registerSchema(registry, target), file: schema.file });
    }
    await printRows(context, rows, {
      columns: [
        { title: 'subject', cell: (row) => row.subject },
        { title: 'id', cell: (row) => row.schemaId, alignRight: true },
        { title: 'file', cell: (row) => row.file },
      ],
    });
    return 0;
  },
});

export const schemasCheck = defineCommand({
  description:
    'Compares the files in schemas/ with what the registry holds, without changing anything: for a pipeline before a deployment. Exit code 4 when one of them cannot follow; the fields are named.',
  flags: { ...OUTPUT_FLAG, ...SUBJECT_FLAG },
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  examples: [{ line: 'ingot schemas check', shows: 'whether each file can be registered' }],
  run: async (context) => {
    const { topicPrefix } = context.config().kafka;
    const rows = await checkedSchemas(context, chosenSchemas(context.flags.subject, topicPrefix));
    await printRows(context, rows, {
      columns: [
        { title: 'subject', cell: (row) => row.subject },
        { title: 'latest', cell: (row) => row.latestVersion, alignRight: true },
        { title: 'compatible', cell: (row) => row.isCompatible, style: (row) => (row.isCompatible ? 'green' : 'red') },
        { title: 'why', cell: (row) => row.why },
      ],
    });
    return rows.every((row) => row.isCompatible) ? 0 : 4;
  },
});

interface CheckedSchema {
  readonly subject: string;
  readonly latestVersion: number | null;
  readonly isCompatible: boolean;
  readonly why: string;
}

async function checkedSchemas(context: Pick<CommandContext, 'config'>, schemas: readonly OurSchema[]): Promise<readonly CheckedSchema[]> {
  const config = context.config();
  const registry = connect(config);
  const rows: CheckedSchema[] = [];
  for (const schema of schemas) {
    const target = subjectSchema(schema, config.kafka.topicPrefix);
    const { latestVersion, problems, registryAccepts } = await checkCompatibility(registry, target);
    const why = problems.length > 0 ? describeProblems(problems) : registryAccepts ? '' : 'the registry says no';
    rows.push({ subject: target.subject, latestVersion, isCompatible: why === '', why });
  }
  return rows;
}
