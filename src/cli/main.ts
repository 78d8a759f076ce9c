import { enableCompileCache } from 'node:module';

// The program: connects the CLI to this process.

// Stripping the types of all modules takes longer than most commands; the cache makes it a matter of the first start. It only
// serves what is imported after this line.
enableCompileCache();
const { runningStackAddresses } = await import('../local-stack/stack-file.ts');
const { endOnUncaught, watchStopSignals } = await import('../ops/shutdown.ts');
const { runCli } = await import('./run-cli.ts');

/** npm passes on the Ctrl-C that the terminal has sent to all of us already. */
const SIGNAL_PASSED_ON_MS = 1_000;
/** For a command that only asks: it may be waiting for an answer that takes long, and whoever presses Ctrl-C does not. */
const NOTHING_TO_DRAIN_MS = 1_000;

endOnUncaught();
const stopRequest = watchStopSignals({ sameRequestMs: process.env['npm_lifecycle_event'] === undefined ? 0 : SIGNAL_PASSED_ON_MS });

// A reader that went away (`ingot alerts tail | head`) is a request to stop, not a failure. Broken log pipes are ignored.
let isStdoutGone = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (isStdoutGone) return;
  if (error.code !== 'EPIPE') throw error;
  isStdoutGone = true;
  stopRequest.stop('stdout was closed');
});
process.stderr.on('error', () => {});

const exitCode = await runCli({
  words: process.argv.slice(2),
  environment: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stopRequest.signal,
  runningStack: runningStackAddresses,
  onConfig: ({ config }, drains) => {
    if (!drains) stopRequest.setDeadline(NOTHING_TO_DRAIN_MS, true);
    else if (config) stopRequest.setDeadline(config.instance.shutdownTimeoutMs);
  },
});

// Client libraries keep sockets and timers open, so the process is ended rather than waited for, after stdout has taken everything.
process.stdout.write('', () => process.exit(exitCode));
