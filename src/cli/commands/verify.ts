import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../../errors.ts';
import { type CommandContext, defineCommand, QUIET_LOG } from '../command.ts';
import { parseSince, sinceFlag } from '../tail/since.ts';
import { type VerifyVerdict, verifyTruth } from '../verify-truth.ts';

const DIFFERENT = 4;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 8_000;
/** On top of the time after which a silent device has its windows closed. */
const PATIENCE_MS = 15_000;

export const verify = defineCommand({
  description:
    'Compares what came out with what `ingot simulate --truth FILE` sent: every window of every device and metric (count, minimum, maximum, sum; late parts merged) and every alert (raised, resolved, peak), each exactly once. The rules are those of this configuration: devices with thresholds of their own differ, and silences are left out. The expectation is computed from the file by code of its own. Windows of silent devices close after a while, so a difference is only one when it is still there after --timeout. Exit code 4: there are differences.',
  flags: {
    truth: { kind: 'string', placeholder: 'FILE', help: 'The truth file. It may hold several runs.' },
    timeout: { kind: 'duration', help: 'Look again until nothing differs, for at most so long. Default: idle + grace + 15s.' },
    since: sinceFlag('beginning'),
    show: { kind: 'number', integer: true, min: 0, default: 20, help: 'Name at most so many differences.' },
    output: {
      kind: 'choice',
      short: 'o',
      choices: ['text', 'json'],
      help: 'Form of the report. Default: text on a terminal, json when piped.',
    },
  },
  settings: ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX', 'SCHEMA_REGISTRY_URL', 'WINDOW_SIZE', 'RULES_FILE'],
  configDefaults: QUIET_LOG,
  examples: [
    { line: 'ingot verify --truth truth.jsonl', shows: 'the counts, and what differs' },
    { line: 'ingot verify --truth truth.jsonl --timeout 1s -o json', shows: 'the same for a script, without waiting' },
  ],
  run: async (context) => {
    if (context.flags.truth === undefined)
      throw new IngotError('USAGE', '--truth FILE is missing: the file that `ingot simulate --truth FILE` wrote.');
    const verdict = await lookUntilEqual(context, context.flags.truth);
    context.stdout.write(verdict.report);
    return verdict.exitCode;
  },
});

interface VerifyFlags {
  readonly timeout: number | undefined;
  readonly since: string;
  readonly show: number;
  readonly output: 'text' | 'json' | undefined;
}

async function lookUntilEqual(context: CommandContext<VerifyFlags>, truthPath: string): Promise<VerifyVerdict> {
  const config = context.config();
  const { timeout, since, show, output = context.isTerminal ? 'text' : 'json' } = context.flags;
  // A second terminal does not know with which window the aggregator runs, unless it was told: then the rows say it.
  const isTold = context.loadedConfig.settings.find(({ setting }) => setting.variable === 'WINDOW_SIZE')?.origin !== 'default';
  const options = {
    truthPath,
    windowSizeMs: isTold ? config.window.sizeMs : null,
    since: parseSince(since, Date.now()),
    show,
    output,
    signal: context.signal,
    stderr: context.stderr,
  };
  const deadline = performance.now() + (timeout ?? config.window.idleMs + config.window.graceMs + PATIENCE_MS);
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const verdict = await verifyTruth(config, options);
    if (verdict.exitCode !== DIFFERENT || context.signal.aborted || performance.now() + pauseMs > deadline) return verdict;
    await sleep(pauseMs, undefined, { signal: context.signal }).catch(() => {});
  }
}
