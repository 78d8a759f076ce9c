import { createInterface } from 'node:readline';
import type { Config } from '../../config/settings-table.ts';
import { startSimulatorProgram } from '../simulator-program.ts';

// The simulated devices of `ingot up --simulate N`: a program of its own that talks MQTT, as real devices would.

export interface SimulationOptions {
  readonly mqtt: Config['mqtt'];
  /** Flags of the program besides `--progress`. */
  readonly flags: Readonly<Record<string, string | number | undefined>>;
  readonly signal: AbortSignal;
}

export interface Simulation {
  /** Readings that the MQTT broker has acknowledged so far. */
  acknowledged(): number;
  sent(): number;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
}

export function startSimulation({ mqtt, flags, signal }: SimulationOptions): Simulation {
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
  const ended = program.ended.then((code) => {
    if (code !== 0 && code < 128) throw new Error(`the simulated devices ended with ${code}: ${lastWords.trim()}`);
    return code;
  });
  return { acknowledged: () => counts.acked, sent: () => counts.sent, ended };
}

const LAST_WORDS_MAX = 4_000;
