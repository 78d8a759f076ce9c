import { type ChildProcess, spawn } from 'node:child_process';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { runCli } from '../../src/cli/run-cli.ts';
import { stack } from './stack.ts';

// The CLI as a user starts it (a process of its own, with pipes), or run inside the test.

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface IngotProcess {
  readonly child: ChildProcess;
  /** Resolves with stdout so far when it matches; rejects when the process has ended or the deadline has passed without. */
  waitForOutput(pattern: RegExp): Promise<string>;
  readonly ended: Promise<Ended>;
}

const DEADLINE_MS = 120_000;

/** The environment of a command: nothing of the machine's settings, the test's components, and what is given. */
function environmentOf(more: Readonly<Record<string, string>>): Record<string, string> {
  const { kafkaBrokers, registryUrl, mosquittoUrl } = stack();
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: process.env['HOME'] ?? '',
    KAFKA_BROKERS: kafkaBrokers.join(','),
    SCHEMA_REGISTRY_URL: registryUrl,
    MQTT_URL: mosquittoUrl,
    LOG_LEVEL: 'warn',
    ...more,
  };
}

/** Starts `ingot` with these words. It is killed at a deadline, so that a test that waits for it ends. */
export function startIngot(words: readonly string[], environment: Readonly<Record<string, string>> = {}): IngotProcess {
  const args = ['--disable-warning=TimeoutNegativeWarning', 'src/cli/main.ts', ...words];
  const child = spawn(process.execPath, args, { cwd: root, env: environmentOf(environment), stdio: ['ignore', 'pipe', 'pipe'] });
  const { promise: ended, resolve } = Promise.withResolvers<Ended>();
  const deadline = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  let out = '';
  let err = '';
  let onChange = Promise.withResolvers<void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    onChange.resolve();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  child.on('close', (code) => {
    clearTimeout(deadline);
    resolve({ code, out, err });
    onChange.resolve();
  });
  const waitForOutput = async (pattern: RegExp) => {
    while (!pattern.test(out)) {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`ingot ${words.join(' ')} ended with ${child.exitCode ?? child.signalCode} before ${pattern}:\n${out}\n${err}`);
      }
      onChange = Promise.withResolvers();
      await onChange.promise;
    }
    return out;
  };
  return { child, ended, waitForOutput };
}

/** Runs a command to its end inside this process: everything but main.ts, without the cost of a start. */
export async function runIngot(words: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const stdout = new PassThrough({ highWaterMark: 16 * 1024 * 1024 });
  const stderr = new PassThrough();
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const code = await runCli({ words, environment: environmentOf(environment), stdout, stderr, signal });
  return { code, out: textOf(stdout), err: textOf(stderr) };
}

function textOf(stream: PassThrough): string {
  return (stream.read() as Buffer | null)?.toString('utf8') ?? '';
}

/** The objects of JSON lines. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
