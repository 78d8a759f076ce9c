import { constants } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../config/settings-table.ts';
import { formatDuration } from '../../core/duration-text.ts';
import { IngotError } from '../../errors.ts';
import { type DataFolder, openDataFolder, openTemporaryFolder } from '../../local-stack/data-folder.ts';
import { removeStackFile, type StackAddresses, writeStackFile } from '../../local-stack/stack-file.ts';
import { redirectLog } from '../../ops/log.ts';
import { type CommandContext, defineCommand, type FlagValues } from '../command.ts';
import { type RoleSurroundings, type RunningRole, runRole } from '../run-role.ts';
import { LiveTerminal } from '../up/live-terminal.ts';
import { startUp, type UpOptions, type UpResult } from '../up/run-up.ts';
import { StartProgress } from '../up/start-progress.ts';
import { UpStack } from '../up/up-stack.ts';
import { welcomeLines } from '../up/welcome.ts';

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
  cycle: { kind: 'duration', help: 'How often the scenario of the simulated devices repeats. Default: 60s.' },
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
  drains: true,
  run: runUp,
});

async function runUp(context: UpContext): Promise<number> {
  const { flags } = context;
  if (flags.verify && (flags.simulate === 0 || flags.duration === undefined)) {
    throw new IngotError('USAGE', '--verify compares with what simulated devices have sent: give --simulate N and --duration too.');
  }
  const screen = new LiveTerminal(context.stdout, canRedraw(context));
  // On one terminal the log would tear what is drawn.
  if (canRedraw(context) && (context.stderr as { isTTY?: boolean }).isTTY) redirectLog((text) => screen.print(text.trimEnd()));
  const asked = context.config();
  const folder = flags.ephemeral ? openTemporaryFolder() : await openDataFolder(asked.instance.dataFolder);
  try {
    const config = { ...asked, instance: { ...asked.instance, dataFolder: folder.path } };
    return await runOnFolder({ context, config, screen });
  } finally {
    folder.release();
    if (context.signal.aborted) screen.print(goodbye(flags.ephemeral, folder));
  }
}

/** A terminal that cannot move its cursor gets lines, as a file does. */
function canRedraw({ isTerminal }: UpContext): boolean {
  return isTerminal && process.env['TERM'] !== 'dumb';
}

function goodbye(isTemporary: boolean, { path }: DataFolder): string {
  return isTemporary ? 'Stopped. The temporary folder is gone.' : `Stopped. The data are in ${path}; the next start goes on from there.`;
}

interface UpRun {
  readonly context: UpContext;
  /** With the data folder of this run. */
  readonly config: Config;
  readonly screen: LiveTerminal;
}

async function runOnFolder({ context, config, screen }: UpRun): Promise<number> {
  const progress = new StartProgress(screen, canRedraw(context));
  const isConfigured = (variable: string): boolean => isGiven(context, variable);
  const stack = new UpStack({ config, isConfigured, preferUsualPorts: !context.flags.ephemeral, progress, screen });
  const signal = AbortSignal.any([context.signal, stack.crashed]);
  const result: UpResult = { exitCode: null };
  context.signal.addEventListener('abort', () => screen.print('', 'Stopping in the order of the flow; a second Ctrl-C ends it at once.'), {
    once: true,
  });
  const start = async (surroundings: RoleSurroundings): Promise<RunningRole> => {
    // What is not reached yet is not ready.
    for (const dependency of DEPENDENCIES) surroundings.health.dependency(dependency);
    const { config: located, children } = await stack.start(signal);
    const options = upOptions({ context, config: located, screen, progress, signal });
    const welcome = (httpUrl: string): readonly string[] => {
      writeStackFile(config.instance.dataFolder, { addresses: addressesOf(located), children });
      const isUsualFolder = !context.flags.ephemeral && !isGiven(context, 'DATA_FOLDER');
      return welcomeLines(located, { httpUrl, withPage: context.flags.dashboard, isUsualFolder });
    };
    return startUp({ ...surroundings, config: located }, { ...options, welcome }, result);
  };
  try {
    const code = await runRole({ config: () => config, signal }, { role: 'up', start });
    if (stack.crashed.aborted) throw stack.crashed.reason;
    return code === 0 ? (result.exitCode ?? exitCodeWithoutResult(context)) : code;
  } finally {
    progress.end();
    removeStackFile(config.instance.dataFolder);
    await stack.stop();
  }
}

const DEPENDENCIES = ['kafka', 'registry', 'mqtt', 'database'];

/** A run that was to compare and was stopped before has not succeeded. */
function exitCodeWithoutResult({ flags, signal }: UpContext): number {
  if (!flags.verify) return 0;
  return 128 + (constants.signals[signal.reason as NodeJS.Signals] ?? constants.signals.SIGINT);
}

function upOptions(run: UpRun & { readonly progress: StartProgress; readonly signal: AbortSignal }): Omit<UpOptions, 'welcome'> {
  const { context, config, screen, progress, signal } = run;
  const { simulate, duration, verify, scenario, rate, cycle, seed, dashboard } = context.flags;
  return {
    devices: simulate,
    durationMs: duration ?? null,
    verify,
    truthPath: join(config.instance.dataFolder, `truth-${Date.now()}.jsonl`),
    simulatorFlags: { scenario, rate, seed, cycle: cycle === undefined ? undefined : `${cycle}ms` },
    withPage: dashboard,
    progress,
    screen,
    isTerminal: canRedraw(context),
    useColor: context.useColor,
    stderr: context.stderr,
    signal,
  };
}

function isGiven(context: UpContext, variable: string): boolean {
  const origin = context.loadedConfig.settings.find(({ setting }) => setting.variable === variable)?.origin;
  return origin === 'flag' || origin === 'environment' || origin === 'file';
}

/** What a command in another terminal has to know to find this stack and to read it as it is run. */
function addressesOf(config: Config): StackAddresses {
  const { window, alerts } = config;
  return {
    KAFKA_BROKERS: config.kafka.brokers.join(','),
    KAFKA_TOPIC_PREFIX: config.kafka.topicPrefix,
    SCHEMA_REGISTRY_URL: config.registry.url,
    MQTT_URL: config.mqtt.url,
    WINDOW_SIZE: formatDuration(window.sizeMs),
    WINDOW_GRACE: formatDuration(window.graceMs),
    WINDOW_IDLE: formatDuration(window.idleMs),
    EVENT_TIME_SKEW: formatDuration(window.skewMs),
    EVENT_TIME_PAST_LIMIT: formatDuration(window.pastLimitMs),
    ALERT_THRESHOLD_CELSIUS: String(alerts.thresholdCelsius),
    ALERT_DEADBAND_CELSIUS: String(alerts.deadbandCelsius),
    ...(alerts.rulesFile !== null && { RULES_FILE: alerts.rulesFile }),
  };
}
