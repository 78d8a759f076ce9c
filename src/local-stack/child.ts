import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import { guardChild, releaseChild } from './orphan-guard.ts';

// One component as a child process: its output goes to a file, it is ready when it answers, it stops within a deadline, and when it
// dies by itself the error has the end of its log.

export interface ChildOptions {
  /** How messages call it: `Kafka`. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** Added to the few variables that every child gets. Ours are not passed on: some components read settings from any variable. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Its own folder, where also its process id is kept while it runs. */
  readonly workFolder: string;
  /** Its stdout and stderr. That of the start before is kept with the ending `.previous`. */
  readonly logFile: string;
  /** User and group id to run under, when we are root and the program refuses to be. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Asked until it resolves with true; a rejection counts as not yet. */
  isReady(): Promise<boolean>;
  readonly readyDeadlineMs: number;
  /** Asks for an orderly end. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** After this time in stop() it is killed. */
  readonly stopDeadlineMs: number;
  /** Gives the start up. */
  readonly signal?: AbortSignal | undefined;
  /** Called once when it ends by itself after it was ready. */
  readonly onCrash?: ((error: IngotError) => void) | undefined;
}

export interface RunningChild {
  readonly name: string;
  readonly pid: number;
  /** Resolves when it has ended; never rejects. May be called again. */
  stop(): Promise<void>;
  /** kill -9, for tests of faults. It is not reported as a crash. Resolves when it has ended. */
  kill(): Promise<void>;
}

/** In the folder of each child: data-folder.ts finds by it what a killed process left behind. */
export const PID_FILE = 'pid';

const POLL_MS = 50;
const LOG_TAIL_BYTES = 4_000;
const PASSED_ON = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'TZ', 'JAVA_HOME'];

/** Starts a child and resolves when it is ready. IngotError `COMPONENT_FAILED` when it ends, the deadline passes or the signal comes before. */
export async function startChild(options: ChildOptions): Promise<RunningChild> {
  const child = spawnWithLog(options);
  const ended = Promise.withResolvers<string>();
  child.once('error', (error) => ended.resolve(error.message));
  child.once('exit', (code, signal) => ended.resolve(signal === null ? `exit code ${code}` : signal));
  const { pid } = child;
  if (pid === undefined) throw failure(options, `could not be started: ${await ended.promise}`);
  guardChild(pid);
  const pidFile = join(options.workFolder, PID_FILE);
  writeFileSync(pidFile, `${pid}\n`);
  let phase: 'starting' | 'ready' | 'stopping' | 'ended' = 'starting';
  void ended.promise.then((how) => {
    const crashed = phase === 'ready';
    phase = 'ended';
    releaseChild(pid);
    rmSync(pidFile, { force: true });
    if (crashed) options.onCrash?.(failure(options, `ended by itself (${how})`));
  });
  const endWith = async (signal: NodeJS.Signals): Promise<void> => {
    if (phase === 'ended') return;
    phase = 'stopping';
    signalGroup(pid, signal);
    const killing = setTimeout(() => signalGroup(pid, 'SIGKILL'), options.stopDeadlineMs);
    await ended.promise;
    clearTimeout(killing);
  };
  const outcome = await readyOrEnded(options, ended.promise);
  if (outcome !== 'ready') {
    await endWith('SIGKILL');
    throw failure(options, outcome);
  }
  phase = 'ready';
  return {
    name: options.name,
    pid,
    stop: () => endWith(options.stopSignal ?? 'SIGTERM'),
    kill: () => endWith('SIGKILL'),
  };
}

function spawnWithLog({ program, args, environment, workFolder, logFile, user }: ChildOptions): ChildProcess {
  mkdirSync(dirname(logFile), { recursive: true });
  try {
    renameSync(logFile, `${logFile}.previous`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const logFd = openSync(logFile, 'w');
  try {
    const passedOn = PASSED_ON.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
    return spawn(program, args, {
      cwd: workFolder,
      env: { ...Object.fromEntries(passedOn), ...environment },
      stdio: ['ignore', logFd, logFd],
      // A process group of its own: Ctrl-C in the terminal must not stop Kafka before what still writes to it.
      detached: true,
      ...user,
    });
  } finally {
    closeSync(logFd);
  }
}

/** `ready`, or what happened instead. */
async function readyOrEnded({ isReady, readyDeadlineMs, signal }: ChildOptions, ended: Promise<string>): Promise<string> {
  const deadline = performance.now() + readyDeadlineMs;
  const endedEarly = ended.then((how) => `ended before it was ready (${how})`);
  const asked = async (): Promise<string> => ((await isReady().catch(() => false)) ? 'ready' : 'not yet');
  while (performance.now() < deadline) {
    if (signal?.aborted) return 'was told to stop before it was ready';
    const outcome = await Promise.race([endedEarly, asked()]);
    if (outcome !== 'not yet') return outcome;
    await Promise.race([endedEarly, wait(POLL_MS)]);
  }
  return `did not answer within ${readyDeadlineMs / 1000} s`;
}

/** Signals a child and what it has started. One that is gone is none of our business. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function failure({ name, logFile }: ChildOptions, what: string): IngotError {
  const tail = logTail(logFile);
  return new IngotError('COMPONENT_FAILED', `${name} ${what}. The end of ${logFile}:\n${tail}`, { details: { component: name, logFile } });
}

function logTail(logFile: string): string {
  let fd: number;
  try {
    fd = openSync(logFile, 'r');
  } catch {
    return '(no log)';
  }
  try {
    const size = fstatSync(fd).size;
    const buffer = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
    const length = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    const lines = buffer.toString('utf8', 0, length).trimEnd().split('\n');
    return lines
      .slice(-15)
      .map((line) => `  ${line}`)
      .join('\n');
  } finally {
    closeSync(fd);
  }
}
