import { IngotError } from '../../errors.ts';
import type { LogAdmin, TopicDescription } from '../../kafka/log-port.ts';
import {
  compareTopics,
  isAsWanted,
  TOPIC_ROLES,
  TOPICS,
  type TopicFinding,
  type TopicRole,
  topicNames,
  topicSpecs,
} from '../../kafka/topics.ts';
import { type CommandContext, defineCommand, QUIET_LOG } from '../command.ts';
import { OUTPUT_FLAG, type OutputFormat, printRows } from '../output.ts';
import { connectLog } from '../roles/connect-log.ts';

// `ingot topics`: the table of topics against the broker.

const SETTINGS = ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX'];

type TopicContext = CommandContext<{ readonly output?: OutputFormat | undefined }>;

async function withAdmin<Result>(context: Pick<CommandContext, 'config'>, use: (admin: LogAdmin) => Promise<Result>): Promise<Result> {
  const config = context.config();
  const log = connectLog(config, `${config.kafka.clientId}-cli`);
  const admin = log.admin();
  try {
    return await use(admin);
  } finally {
    await admin.close();
    await log.close();
  }
}

interface TopicState {
  readonly role: TopicRole;
  readonly name: string;
  readonly found: TopicDescription | null;
  readonly findings: readonly TopicFinding[];
}

async function readTopics(admin: LogAdmin, prefix: string): Promise<readonly TopicState[]> {
  const names = topicNames(prefix);
  const described = await admin.describeTopics(Object.values(names));
  const findings = compareTopics(prefix, described);
  return TOPIC_ROLES.map((role) => ({
    role,
    name: names[role],
    found: described.find((topic) => topic.name === names[role]) ?? null,
    findings: findings.filter((finding) => finding.topic === names[role]),
  }));
}

/** The worst of what was found. */
function verdict({ findings }: TopicState): 'ok' | TopicFinding['kind'] {
  return (['missing', 'wrong', 'different'] as const).find((kind) => findings.some((finding) => finding.kind === kind)) ?? 'ok';
}

const VERDICT_STYLES = { ok: 'green', missing: 'red', wrong: 'red', different: 'yellow' } as const;

export const topicsList = defineCommand({
  description:
    "Every topic of Ingot, whether the broker has it, and whether it is as Ingot needs it: ok, missing, wrong (Ingot does not start) or different (it works, but is not what the table says; 'ingot topics describe' shows what).",
  flags: { ...OUTPUT_FLAG },
  examples: [
    { line: 'ingot topics list', shows: 'one line per topic' },
    { line: 'ingot topics list -o json', shows: 'the same for a program' },
  ],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: (context) =>
    withAdmin(context, async (admin) => {
      await printTopics(context, await readTopics(admin, context.config().kafka.topicPrefix));
      return 0;
    }),
});

function printTopics(context: TopicContext, topics: readonly TopicState[]): Promise<void> {
  return printRows(context, topics, {
    columns: [
      { title: 'topic', cell: (topic) => topic.name },
      { title: 'state', cell: verdict, style: (topic) => VERDICT_STYLES[verdict(topic)] },
      { title: 'partitions', cell: (topic) => topic.found?.partitions, alignRight: true },
      { title: 'replicas', cell: (topic) => topic.found?.replicationFactor, alignRight: true },
      { title: 'key', cell: (topic) => TOPICS[topic.role].key },
      { title: 'value', cell: (topic) => TOPICS[topic.role].value },
      { title: 'holds', cell: (topic) => TOPICS[topic.role].purpose },
    ],
  });
}

interface ConfigRow {
  readonly topic: string;
  readonly name: string;
  readonly actual: string | null;
  readonly expected: string | null;
  readonly state: 'ok' | TopicFinding['kind'];
}

export const topicsDescribe = defineCommand({
  description: 'Settings of the topics: what the broker has and what the table says. Exit code 4 when a topic is missing or wrong.',
  flags: { ...OUTPUT_FLAG },
  args: [{ name: 'TOPIC', help: 'with or without the prefix; all when none is given', optional: true, many: true }],
  examples: [
    { line: 'ingot topics describe', shows: 'all of them' },
    { line: 'ingot topics describe readings aggregator-state', shows: 'two of them' },
  ],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: (context) =>
    withAdmin(context, async (admin) => {
      const prefix = context.config().kafka.topicPrefix;
      const all = await readTopics(admin, prefix);
      const topics = context.args.length === 0 ? all : context.args.map((name) => namedTopic(all, prefix, name));
      await printRows(context, topics.flatMap(configRows), {
        columns: [
          { title: 'topic', cell: (row) => row.topic },
          { title: 'setting', cell: (row) => row.name },
          { title: 'broker', cell: (row) => row.actual },
          { title: 'table', cell: (row) => row.expected },
          { title: 'state', cell: (row) => row.state, style: (row) => VERDICT_STYLES[row.state] },
        ],
      });
      return topics.some((topic) => topic.findings.some((finding) => finding.kind !== 'different')) ? 4 : 0;
    }),
});

