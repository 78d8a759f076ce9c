import { parseRunSettings, UsageError } from './settings.ts';
import { simulate } from './simulate.ts';
import { parseVerifySettings, verify } from './verify.ts';

// The program behind `ingot simulate` and `ingot verify`. It can be run alone: node simulators/main.ts run --url mqtt://... --devices 5

const EXIT_CODE_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;

/** The first signal (or the end of the parent) drains; the second one stops at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) process.exit(EXIT_CODE_BY_SIGNAL[signal]);
      stop.abort();
    });
  }
  if (process.send !== undefined) {
    // A parent asks to stop with a message, because Ctrl-C on a terminal reaches both of us already. A parent that is gone needs nothing more.
    process.on('message', () => stop.abort());
    process.on('disconnect', () => stop.abort());
    process.channel?.unref();
  }
  return stop.signal;
}

async function main(argv: readonly string[]): Promise<number> {
  const [verb, ...rest] = argv;
  if (verb === 'verify') return verify(parseVerifySettings(rest), process.stdin, process.stdout);
  if (verb !== 'run') throw new UsageError(`'${verb ?? ''}' is not known; allowed is run or verify`);
  const settings = parseRunSettings(rest, process.env);
  return simulate(settings, { env: process.env, stdout: process.stdout, stderr: process.stderr, stop: stopSignal() });
}

// A reader of stdout that went away ends the program quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

let exitCode: number;
try {
  exitCode = await main(process.argv.slice(2));
} catch (error) {
  const program = process.argv[2] === 'verify' ? 'verify' : 'simulate';
  process.stderr.write(`${program}: ${error instanceof Error ? error.message : String(error)}\n`);
  exitCode = error instanceof UsageError ? 2 : 1;
}
// A connection that was given up while it was being made keeps a timer of the client for seconds; stdout is given everything first.
process.stdout.write('', () => process.exit(exitCode));
