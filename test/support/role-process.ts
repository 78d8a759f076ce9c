import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { waitUntil } from './wait-until.ts';

const mainPath = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** A command of the CLI as a process of its own. */
export interface RoleProcess {
  readonly child: ChildProcess;
  /** What it has logged so far. */
  log(): string;
  /** Waits for a line of its log. */
  logged(text: string): Promise<void>;
  kill(): Promise<void>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** Waits until it has ended by itself; resolves with the exit code. Rejects at the deadline. */
  ended(deadlineMs?: number): Promise<number | null>;
}

export function startRole(command: string, env: Readonly<Record<string, string>>): RoleProcess {
  const child = spawn(process.execPath, [mainPath, ...command.split(' ')], {
    env: { PATH: process.env['PATH'], LOG_FORMAT: 'json', HTTP_PORT: '0', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (hasEnded()) return child.exitCode;
    child.kill(signal);
    await once(child, 'exit');
    return child.exitCode;
  };
  return {
    child,
    log: () => text,
    logged: async (wanted) => {
      await waitUntil(
        () => {
          if (hasEnded()) throw new Error(`${command} ended:\n${text}`);
          return text.includes(wanted);
        },
        `'${wanted}' in the log of ${command}`,
        120_000,
      );
    },
    kill: async () => {
      await end('SIGKILL');
    },
    stop: () => end('SIGTERM'),
    ended: async (deadlineMs = 120_000) => {
      await waitUntil(hasEnded, `the end of ${command}`, deadlineMs);
      return child.exitCode;
    },
  };
}
