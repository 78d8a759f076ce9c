import { randomBytes } from 'node:crypto';
import { maskUrlPassword } from '../../config/load-config.ts';
import type { Config } from '../../config/settings-table.ts';
import { DUPLICATE_HORIZON_MS } from '../../core/duplicate-table.ts';
import { checkBroker } from '../../doctor/check-broker.ts';
import { checkDatabase } from '../../doctor/check-database.ts';
import { checkKafka } from '../../doctor/check-kafka.ts';
import { checkMachine } from '../../doctor/check-machine.ts';
import { checkRegistry } from '../../doctor/check-registry.ts';
import type { SchemaStanding } from '../../doctor/doctor-ports.ts';
import { exitCodeFor, type Finding, ok, warn } from '../../doctor/finding.ts';
import { compareTopics, topicNames } from '../../kafka/topics.ts';
import { findJava } from '../../local-stack/setup/installed-parts.mjs';
import { inspectBroker } from '../../mqtt/inspect-broker.ts';
import { probeQueue } from '../../mqtt/probe-queue.ts';
import { OUR_SCHEMAS, PROFILE_SCHEMA } from '../../registry/our-schemas.ts';
import { checkCompatibility, describeProblems, findSchemaId, subjectSchema } from '../../registry/register-schemas.ts';
import { createSchemaRegistry, type SchemaRegistry } from '../../registry/registry-client.ts';
import { openPostgres } from '../../sql/postgres.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { type Column, OUTPUT_FLAG, type OutputFormat, printRows } from '../output.ts';
import { PRODUCT_VERSION } from '../product-version.ts';
import { DUPLICATE_OFFSETS } from '../roles/aggregator-role.ts';
import { connectLog } from '../roles/connect-log.ts';
import { mqttAddress } from '../roles/connect-mqtt.ts';
import { registryAddress } from '../roles/connect-registry.ts';

// `ingot doctor`: everything that Ingot depends on, looked at once. Here the questions get their clients; what the answers mean is decided
// in src/doctor.

interface DoctorFlags {
  readonly output?: OutputFormat | undefined;
  readonly deadline: number;
  readonly outage: number;
  readonly 'read-only': boolean;
  readonly 'broker-checked': boolean;
  readonly 'try-queue': boolean;
}

type DoctorContext = CommandContext<DoctorFlags>;

const SESSION_EXPIRY_SECONDS = 7 * 24 * 3600;
const CLOSE_MS = 1_000;

export const doctor = defineCommand({
  description:
    "Looks at Kafka, the registry, the MQTT broker and the database that the configuration names, whether each answers and is set up so that nothing gets lost: topics, schemas, clocks, the session at the MQTT broker, the range of duplicates. One line each, with what to do. Exit code 3 when a dependency does not answer, 4 when something is wrong, 0 otherwise, warnings included. To compare the clocks it writes records to the bridge's dead letters in transactions that it aborts, which no reader of committed records sees.",
  flags: {
    ...OUTPUT_FLAG,
    deadline: { kind: 'duration', default: '20s', help: 'How long each dependency is waited for.' },
    outage: {
      kind: 'duration',
      default: '10m',
      help: 'The longest outage of one bridge that duplicates are to be known after, while others go on.',
    },
    'read-only': { kind: 'boolean', help: 'Write nothing to Kafka; the clocks are not compared then.' },
    'try-queue': {
      kind: 'boolean',
      help: 'Publish 1 200 messages for a session that is away, to a topic of its own, and count what the MQTT broker has kept of them.',
    },
    'broker-checked': { kind: 'boolean', help: "Do not warn about what only the MQTT broker's own configuration tells." },
  },
  examples: [
    { line: 'ingot doctor', shows: 'everything, one line each' },
    { line: 'ingot doctor --try-queue', shows: 'also whether the MQTT broker keeps what comes while a bridge is away' },
    { line: 'ingot doctor --broker-checked -o jsonl', shows: 'as a check for a script, with the exit code' },
  ],
  settings: ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'MQTT_URL', 'MQTT_TOPICS', 'DATABASE_URL', 'KAFKA_TOPIC_PREFIX', 'DATA_FOLDER'],
  // What is wrong is said in the rows.
  configDefaults: { LOG_LEVEL: 'fatal' },
  run: async (context) => {
    const config = context.config();
    const found = await Promise.all([
      judgeConfiguration(context, config),
      lookAtMachine(context, config),
      lookAtKafka(context, config),
      lookAtRegistry(context, config),
      lookAtBroker(context, config),
      lookAtDatabase(context, config),
    ]);
    const findings = found.flat();
    await printFindings(context, findings);
    return exitCodeFor(findings);
  },
});

