import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { readStackFile, type StackFile } from '../../src/local-stack/stack-file.ts';
import { waitUntil } from './wait-until.ts';

// `./ingot` as a user types it: a process of its own without any configuration but a data folder.

const root = fileURLToPath(new URL('../..', import.meta.url));

export type Environment = Readonly<Record<string, string>>;

export interface CommandEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly tookMs: number;
}

export interface UpProcess {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  /** Rejects when the process ends without having said so. */
  said(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  readonly ended: Promise<CommandEnd>;
}

const START_DEADLINE_MS = 150_000;

const running = new Set<ChildProcess>();

/** For a test that failed: what it has started must not disturb the next one. Their children end with them. */
export function killWhatStillRuns(): void {
  for (const child of running) child.kill('SIGKILL');
}

export function startCommand(words: readonly string[], environment: Environment): UpProcess {
  const startedAtMs = performance.now();
  const child = spawn('./ingot', [...words], { cwd: root, env: bareEnvironment(environment), stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  let hasEnded = false;
  const ended = once(child, 'close').then(([code]): CommandEnd => {
    hasEnded = true;
    running.delete(child);
    return { code: code as number | null, out, err, tookMs: performance.now() - startedAtMs };
  });
  const said = async (pattern: RegExp, deadlineMs = START_DEADLINE_MS): Promise<RegExpExecArray> => {
    try {
      return await waitUntil(
        () => pattern.exec(out) ?? (hasEnded ? Promise.reject(new Error('it has ended')) : null),
        `${pattern}`,
        deadlineMs,
      );
    } catch (error) {
      throw new Error(`ingot ${words.join(' ')} did not say ${pattern} (${(error as Error).message}):\n${out}\n${err}`);
    }
  };
  return { child, out: () => out, err: () => err, said, ended };
}

/** Runs a command to its end. */
export function runCommand(words: readonly string[], environment: Environment): Promise<CommandEnd> {
  return startCommand(words, environment).ended;
}

function bareEnvironment(environment: Environment): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, HTTP_PORT: '0', ...environment };
}

/** Ids of the processes whose command line names this text: a folder, for example. */
export function processesNaming(text: string): number[] {
  return processTable().flatMap(({ pid, command }) => (command.includes(text) ? [pid] : []));
}

/** Ids of the children of a process whose command line names this text. */
export function childrenNaming(parent: number, text: string): number[] {
  return processTable().flatMap(({ pid, ppid, command }) => (ppid === parent && command.includes(text) ? [pid] : []));
}

function processTable(): { readonly pid: number; readonly ppid: number; readonly command: string }[] {
  const table = execFileSync('ps', ['-ww', '-eo', 'pid=,ppid=,args='], { encoding: 'utf8' });
  return [...table.matchAll(/^\s*(\d+)\s+(\d+)\s+(.*)$/gm)].map(([, pid, ppid, command]) => ({
    pid: Number(pid),
    ppid: Number(ppid),
    command: command!,
  }));
}

/** Where a running stack listens. */
export function stackFileOf(dataFolder: string): StackFile {
  const file = readStackFile(dataFolder);
  if (file === null) throw new Error(`no stack runs on ${dataFolder}`);
  return file;
}
