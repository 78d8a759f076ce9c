import { setTimeout as sleep } from 'node:timers/promises';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import { verifyTruth } from '../verify-truth.ts';
import { followAlerts } from './alert-lines.ts';
import type { LiveTerminal } from './live-terminal.ts';
import { type Pipeline, startPipeline } from './pipeline.ts';
import { type Simulation, startSimulation } from './simulation.ts';
import { isLedgerBalanced, statusBlock, statusLine } from './status-block.ts';

// `ingot up` once Kafka, the registry and the MQTT broker are there: the pipeline, the simulated devices, what the terminal shows, and the end.

const BLOCK_INTERVAL_MS = 500;
const LINE_INTERVAL_MS = 5_000;
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
  readonly screen: LiveTerminal;
  readonly isTerminal: boolean;
  readonly stderr: NodeJS.WritableStream;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
  /** Lines to print when everything runs: where it listens and what to try. */
  readonly welcome: (httpUrl: string) => readonly string[];
}

export interface UpResult {
  /** Of the comparison with what was sent; 0 when none was asked for. */
  exitCode: number;
}

/** Starts everything; the role ends by itself when a duration is given. `result` is filled then. */
export async function startUp(surroundings: RoleSurroundings, options: UpOptions, result: UpResult): Promise<RunningRole> {
  const { screen } = options;
  const pipeline = await startPipeline(surroundings, { withPage: options.withPage });
  const looking = new AbortController();
  const alerts = followAlerts(surroundings.config, { signal: looking.signal, print: (line) => screen.print(line) });
  alerts.catch((error: Error) => screen.print(`alerts cannot be shown: ${error.message}`));
  screen.print(...options.welcome(surroundings.httpUrl));
  const simulatorStop = new AbortController();
  const simulation = options.devices > 0 ? simulate(surroundings, options, simulatorStop.signal) : null;
  const status = showStatus(pipeline, options);
  const plan =
    simulation === null || options.durationMs === null
      ? new Promise<void>(() => undefined)
      : finish({ surroundings, options, pipeline, simulation, result });
  const simulatorFailed = simulation === null ? [] : [simulation.ended.then(() => new Promise<never>(() => undefined))];
  const stopSimulator = async (): Promise<void> => {
    simulatorStop.abort();
    await simulation?.ended.catch(() => undefined);
  };
  const stopLooking = async (): Promise<void> => {
    looking.abort();
    clearInterval(status);
    await alerts.catch(() => undefined);
    screen.end();
  };
  return {
    ended: Promise.race([pipeline.ended, plan, ...simulatorFailed]),
    drainSteps: [{ name: 'simulated devices', stop: stopSimulator }, ...pipeline.drainSteps, { name: 'terminal', stop: stopLooking }],
    routes: pipeline.routes ?? [],
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
  return startSimulation({ mqtt: config.mqtt, flags, signal });
}

function showStatus(pipeline: Pipeline, { screen, isTerminal }: UpOptions): NodeJS.Timeout {
  let before = { received: 0, atMs: performance.now() };
  const show = (): void => {
    const now = pipeline.snapshot();
    const atMs = performance.now();
    const perSecond = ((now.bridge.received - before.received) * 1000) / Math.max(1, atMs - before.atMs);
    before = { received: now.bridge.received, atMs };
    if (isTerminal) screen.show(['', ...statusBlock(now, perSecond)]);
    else screen.print(statusLine(now, perSecond));
  };
  return setInterval(show, isTerminal ? BLOCK_INTERVAL_MS : LINE_INTERVAL_MS);
}

interface Finish {
  readonly surroundings: RoleSurroundings;
  readonly options: UpOptions;
  readonly pipeline: Pipeline;
  readonly simulation: Simulation;
  readonly result: UpResult;
}

/** The devices end by themselves; then everything that is under way comes to its end, and is compared with what was sent. */
async function finish({ surroundings, options, pipeline, simulation, result }: Finish): Promise<void> {
  const { screen, signal } = options;
  await simulation.ended;
  screen.print(
    `the devices have stopped: ${simulation.sent()} readings sent, ${simulation.acknowledged()} acknowledged; waiting for the last windows to close by idleness`,
  );
  const { windowSize, patienceMs } = quietTimes(surroundings);
  const isQuiet = await becomesQuiet(() => pipeline.isQuiet() && arrived(pipeline) >= simulation.acknowledged(), { patienceMs, signal });
  const now = pipeline.snapshot();
  const summary = [...statusBlock(now, 0)];
  if (!isQuiet && !signal.aborted) {
    result.exitCode = VERIFY_FAILED;
    summary.push('', `  not everything came to its end within ${Math.round(patienceMs / 1000)} s`);
  }
  if (!isLedgerBalanced(now)) result.exitCode = VERIFY_FAILED;
  if (options.verify && !signal.aborted) {
    const verdict = await verifyTruth(surroundings.config, {
      truthPath: options.truthPath,
      windowSizeMs: windowSize,
      since: { kind: 'beginning' },
      output: 'text',
      show: 20,
      signal,
      stderr: options.stderr,
    });
    if (verdict.exitCode !== 0) result.exitCode = verdict.exitCode;
    summary.push('', verdict.report.trimEnd());
  }
  screen.end();
  screen.print('', 'Summary', ...summary);
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
