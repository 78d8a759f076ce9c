import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../config/settings-table.ts';
import { IngotError } from '../../errors.ts';
import { startSimulatorProgram } from '../simulator-program.ts';

// The simulated devices of `ingot up --simulate N`: a program of its own that talks MQTT, as real devices would.

export interface SimulationOptions {
  readonly mqtt: Config['mqtt'];
  /** Flags of the program besides `--progress`. */
  readonly flags: Readonly<Record<string, string | number | undefined>>;
  /** They have no duration: an end without the signal is a failure. */
  readonly isEndless: boolean;
  readonly signal: AbortSignal;
}

export interface Simulation {
  /** Readings that the MQTT broker has acknowledged so far. */
  acknowledged(): number;
  sent(): number;
  /** Resolves when they have done what they were told, or were told to stop. IngotError `COMPONENT_FAILED` when they end otherwise. */
  readonly ended: Promise<void>;
}

export function startSimulation({ mqtt, flags, isEndless, signal }: SimulationOptions): Simulation {
  const args = Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
  const program = startSimulatorProgram({ args: ['run', '--progress=jsonl', ...args], mqtt, stdio: ['ignore', 'pipe', 'pipe'], signal });
  let counts = { sent: 0, acked: 0 };
  createInterface({ input: program.child.stdout! }).on('line', (line) => {
    counts = JSON.parse(line) as typeof counts;
  });
  // What the program says to people is said here by the block; its last words matter when it fails.
  let lastWords = '';
  program.child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-LAST_WORDS_MAX);
  });
  const ended = program.ended.then(async (code) => {
    if (code === 0 && !isEndless) return;
    // Ctrl-C on a terminal reaches the program too, and we may hear of its end before we hear of the signal.
    if (!signal.aborted) await sleep(SIGNAL_REACHES_US_MS, undefined, { ref: false });
    if (signal.aborted) return;
    throw new IngotError('COMPONENT_FAILED', `The simulated devices ended by themselves (${howItEnded(code)}). ${lastWords.trim()}`);
  });
  return { acknowledged: () => counts.acked, sent: () => counts.sent, ended };
}

function howItEnded(code: number): string {
  return code > 128 ? `signal ${code - 128}` : `exit code ${code}`;
}

const SIGNAL_REACHES_US_MS = 500;
const LAST_WORDS_MAX = 4_000;
