import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/local-stack/ports.ts';
import type { Bench } from './bench.ts';
import { type ProcessCost, processCost } from './process-cost.ts';
import { waitUntil } from './wait-until.ts';

// The processes that are measured: a role of Ingot as a user starts it, or a script to compare it with.

export interface Contender {
  readonly child: ChildProcess;
  /** So far. */
  cost(): ProcessCost;
  hasEnded(): boolean;
  /** Asks it to end, kills it at a deadline. */
  end(): Promise<void>;
}

const launcher = fileURLToPath(new URL('../../ingot', import.meta.url));
const END_DEADLINE_MS = 15_000;

export interface Role extends Contender {
  /** Resolves when every dependency of the role is up. */
  ready(): Promise<void>;
}

export interface RoleOptions {
  /** `bridge` or `aggregate`, with flags. */
  readonly words: readonly string[];
  readonly prefix: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Gets the log instead of the terminal. */
  readonly onLogLine?: (line: string) => void;
}

/** Starts `./ingot` as a user does. */
export async function startRole(bench: Bench, { words, prefix, environment, onLogLine }: RoleOptions): Promise<Role> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'ingot-bench-role-'));
  const port = await freePort();
  const settings = {
    ...addresses(bench, prefix),
    INSTANCE_ID: '1',
    DATA_FOLDER: dataFolder,
    SCHEMA_AUTO_REGISTER: 'true',
    HTTP_PORT: String(port),
    LOG_LEVEL: 'warn',
    ...(bench.profileFolder === null ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${bench.profileFolder}` }),
    ...environment,
  };
  const stderr = onLogLine === undefined ? 'inherit' : 'pipe';
  const child = spawn(launcher, words, { env: { ...process.env, ...settings }, stdio: ['ignore', 'ignore', stderr] });
  if (onLogLine !== undefined) createInterface({ input: child.stderr! }).on('line', onLogLine);
  child.once('exit', () => rmSync(dataFolder, { recursive: true, force: true }));
  const role = contender(child);
  const isReady = async (): Promise<boolean> => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    return answer?.ok === true;
  };
  const ready = (): Promise<void> => waitUntil(`ingot ${words.join(' ')} is ready`, isReady, { isOver: role.hasEnded });
  return Object.assign(role, { ready });
}

export interface ScriptOptions {
  readonly prefix: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A script of ours with an IPC channel. It may say when it is ready. */
export function startScript(bench: Bench, file: URL, { prefix, environment }: ScriptOptions): Contender {
  const child = spawn(process.execPath, ['--disable-warning=TimeoutNegativeWarning', fileURLToPath(file)], {
    env: { ...process.env, ...addresses(bench, prefix), KAFKAJS_NO_PARTITIONER_WARNING: '1', ...environment },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  return contender(child);
}

function addresses({ components }: Bench, prefix: string): Record<string, string> {
  return {
    MQTT_URL: components.mqttUrl,
    MQTT_CLIENT_ID: prefix,
    KAFKA_BROKERS: components.kafkaBrokers.join(','),
    SCHEMA_REGISTRY_URL: components.registryUrl,
    KAFKA_TOPIC_PREFIX: prefix,
  };
}

function contender(child: ChildProcess): Contender {
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    child,
    cost: () => processCost(child.pid!),
    hasEnded,
    end: async () => {
      if (hasEnded()) return;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      const timer = setTimeout(() => child.kill('SIGKILL'), END_DEADLINE_MS);
      child.kill('SIGTERM');
      await exited;
      clearTimeout(timer);
    },
  };
}