function namedTopic(topics: readonly TopicState[], prefix: string, name: string): TopicState {
  const topic = topics.find((candidate) => candidate.name === name || candidate.name === prefix + name);
  if (topic) return topic;
  throw new IngotError('USAGE', `'${name}' is not a topic of Ingot. There are: ${topics.map((candidate) => candidate.name).join(', ')}.`);
}

function configRows({ role, name, found, findings }: TopicState): ConfigRow[] {
  const { configs, required } = TOPICS[role];
  if (!found) return [{ topic: name, name: 'partitions', actual: null, expected: null, state: 'missing' }];
  const isUneven = findings.some((finding) => finding.what.startsWith('it has '));
  const partitions: ConfigRow = {
    topic: name,
    name: 'partitions',
    actual: String(found.partitions),
    expected: null,
    state: isUneven ? 'wrong' : 'ok',
  };
  const rows = Object.entries(configs).map(([setting, expected]): ConfigRow => {
    const actual = found.configs.get(setting) ?? null;
    const state = actual === null || isAsWanted(setting, actual, expected) ? 'ok' : required.includes(setting) ? 'wrong' : 'different';
    return { topic: name, name: setting, actual, expected, state };
  });
  return [partitions, ...rows];
}

export const topicsCreate = defineCommand({
  description:
    'Creates the topics that are missing; those that exist stay as they are. All get the same number of partitions: that of the existing ones, otherwise KAFKA_PARTITIONS. It cannot be changed later, so choose for the fleet you expect: at most one aggregator process per partition does work.',
  flags: { ...OUTPUT_FLAG },
  examples: [
    { line: 'ingot topics create', shows: '12 partitions, replicas as the cluster decides' },
    { line: 'ingot topics create --partitions 48 --replication 3', shows: 'for a larger fleet' },
  ],
  settings: [...SETTINGS, 'KAFKA_PARTITIONS', 'KAFKA_REPLICATION', 'KAFKA_COMPRESSION'],
  configDefaults: QUIET_LOG,
  run: (context) =>
    withAdmin(context, async (admin) => {
      const { topicPrefix: prefix, replication, compression } = context.config().kafka;
      const partitions = partitionsToUse(context, await readTopics(admin, prefix));
      const created = await admin.createTopics(topicSpecs({ prefix, partitions, replication, isCompressed: compression !== 'none' }));
      const topics = await readTopics(admin, prefix);
      await printTopics(context, topics);
      context.stderr.write(`${created.length} created, ${topics.length - created.length} were there already.\n`);
      const wrong = topics.flatMap((topic) => topic.findings).filter((finding) => finding.kind !== 'different');
      if (wrong.length === 0) return 0;
      const lines = wrong.map((finding) => `  - ${finding.topic}: ${finding.what}`).join('\n');
      throw new IngotError('TOPIC_MISCONFIGURED', `Ingot cannot work with these topics.\n${lines}`);
    }),
});

function partitionsToUse(context: Pick<CommandContext, 'config' | 'loadedConfig'>, topics: readonly TopicState[]): number {
  const wanted = context.config().kafka.partitions;
  const existing = topics.find((topic) => topic.found)?.found ?? null;
  if (!existing || existing.partitions === wanted) return wanted;
  const origin = context.loadedConfig.settings.find(({ setting }) => setting.variable === 'KAFKA_PARTITIONS')?.origin;
  if (origin === 'default' || origin === 'command') return existing.partitions;
  throw new IngotError(
    'TOPIC_MISCONFIGURED',
    `KAFKA_PARTITIONS is ${wanted}, but ${existing.name} exists with ${existing.partitions}. The number is pinned: leave KAFKA_PARTITIONS out, or use another KAFKA_TOPIC_PREFIX and replay.`,
  );
}
