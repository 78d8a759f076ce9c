import { join } from 'node:path';
import type { Config } from '../../config/settings-table.ts';
import { IngotError } from '../../errors.ts';
import { topicSpecs } from '../../kafka/topics.ts';
import { type DataFolder, openDataFolder, openTemporaryFolder } from '../../local-stack/data-folder.ts';
import { type LocalStack, startLocalStack } from '../../local-stack/local-stack.ts';
import { removeStackFile, type StackAddresses, writeStackFile } from '../../local-stack/stack-file.ts';
import { redirectTextLog } from '../../ops/log.ts';
import { type CommandContext, defineCommand, type FlagValues } from '../command.ts';
import { connectLog } from '../roles/connect-log.ts';
import { runRole } from '../run-role.ts';
import { LiveTerminal } from '../up/live-terminal.ts';
import { startUp, type UpResult } from '../up/run-up.ts';

const FLAGS = {
  simulate: { kind: 'number', integer: true, min: 0, max: 100_000, default: 0, placeholder: 'N', help: 'Add N simulated devices.' },
  duration: { kind: 'duration', help: 'Stop the simulated devices after this long, let everything come to its end, and end.' },
  verify: {
    kind: 'boolean',
    help: 'With --simulate and --duration: compare what came out with what was sent; exit code 4 when they differ.',
  },
  ephemeral: { kind: 'boolean', help: 'Keep the data in a temporary folder that is gone afterwards.' },
  dashboard: { kind: 'boolean', default: true, help: 'Do not serve the page.' },
  scenario: {
    kind: 'choice',
    choices: ['steady', 'heatwave', 'flapping', 'late-burst', 'mix'],
    help: 'What happens to the simulated devices. Default: mix.',
  },
  rate: { kind: 'number', help: 'Readings per second of all simulated devices together. Default: 2 per device.' },
  seed: { kind: 'number', integer: true, min: 0, help: 'The same seed gives the same values.' },
} as const;

type UpContext = CommandContext<FlagValues<typeof FLAGS>>;

/** A small disk and a laptop: fewer partitions than in production. */
const LOCAL_PARTITIONS = '4';