const STATE_STYLES = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

function printFindings(context: DoctorContext, findings: readonly Finding[]): Promise<void> {
  const isTable = (context.flags.output ?? (context.isTerminal ? 'table' : 'jsonl')) === 'table';
  // In a table the last two are one column: most lines have nothing to do, and would be padded to the length of the longest.
  const said: readonly Column<Finding>[] = isTable
    ? [{ title: 'what, and what to do', cell: ({ what, todo }) => (todo === '' ? what : `${what}. -> ${todo}`) }]
    : [
        { title: 'what', cell: (finding) => finding.what },
        { title: 'to do', cell: (finding) => finding.todo },
      ];
  return printRows(context, findings, {
    columns: [
      { title: 'state', cell: (finding) => finding.state, style: (finding) => STATE_STYLES[finding.state] },
      { title: 'check', cell: (finding) => finding.check },
      ...said,
    ],
    toJson: ({ state, check, what, todo, latencyMs }) => ({
      state,
      check,
      what,
      todo: todo === '' ? null : todo,
      latencyMs: latencyMs === undefined ? null : Number(latencyMs.toFixed(1)),
    }),
  });
}

/** The value of a setting and where it came from; secrets and passwords in URLs masked. */
function shownSetting({ loadedConfig }: DoctorContext, variable: string): string {
  const resolved = loadedConfig.settings.find(({ setting }) => setting.variable === variable);
  if (resolved === undefined || resolved.text === null) return variable;
  const text = resolved.setting.isSecret ? '[masked]' : maskUrlPassword(resolved.text);
  return `${text} (${resolved.source})`;
}

async function judgeConfiguration(context: DoctorContext, { kafka, mqtt }: Config): Promise<readonly Finding[]> {
  const findings = context.loadedConfig.warnings.map((warning) => warn('configuration', warning, 'Correct its name, or unset it'));
  if (kafka.acks !== 'all') {
    findings.push(warn('configuration', `KAFKA_ACKS is ${kafka.acks}: what the bridge acknowledged can be lost`, 'Set KAFKA_ACKS=all'));
  }
  if (mqtt.qos === 0) findings.push(warn('configuration', 'MQTT_QOS is 0: the MQTT broker may drop messages', 'Set MQTT_QOS=1'));
  return findings.length > 0 ? findings : [ok('configuration', 'every setting is valid')];
}

async function lookAtMachine(context: DoctorContext, { instance }: Config): Promise<readonly Finding[]> {
  const kafkaOrigin = context.loadedConfig.settings.find(({ setting }) => setting.variable === 'KAFKA_BROKERS')?.origin;
  const isLocal = kafkaOrigin === 'default' || kafkaOrigin === 'running stack';
  return checkMachine({
    nodeVersion: process.versions.node,
    productVersion: PRODUCT_VERSION,
    dataFolder: instance.dataFolder,
    dataFolderText: shownSetting(context, 'DATA_FOLDER'),
    java: isLocal ? findJava() : undefined,
  });
}

