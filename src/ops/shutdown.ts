import { log } from './log.ts';

// How a process ends: the first SIGINT or SIGTERM asks for a drain, the second ends it at once; what nobody caught is logged and
// ends it with 1.

const SIGNAL_EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;
type StopSignal = keyof typeof SIGNAL_EXIT_CODES;

export interface StopRequest {
  /** Aborted by the first signal; its reason is the signal's name. */
  readonly signal: AbortSignal;
  /** The same as a first signal, for other causes, such as a closed stdout. */
  stop(reason: string): void;
  /** From now on a drain may take this long; then the process ends, and says so unless there was nothing to drain. */
  setDeadline(deadlineMs: number, isQuiet?: boolean): void;
}

/** Beyond a drain's own deadline: what the last steps may take before the process is ended from here. */
const LAST_RESORT_MS = 3_000;

export interface StopSignalOptions {
  readonly exit?: (code: number) => void;
  /** A signal that comes so soon after the first one is the same request, passed on by a parent that got it too. */
  readonly sameRequestMs?: number;
}

/** Listens for the signals of this process. Call once, first thing. */
export function watchStopSignals({ exit = process.exit, sameRequestMs = 0 }: StopSignalOptions = {}): StopRequest {
  const controller = new AbortController();
  let firstAtMs = 0;
  let deadline: { readonly ms: number; readonly isQuiet: boolean } | null = null;
  const begin = (reason: string, exitCode: number): void => {
    controller.abort(reason);
    if (deadline === null) return;
    const { ms: deadlineMs, isQuiet } = deadline;
    const end = (): void => {
      if (!isQuiet) log('shutdown').error({ deadlineMs }, 'draining took longer than SHUTDOWN_TIMEOUT; ending without it');
      exit(exitCode);
    };
    setTimeout(end, isQuiet ? deadlineMs : deadlineMs + LAST_RESORT_MS).unref();
  };
  for (const name of Object.keys(SIGNAL_EXIT_CODES) as StopSignal[]) {
    process.on(name, () => {
      if (!controller.signal.aborted) {
        firstAtMs = performance.now();
        begin(name, SIGNAL_EXIT_CODES[name]);
      } else if (performance.now() - firstAtMs >= sameRequestMs) {
        exit(SIGNAL_EXIT_CODES[name]);
      }
    });
  }
  return {
    signal: controller.signal,
    stop: (reason) => {
      if (!controller.signal.aborted) begin(reason, 1);
    },
    setDeadline: (ms, isQuiet = false) => {
      deadline = { ms, isQuiet };
    },
  };
}

/** Whatever was not caught is a bug: it is logged with its stack and the process ends with 1. */
export function endOnUncaught(exit: (code: number) => void = process.exit): void {
  const end = (kind: string) => (error: unknown) => {
    log('process').fatal({ err: error instanceof Error ? { message: error.message, stack: error.stack } : String(error) }, kind);
    exit(1);
  };
  process.on('uncaughtException', end('uncaught exception'));
  process.on('unhandledRejection', end('unhandled rejection'));
}

export interface DrainStep {
  readonly name: string;
  /** Must settle within the time given; what comes later is not waited for. */
  stop(remainingMs: number): Promise<void>;
}

/**
 * Runs the steps one after the other, in the order of the flow. A step that fails or takes longer than what is left is logged, and the
 * next ones still run. Resolves with the names of the steps that did not end well.
 */
export async function drainInOrder(steps: readonly DrainStep[], deadlineMs: number): Promise<readonly string[]> {
  const startedAtMs = performance.now();
  const failed: string[] = [];
  for (const step of steps) {
    const remainingMs = Math.max(0, deadlineMs - (performance.now() - startedAtMs));
    const outcome = await stopWithin(step, remainingMs);
    if (outcome === 'done') continue;
    failed.push(step.name);
    log('shutdown').error({ step: step.name, outcome }, 'a step of the shutdown did not end well');
  }
  const tookMs = Math.round(performance.now() - startedAtMs);
  log('shutdown').info({ tookMs, failed }, failed.length === 0 ? 'drained' : 'ended without draining completely');
  return failed;
}

/** A step gets at least a moment, so that one slow step does not keep the later ones from closing what they hold. */
const LEAST_STEP_MS = 250;

async function stopWithin(step: DrainStep, remainingMs: number): Promise<string> {
  const { promise: deadline, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve('deadline passed'), Math.max(remainingMs, LEAST_STEP_MS));
  try {
    const stopping = Promise.resolve()
      .then(() => step.stop(remainingMs))
      .then(
        () => 'done',
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
    return await Promise.race([stopping, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
