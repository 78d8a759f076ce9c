import { resolve } from 'node:path';
import type { DurationMs } from '../core/time.ts';
import { parseDuration } from './duration.ts';
import { type PemBlock, pemFileProblem } from './pem-file.ts';

// One setting: its environment variable, what it may be, and how its text becomes a value. The table is in settings-table.ts.

export interface Setting<Value> {
  /** The environment variable. The flag is the same name in kebab case: KAFKA_BROKERS is --kafka-brokers. */
  readonly variable: string;
  /** One sentence for --help and docs/configuration.md. */
  readonly help: string;
  /** What may be given, in words; used in error messages and in the docs. */
  readonly allowed: string;
  /** The default as a user would write it; null when the setting has none. */
  readonly defaultText: string | null;
  /** The value, or undefined when the text is not allowed. */
  readonly parse: (text: string) => Value | undefined;
  /** Why a text is not allowed, where `allowed` alone would leave the user guessing. */
  readonly refusal?: (text: string) => string | null;
  /** A secret is masked wherever it is shown, can come from the file named by <variable>_FILE, and has no flag. */
  readonly isSecret: boolean;
  /** A second, shorter flag, for example `window` for WINDOW_SIZE. */
  readonly flag: string | null;
}

interface Basics {
  readonly help: string;
  readonly flag?: string;
}
interface WithDefault extends Basics {
  readonly default: string;
}

function setting<Value>(
  variable: string,
  basics: Basics & { default?: string },
  rest: Pick<Setting<Value>, 'allowed' | 'parse'>,
): Setting<Value> {
  return { variable, help: basics.help, defaultText: basics.default ?? null, isSecret: false, flag: basics.flag ?? null, ...rest };
}

/** The same setting without a default: its value is null when it is not given. */
export function optional<Value>(from: Setting<Value>): Setting<Value | null> {
  return { ...from, defaultText: null };
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}]/u;

export function textSetting(variable: string, options: WithDefault & { pattern?: RegExp; allowed?: string }): Setting<string> {
  return setting(variable, options, {
    allowed: options.allowed ?? 'text without control characters',
    parse: (text) => (!UNPRINTABLE.test(text) && (options.pattern?.test(text) ?? true) ? text : undefined),
  });
}

export function secretSetting(variable: string, options: Basics & { pattern?: RegExp; allowed?: string }): Setting<string | null> {
  const parse = (text: string) => (!UNPRINTABLE.test(text) && (options.pattern?.test(text) ?? true) ? text : undefined);
  return {
    ...setting<string | null>(variable, options, { allowed: options.allowed ?? 'text without control characters', parse }),
    isSecret: true,
  };
}

/** A path; the value is absolute. A relative one counts from `options.base`. */
export function pathSetting(variable: string, options: WithDefault & { base: string }): Setting<string> {
  return setting(variable, options, {
    allowed: 'a path',
    parse: (text) => (UNPRINTABLE.test(text) ? undefined : resolve(options.base, text)),
  });
}

/** The path of a readable PEM file with such a block. A relative one counts from where the command is run. */
export function pemFileSetting(variable: string, options: Basics & { block: PemBlock }): Setting<string | null> {
  const { block } = options;
  const refusal = (text: string) => (UNPRINTABLE.test(text) ? null : pemFileProblem(text, block));
  return {
    ...setting<string | null>(variable, options, {
      allowed: `a PEM file with a ${block === 'CERTIFICATE' ? 'certificate' : 'key that has no passphrase'}`,
      parse: (text) => (UNPRINTABLE.test(text) || refusal(text) !== null ? undefined : text),
    }),
    refusal,
  };
}

/** Values separated by commas; at least one. */
export function listSetting(variable: string, options: WithDefault & { item: RegExp; allowed: string }): Setting<readonly string[]> {
  return setting(variable, options, {
    allowed: options.allowed,
    parse: (text) => {
      const items = text.split(',').map((item) => item.trim());
      return items.every((item) => options.item.test(item)) ? items : undefined;
    },
  });
}

export function urlSetting(variable: string, options: WithDefault & { schemes: readonly string[] }): Setting<string> {
  return setting(variable, options, {
    allowed: `a URL beginning with ${options.schemes.map((scheme) => `${scheme}://`).join(', ')}`,
    parse: (text) => {
      const url = URL.parse(text);
      return url && url.hostname !== '' && options.schemes.includes(url.protocol.slice(0, -1)) ? text : undefined;
    },
  });
}

export function integerSetting(variable: string, options: WithDefault & { min: number; max: number }): Setting<number> {
  return setting(variable, options, {
    allowed: `a whole number from ${options.min} to ${options.max}`,
    parse: (text) => {
      const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= options.min && value <= options.max ? value : undefined;
    },
  });
}

export function numberSetting(variable: string, options: WithDefault & { min: number; max: number }): Setting<number> {
  return setting(variable, options, {
    allowed: `a number from ${options.min} to ${options.max}`,
    parse: (text) => {
      const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
      return value >= options.min && value <= options.max ? value : undefined;
    },
  });
}

const BYTE_UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
]);

/** `options.min` and `max` are bytes. */
export function bytesSetting(variable: string, options: WithDefault & { min: number; max: number }): Setting<number> {
  return setting(variable, options, {
    allowed: `a size such as 65536, 64KiB or 1MiB, from ${options.min} to ${options.max} bytes`,
    parse: (text) => {
      const [, amount, unit] = /^(\d{1,15})\s?([A-Za-z]*)$/.exec(text) ?? [];
      const value = Number(amount) * (BYTE_UNITS.get(unit ?? '') ?? Number.NaN);
      return value >= options.min && value <= options.max ? value : undefined;
    },
  });
}

export function durationSetting(
  variable: string,
  options: WithDefault & { min?: string; max?: string; orUnlimited?: boolean },
): Setting<DurationMs> {
  const minMs = parseDuration(options.min ?? '0s')!;
  const maxMs = parseDuration(options.max ?? '365d')!;
  const range = `from ${options.min ?? '0s'} to ${options.max ?? '365d'}`;
  return setting(variable, options, {
    allowed: `a duration such as 250ms, 60s, 5m or 7d, ${range}${options.orUnlimited ? ", or 'unlimited'" : ''}`,
    parse: (text) => {
      if (options.orUnlimited && text === 'unlimited') return Number.POSITIVE_INFINITY as DurationMs;
      const spanMs = parseDuration(text);
      return spanMs !== undefined && spanMs >= minMs && spanMs <= maxMs ? spanMs : undefined;
    },
  });
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['0', false],
  ['no', false],
  ['off', false],
]);

export function booleanSetting(variable: string, options: WithDefault): Setting<boolean> {
  return setting(variable, options, { allowed: 'true or false', parse: (text) => BOOLEANS.get(text.toLowerCase()) });
}

export function choiceSetting<const Choice extends string>(
  variable: string,
  options: Basics & { default?: Choice; choices: readonly Choice[] },
): Setting<Choice> {
  return setting(variable, options, {
    allowed: options.choices.join(', '),
    parse: (text) => options.choices.find((choice) => choice === text.toLowerCase()),
  });
}
