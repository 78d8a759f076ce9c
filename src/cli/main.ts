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

// A reader that went away (`ingot alerts tail | head`) is a request to stop, not a failure; a full disk is both. Broken log pipes are ignored.
let stdoutEnd: 'open' | 'closed' | NodeJS.ErrnoException = 'open';
const onStdoutError = (error: NodeJS.ErrnoException): void => {
  if (stdoutEnd !== 'open') return;
  stdoutEnd = error.code === 'EPIPE' ? 'closed' : error;
  stopRequest.stop('stdout was closed');
};
process.stdout.on('error', onStdoutError);
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
process.stdout.write('', (error) => {
  // It may be told here before it is an event.
  if (error) onStdoutError(error);
  if (typeof stdoutEnd === 'string') process.exit(exitCode);
  process.stderr.write(`ingot: the output is not complete, stdout cannot be written: ${stdoutEnd.message}\n`, () =>
    process.exit(exitCode || 1),
  );
});