async function lookAtKafka(context: DoctorContext, config: Config): Promise<readonly Finding[]> {
  const { topicPrefix } = config.kafka;
  const names = topicNames(topicPrefix);
  const log = connectLog(config, `${config.kafka.clientId}-doctor`);
  try {
    return await checkKafka({
      log,
      address: shownSetting(context, 'KAFKA_BROKERS'),
      readingsTopic: names.readings,
      deadLettersTopic: names.bridgeDeadLetters,
      topics: Object.values(names),
      compare: (described) => compareTopics(topicPrefix, described),
      // Of its own each time: two doctors must not fence each other.
      transactionalId: `${topicPrefix}doctor-${randomBytes(4).toString('hex')}`,
      maxPayloadBytes: config.bridge.maxPayloadBytes,
      duplicateRange: { rangeRecords: DUPLICATE_OFFSETS, rangeMs: DUPLICATE_HORIZON_MS, outageMs: context.flags.outage },
      deadlineMs: context.flags.deadline,
      isReadOnly: context.flags['read-only'],
    });
  } finally {
    await log.close();
  }
}

function lookAtRegistry(context: DoctorContext, config: Config): Promise<readonly Finding[]> {
  const registry = createSchemaRegistry(registryAddress(config));
  return checkRegistry({
    address: shownSetting(context, 'SCHEMA_REGISTRY_URL'),
    ask: () => registry.subjects(),
    standings: () => standings(registry, config.kafka.topicPrefix),
    autoRegister: config.registry.autoRegister,
    deadlineMs: context.flags.deadline,
  });
}

async function standings(registry: SchemaRegistry, topicPrefix: string): Promise<readonly SchemaStanding[]> {
  const found: SchemaStanding[] = [];
  for (const schema of OUR_SCHEMAS) {
    const target = subjectSchema(schema, topicPrefix);
    const { subject } = target;
    const known = { subject, file: schema.file, isNeededToStart: schema !== PROFILE_SCHEMA };
    if ((await findSchemaId(registry, target)) !== null) {
      found.push({ ...known, isRegistered: true, incompatibility: '' });
      continue;
    }
    const { problems, registryAccepts } = await checkCompatibility(registry, target);
    const incompatibility = problems.length > 0 ? describeProblems(problems) : registryAccepts ? '' : 'the registry says no';
    found.push({ ...known, isRegistered: false, incompatibility });
  }
  return found;
}

function lookAtBroker(context: DoctorContext, { mqtt, bridge }: Config): Promise<readonly Finding[]> {
  const { deadline } = context.flags;
  const address = {
    ...mqttAddress({ mqtt }),
    deadlineMs: deadline,
  };
  const wanted = { topics: mqtt.topics, qos: mqtt.qos === 0 ? 0 : 1, sessionExpirySeconds: SESSION_EXPIRY_SECONDS } as const;
  return checkBroker({
    address: shownSetting(context, 'MQTT_URL'),
    filters: mqtt.topics,
    maxPayloadBytes: bridge.maxPayloadBytes,
    isConfigurationChecked: context.flags['broker-checked'],
    deadlineMs: deadline,
    inspect: () => inspectBroker({ ...address, ...wanted }),
    tryQueue: context.flags['try-queue'] ? (protocolVersion) => probeQueue(address, protocolVersion) : null,
  });
}

async function lookAtDatabase(context: DoctorContext, { sql }: Config): Promise<readonly Finding[]> {
  const deadlineMs = context.flags.deadline;
  if (sql.databaseUrl === null) return checkDatabase({ address: 'no DATABASE_URL', askVersion: null, deadlineMs });
  const database = openPostgres(sql.databaseUrl);
  const source = context.loadedConfig.settings.find(({ setting }) => setting.variable === 'DATABASE_URL')?.source;
  const askVersion = async () => String((await database.query('select version() as version')).rows[0]?.['version']);
  try {
    return await checkDatabase({ address: `${database.address} (${source})`, askVersion, deadlineMs });
  } finally {
    await database.close(CLOSE_MS);
  }
}
