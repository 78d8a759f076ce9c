import { endOnUncaught, watchStopSignals } from '../ops/shutdown.ts';
import { runCli } from './run-cli.ts';

// The program: connects the CLI to this process.

endOnUncaught();
const stopRequest = watchStopSignals();

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
  onConfig: (loaded) => {
    if (loaded.config) stopRequest.setDeadline(loaded.config.instance.shutdownTimeoutMs);
  },
});

// Client libraries keep sockets and timers open, so the process is ended rather than waited for, after stdout has taken everything.
process.stdout.write('', () => process.exit(isStdoutGone ? 0 : exitCode));
