import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

// `ingot up` writes where everything listens into its data folder; commands in another terminal read it, so that they need no
// configuration. A file whose writer has ended says nothing.

/** Addresses by the variable of the setting that they stand for, such as KAFKA_BROKERS. */
export type StackAddresses = Readonly<Record<string, string>>;

export interface StackFile {
  /** Process id of the writer. */
  readonly pid: number;
  readonly startedAt: string;
  readonly addresses: StackAddresses;
  /** Process ids of the children by component. */
  readonly children: Readonly<Record<string, number>>;
}

const NAME = 'stack.json';

/** Replaces the file at once: a reader sees the old one or the new one. */
export function writeStackFile(dataFolder: string, contents: Omit<StackFile, 'pid' | 'startedAt'>): void {
  const file: StackFile = { pid: process.pid, startedAt: new Date().toISOString(), ...contents };
  const making = join(dataFolder, `${NAME}.${process.pid}`);
  // An address may hold a password.
  writeFileSync(making, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  renameSync(making, join(dataFolder, NAME));
}

/** Removes the file if it is ours. */
export function removeStackFile(dataFolder: string): void {
  if (readStackFile(dataFolder)?.pid === process.pid) rmSync(join(dataFolder, NAME), { force: true });
}

/** What was written last, whether its writer lives or not; null when there is nothing readable. */
export function readStackFile(dataFolder: string): StackFile | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(join(dataFolder, NAME), 'utf8'));
  } catch {
    // No file, or one of another format: then there is no stack to find.
    return null;
  }
  return isStackFile(parsed) ? parsed : null;
}

/** The addresses of the stack that runs on this data folder; empty when none does. */
export function runningStackAddresses(dataFolder: string): StackAddresses {
  const file = readStackFile(dataFolder);
  return file !== null && isAlive(file.pid) ? file.addresses : {};
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function isStackFile(value: unknown): value is StackFile {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, addresses, children } = value as Partial<StackFile>;
  return Number.isSafeInteger(pid) && (pid ?? 0) > 0 && hasOnly(addresses, 'string') && hasOnly(children, 'number');
}

function hasOnly(value: unknown, type: 'string' | 'number'): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((each) => typeof each === type);
}