export const up = defineCommand({
  description:
    'Runs the whole pipeline in this process: Kafka, the schema registry and an MQTT broker on this machine unless they are configured elsewhere (KAFKA_BROKERS, SCHEMA_REGISTRY_URL, MQTT_URL), the bridge, the aggregator, the SQL sink and the page. Windows are short (10 s), so that a newcomer sees them close. The data stay in DATA_FOLDER, and a second start goes on where the first one stopped.',
  flags: FLAGS,
  settings: ['DATA_FOLDER', 'KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'MQTT_URL', 'DATABASE_URL', 'WINDOW_SIZE', 'RULES_FILE', 'HTTP_PORT'],
  configDefaults: {
    WINDOW_SIZE: '10s',
    WINDOW_GRACE: '2s',
    WINDOW_IDLE: '5s',
    KAFKA_PARTITIONS: LOCAL_PARTITIONS,
    KAFKA_REPLICATION: '1',
    SCHEMA_AUTO_REGISTER: 'true',
    LOG_LEVEL: 'warn',
  },
  examples: [
    { line: 'ingot up --simulate 25', shows: 'the demo' },
    { line: 'ingot up --simulate 50 --duration 30s --verify --ephemeral', shows: 'a run that checks itself' },
    { line: 'KAFKA_BROKERS=kafka:9092 ingot up', shows: 'everything but Kafka on this machine' },
  ],
  usesRunningStack: false,
  run: runUp,
});

async function runUp(context: UpContext): Promise<number> {
  const { flags } = context;
  if (flags.verify && (flags.simulate === 0 || flags.duration === undefined)) {
    throw new IngotError('USAGE', '--verify compares with what simulated devices have sent: give --simulate N and --duration too.');
  }
  const screen = new LiveTerminal(context.stdout, context.isTerminal);
  if (context.isTerminal) redirectTextLog((text) => screen.print(text.trimEnd()));
  const asked = context.config();
  const folder = flags.ephemeral ? openTemporaryFolder() : await openDataFolder(asked.instance.dataFolder);
  try {
    const config = { ...asked, instance: { ...asked.instance, dataFolder: folder.path } };
    return await runOnFolder({ context, config, folder, screen });
  } finally {
    folder.release();
  }
}

interface UpRun {
  readonly context: UpContext;
  readonly config: Config;
  readonly folder: DataFolder;
  readonly screen: LiveTerminal;
}

async function runOnFolder({ context, config, folder, screen }: UpRun): Promise<number> {
  const crashed = new AbortController();
  const stack = await startLocalStack({
    dataFolder: folder.path,
    needKafka: !isConfigured(context, 'KAFKA_BROKERS'),
    needRegistry: !isConfigured(context, 'SCHEMA_REGISTRY_URL'),
    needMqtt: !isConfigured(context, 'MQTT_URL'),
    kafkaBrokers: config.kafka.brokers,
    preferUsualPorts: !context.flags.ephemeral,
    onReady: (component, address) => screen.print(`${component.padEnd(16)} ${address}`),
    onCrash: (error) => crashed.abort(error),
  });
  try {
    const located = withAddresses(config, stack);
    await createTopics(located);
    const result: UpResult = { exitCode: 0 };
    const signal = AbortSignal.any([context.signal, crashed.signal]);
    const role = { context, config: located, stack, screen, signal, result };
    const code = await runRole(
      { config: () => located, signal },
      { role: 'up', start: (surroundings) => startUp(surroundings, upOptions(role), result) },
    );
    if (crashed.signal.aborted) throw crashed.signal.reason;
    return code === 0 ? result.exitCode : code;
  } finally {
    removeStackFile(folder.path);
    await stack.stop();
  }
}

function upOptions(run: {
  context: UpContext;
  config: Config;
  stack: LocalStack;
  screen: LiveTerminal;
  signal: AbortSignal;
}): Parameters<typeof startUp>[1] {
  const { context, config, stack, screen, signal } = run;
  const { simulate, duration, verify, scenario, rate, seed, dashboard } = context.flags;
  return {
    devices: simulate,
    durationMs: duration ?? null,
    verify,
    truthPath: join(config.instance.dataFolder, `truth-${Date.now()}.jsonl`),
    simulatorFlags: { scenario, rate, seed },
    withPage: dashboard,
    screen,
    isTerminal: context.isTerminal,
    stderr: context.stderr,
    signal,
    welcome: (httpUrl) => {
      const addresses = addressesOf(config);
      writeStackFile(config.instance.dataFolder, { addresses, children: stack.children });
      return welcomeLines(config, { httpUrl, withPage: dashboard });
    },
  };
}

function isConfigured(context: UpContext, variable: string): boolean {
  const origin = context.loadedConfig.settings.find(({ setting }) => setting.variable === variable)?.origin;
  return origin === 'flag' || origin === 'environment' || origin === 'file';
}

function withAddresses(config: Config, stack: LocalStack): Config {
  return {
    ...config,
    kafka: { ...config.kafka, brokers: stack.kafkaBrokers ?? config.kafka.brokers },
    registry: { ...config.registry, url: stack.registryUrl ?? config.registry.url },
    mqtt: { ...config.mqtt, url: stack.mqttUrl ?? config.mqtt.url },
  };
}

async function createTopics(config: Config): Promise<void> {
  const log = connectLog(config, `${config.kafka.clientId}-up`);
  try {
    const { topicPrefix: prefix, partitions, replication } = config.kafka;
    await log.admin().createTopics(topicSpecs({ prefix, partitions, replication }));
  } finally {
    await log.close();
  }
}

/** What a command in another terminal has to know to find this stack and to read it as it is run. */
function addressesOf(config: Config): StackAddresses {
  const { window } = config;
  return {
    KAFKA_BROKERS: config.kafka.brokers.join(','),
    KAFKA_TOPIC_PREFIX: config.kafka.topicPrefix,
    SCHEMA_REGISTRY_URL: config.registry.url,
    MQTT_URL: config.mqtt.url,
    WINDOW_SIZE: `${window.sizeMs}ms`,
    WINDOW_GRACE: `${window.graceMs}ms`,
    WINDOW_IDLE: `${window.idleMs}ms`,
  };
}

function welcomeLines(config: Config, { httpUrl, withPage }: { httpUrl: string; withPage: boolean }): string[] {
  return [
    `${(withPage ? 'page, metrics' : 'health, metrics').padEnd(16)} ${httpUrl}`,
    `${'data'.padEnd(16)} ${config.instance.dataFolder}`,
    '',
    'Try in another terminal:',
    '  ./ingot alerts tail        subscribe to the alerts',
    '  ./ingot schemas list       look at the schemas in the registry',
    '  ./ingot simulate --devices 3 --scenario heatwave --prefix mine',
    '',
  ];
}
