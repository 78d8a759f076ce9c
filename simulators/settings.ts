import { parseArgs } from 'node:util';
import { DEFAULT_CYCLE_MS, SCENARIOS, type Scenario } from './scenarios.ts';

// The flags of the two programs in main.ts, checked. The CLI's `ingot simulate` and `ingot verify` pass them on.

export class UsageError extends Error {}

export interface RunSettings {
  readonly url: string;
  readonly devices: number;
  readonly ratePerSecond: number;
  readonly seed: number;
  readonly durationMs: number;
  readonly scenario: Scenario;
  readonly cycleMs: number;
  readonly namePrefix: string;
  readonly connectionsMax: number;
  readonly inFlightMax: number;
  readonly truthPath: string | null;
  readonly replay: ReplaySettings | null;
  readonly progress: 'text' | 'jsonl';
}

export interface ReplaySettings {
  readonly path: string;
  readonly metric: string;
  readonly device: string;
  readonly speed: number | 'max';
}

/** Readings per second of one device when no rate is given. */
const DEVICE_RATE_PER_SECOND = 2;
const METRIC_PATTERN = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
/** A hyphen and the number of the device follow. */
const PREFIX_PATTERN = /^[A-Za-z0-9._:-]{1,100}$/;
const DEVICE_PATTERN = /^[A-Za-z0-9._:-]{1,128}$/;

type Flags = Readonly<Record<string, string | undefined>>;

/** Throws UsageError, which names the flag, what was given and what is allowed. */
export function parseRunSettings(argv: readonly string[], env: NodeJS.ProcessEnv): RunSettings {
  const names = ['url', 'devices', 'rate', 'seed', 'duration', 'scenario', 'cycle', 'prefix', 'connections', 'in-flight', 'truth'];
  const flags = parseFlags(argv, [...names, 'replay', 'metric', 'device', 'speed', 'progress']);
  const replay = replaySettings(flags);
  const devices = replay === null ? integer(flags, 'devices', 10, { min: 1, max: 1_000_000 }) : 1;
  return {
    url: flags['url'] ?? env['MQTT_URL'] ?? 'mqtt://127.0.0.1:1883',
    devices,
    ratePerSecond: number(flags, 'rate', devices * DEVICE_RATE_PER_SECOND, { min: 0.001, max: 1_000_000 }),
    seed: integer(flags, 'seed', 1, { min: 0, max: 4_294_967_295 }),
    durationMs: duration(flags, 'duration', Number.POSITIVE_INFINITY),
    scenario: choice(flags, 'scenario', SCENARIOS, 'mix'),
    cycleMs: duration(flags, 'cycle', DEFAULT_CYCLE_MS),
    namePrefix: pattern(flags, 'prefix', 'sim', PREFIX_PATTERN),
    connectionsMax: integer(flags, 'connections', 200, { min: 1, max: 20_000 }),
    inFlightMax: integer(flags, 'in-flight', 64, { min: 1, max: 65_535 }),
    truthPath: flags['truth'] ?? null,
    replay,
    progress: choice(flags, 'progress', ['text', 'jsonl'] as const, 'text'),
  };
}

function replaySettings(flags: Flags): ReplaySettings | null {
  const path = flags['replay'];
  if (path === undefined) {
    for (const name of ['metric', 'device', 'speed'])
      if (flags[name] !== undefined) throw new UsageError(`--${name} only goes with --replay FILE`);
    return null;
  }
  for (const name of ['devices', 'rate', 'scenario', 'cycle', 'duration', 'prefix']) {
    if (flags[name] !== undefined) throw new UsageError(`--${name} does not go with --replay: the file says what is sent and when`);
  }
  const speed = flags['speed'] ?? 'max';
  return {
    path,
    metric: pattern(flags, 'metric', 'temperature', METRIC_PATTERN),
    device: pattern(flags, 'device', 'replay-0001', DEVICE_PATTERN),
    speed: speed === 'max' ? 'max' : number(flags, 'speed', 1, { min: 0.001, max: 1e9 }),
  };
}

/** Values of the named flags; anything else is an error. */
export function parseFlags(argv: readonly string[], names: readonly string[]): Flags {
  try {
    const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values as Flags;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

interface Range {
  readonly min: number;
  readonly max: number;
}

function number(flags: Flags, name: string, fallback: number, range: Range): number {
  const text = flags[name];
  if (text === undefined) return fallback;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= range.min && value <= range.max) return value;
  throw new UsageError(`--${name} is '${text}'; allowed is a number from ${range.min} to ${range.max}`);
}

function integer(flags: Flags, name: string, fallback: number, range: Range): number {
  const value = number(flags, name, fallback, range);
  if (Number.isInteger(value)) return value;
  throw new UsageError(`--${name} is '${flags[name]}'; allowed is a whole number from ${range.min} to ${range.max}`);
}

/** `250ms`, `30s`, `5m`, `2h`; milliseconds. */
export function duration(flags: Flags, name: string, fallback: number): number {
  const text = flags[name];
  if (text === undefined) return fallback;
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[parts?.[2] ?? ''];
  const value = Number(parts?.[1]) * (unitMs ?? Number.NaN);
  if (value > 0) return value;
  throw new UsageError(`--${name} is '${text}'; allowed is a time such as 250ms, 30s, 5m`);
}

function choice<const Choice extends string>(flags: Flags, name: string, choices: readonly Choice[], fallback: Choice): Choice {
  const text = flags[name] ?? fallback;
  const found = choices.find((candidate) => candidate === text);
  if (found !== undefined) return found;
  throw new UsageError(`--${name} is '${text}'; allowed is one of ${choices.join(', ')}`);
}

function pattern(flags: Flags, name: string, fallback: string, allowed: RegExp): string {
  const text = flags[name] ?? fallback;
  if (allowed.test(text)) return text;
  throw new UsageError(`--${name} is '${text}'; allowed is ${allowed.source}`);
}
