import { setTimeout as sleep } from 'node:timers/promises';
import type { DrainStep } from '../../ops/shutdown.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import { verifyTruth } from '../verify-truth.ts';
import { followAlerts } from './alert-lines.ts';
import type { LiveTerminal } from './live-terminal.ts';
import { type Pipeline, startPipeline } from './pipeline.ts';
import { type Simulation, startSimulation } from './simulation.ts';
import type { StartProgress } from './start-progress.ts';
import { isLedgerBalanced, statusBlock } from './status-block.ts';
import { StatusDisplay } from './status-display.ts';

// `ingot up` once Kafka, the registry and the MQTT broker are there: the pipeline, the simulated devices, what the terminal shows, and the end.

const QUIET_POLL_MS = 100;
/** The pipeline counts as quiet when it was for this long. */
const QUIET_FOR_MS = 500;
/** On top of the time after which a silent device has its windows closed. */
const QUIET_PATIENCE_MS = 30_000;
const VERIFY_FAILED = 4;

export interface UpOptions {
  /** 0: no simulated devices. */
  readonly devices: number;
  readonly durationMs: number | null;
  readonly verify: boolean;
  readonly truthPath: string;
  readonly simulatorFlags: Readonly<Record<string, string | number | undefined>>;
  readonly withPage: boolean;
  readonly progress: StartProgress;
  readonly screen: LiveTerminal;
  readonly isTerminal: boolean;
  readonly useColor: boolean;
  readonly stderr: NodeJS.WritableStream;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** Lines to print when everything runs: where it listens and what to try. */
  readonly welcome: (httpUrl: string) => readonly string[];
}

export interface UpResult {
  /** Of the run with --duration, and of its comparison with what was sent; null when it did not come to that. */
  exitCode: number | null;
}

/** Starts everything; the role ends by itself when a duration is given. `result` is filled then. */
export async function startUp(surroundings: RoleSurroundings, options: UpOptions, result: UpResult): Promise<RunningRole> {
  const { screen, progress, useColor, withPage } = options;
  const pipeline = await startPipeline(surroundings, { withPage, progress });
  progress.end();
  const looking = new AbortController();
  const print = (line: string): void => screen.print(line);
  const alerts = followAlerts(surroundings.config, { signal: looking.signal, print, useColor });
  alerts.catch((error: Error) => screen.print(`alerts cannot be shown: ${error.message}`));
  screen.print(...options.welcome(surroundings.httpUrl));
  const simulatorStop = new AbortController();
  const simulation = options.devices > 0 ? simulate(surroundings, options, simulatorStop.signal) : null;
  const status = new StatusDisplay(pipeline, options);
  const stopSimulator = async (): Promise<void> => {
    simulatorStop.abort();
    await simulation?.ended.catch(() => undefined);
  };
  const stopLooking = async (): Promise<void> => {
    looking.abort();
    await alerts.catch(() => undefined);
    if (result.exitCode !== null) return;
    status.endForSummary();
    if (simulation !== null) screen.print(`the devices have sent ${simulation.sent()} readings, ${simulation.acknowledged()} acknowledged`);
    screen.print(...summaryLines(pipeline, useColor), '');
  };
  const steps = [...(simulation === null ? [] : [{ name: 'simulated devices', stop: stopSimulator }]), ...pipeline.drainSteps];
  return {
    ended: Promise.race([
      pipeline.ended,
      ...(simulation === null ? [] : [endOf(simulation, { surroundings, options, pipeline, status, result })]),
    ]),
    drainSteps: [...steps.map((step) => shown(step, status)), { name: 'terminal', stop: stopLooking }],
    routes: pipeline.routes ?? [],
  };
}

/** The step, named on the terminal while it lasts. */
function shown({ name, stop }: DrainStep, status: StatusDisplay): DrainStep {
  return {
    name,
    stop: (remainingMs) => {
      status.showStopping(name);
      return stop(remainingMs);
    },
  };
}

function simulate({ config }: RoleSurroundings, options: UpOptions, signal: AbortSignal): Simulation {
  const { devices, durationMs, verify, truthPath, simulatorFlags } = options;
  const flags = {
    devices,
    ...simulatorFlags,
    duration: durationMs === null ? undefined : `${durationMs}ms`,
    truth: verify ? truthPath : undefined,
  };
  return startSimulation({ mqtt: config.mqtt, flags, isEndless: durationMs === null, signal });
}

interface Run {
  readonly surroundings: RoleSurroundings;
  readonly options: UpOptions;
  readonly pipeline: Pipeline;
  readonly status: StatusDisplay;
  readonly result: UpResult;
}

/** Resolves when a run with a duration has come to its end; rejects when the devices fail. */
async function endOf(simulation: Simulation, run: Run): Promise<void> {
  const { options } = run;
  await simulation.ended;
  if (options.signal.aborted) return;
  options.screen.print(
    `the devices have stopped: ${simulation.sent()} readings sent, ${simulation.acknowledged()} acknowledged; waiting for the last windows to close by idleness`,
  );
  await finish(simulation, run);
}

/** Everything that is under way comes to its end, and is compared with what was sent. Ctrl-C ends it without a result. */
async function finish(simulation: Simulation, { surroundings, options, pipeline, status, result }: Run): Promise<void> {
  const { screen, signal, useColor } = options;
  const { windowSize, patienceMs } = quietTimes(surroundings);
  const isQuiet = await becomesQuiet(() => pipeline.isQuiet() && arrived(pipeline) >= simulation.acknowledged(), { patienceMs, signal });
  if (signal.aborted) return;
  const now = pipeline.snapshot();
  const summary = summaryLines(pipeline, useColor);
  let exitCode = isLedgerBalanced(now) && isQuiet ? 0 : VERIFY_FAILED;
  if (!isQuiet) summary.push('', `  not everything came to its end within ${Math.round(patienceMs / 1000)} s`);
  if (options.verify) {
    const verdict = await verifyTruth(surroundings.config, {
      truthPath: options.truthPath,
      windowSizeMs: windowSize,
      since: { kind: 'beginning' },
      output: 'text',
      show: 20,
      signal,
      stderr: options.stderr,
    });
    if (signal.aborted) return;
    if (verdict.exitCode !== 0) exitCode = verdict.exitCode;
    summary.push('', verdict.report.trimEnd());
  }
  status.endForSummary();
  screen.print(...summary, '');
  result.exitCode = exitCode;
}

function summaryLines(pipeline: Pipeline, useColor: boolean): string[] {
  return ['', 'Summary', ...statusBlock(pipeline.snapshot(), { perSecond: null, useColor, stopping: null })];
}

function arrived(pipeline: Pipeline): number {
  const { produced, deadLettered } = pipeline.snapshot().bridge;
  return produced + deadLettered;
}

function quietTimes({ config }: RoleSurroundings): { windowSize: number; patienceMs: number } {
  const { sizeMs, graceMs, idleMs } = config.window;
  return { windowSize: sizeMs, patienceMs: sizeMs + graceMs + idleMs + QUIET_PATIENCE_MS };
}

async function becomesQuiet(isQuiet: () => boolean, { patienceMs, signal }: { patienceMs: number; signal: AbortSignal }): Promise<boolean> {
  const deadlineMs = performance.now() + patienceMs;
  let quietSinceMs: number | null = null;
  while (performance.now() < deadlineMs && !signal.aborted) {
    const nowMs = performance.now();
    quietSinceMs = isQuiet() ? (quietSinceMs ?? nowMs) : null;
    if (quietSinceMs !== null && nowMs - quietSinceMs >= QUIET_FOR_MS) return true;
    await sleep(QUIET_POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}
