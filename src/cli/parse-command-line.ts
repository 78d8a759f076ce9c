import { parseDuration } from '../config/duration.ts';
import { flagOfSetting } from '../config/load-config.ts';
import { nearestName } from '../config/nearest-name.ts';
import type { Setting } from '../config/setting.ts';
import { ALL_SETTINGS } from '../config/settings-table.ts';
import { IngotError } from '../errors.ts';
import type { Command, FlagSpec, FlagTable } from './command.ts';

// Words of a command line -> typed flags, settings and arguments. Pure: it reads nothing but its arguments.

/** Flags that every command has. */
export const GLOBAL_FLAGS = {
  help: { kind: 'boolean', short: 'h', help: 'Show this help.' },
  config: { kind: 'string', placeholder: 'FILE', help: 'Read settings from this YAML file (or INGOT_CONFIG).' },
  color: { kind: 'boolean', default: true, help: 'Use no colours on a terminal, as with NO_COLOR.' },
} as const satisfies FlagTable;

export interface ParsedCommandLine {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly args: readonly string[];
  /** Text by variable of the settings given as flags. */
  readonly settings: ReadonlyMap<string, string>;
  /** By variable too: which of its flags the user wrote. */
  readonly writtenFlags: ReadonlyMap<string, string>;
  readonly help: boolean;
  readonly configFile: string | null;
  readonly color: boolean;
}

interface Known {
  readonly flags: FlagTable;
  readonly shorts: ReadonlyMap<string, string>;
  readonly settings: ReadonlyMap<string, Setting<unknown>>;
}

/** Throws IngotError `USAGE` at the first thing that is not understood. `name` is the command's, for the message. */
export function parseCommandLine(command: Pick<Command, 'flags' | 'args'>, words: readonly string[], name: string): ParsedCommandLine {
  const known = knownFlags(command.flags);
  const values: Record<string, unknown> = {};
  const settings = new Map<string, string>();
  const writtenFlags = new Map<string, string>();
  const args: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (word === '--') {
      args.push(...words.slice(index + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      args.push(word);
      continue;
    }
    const given = splitWord(word, known);
    const setting = known.flags[given.flag] ? undefined : known.settings.get(given.flag);
    const spec = known.flags[given.flag] ?? (setting ? specOfSetting(setting) : undefined);
    if (!spec) throw unknownFlag(given.written, known, name);
    let text = given.text;
    if (spec.kind !== 'boolean' && text === undefined) {
      text = words[++index];
      if (text === undefined) throw usage(`${given.written} needs a value`, name);
    }
    if (setting) {
      settings.set(setting.variable, text ?? String(!given.negated));
      writtenFlags.set(setting.variable, given.written);
    } else setFlag(values, given.flag, flagValue(spec, given, { text, name }), spec);
  }
  checkArgumentCount(command, args, { name, isHelp: values['help'] === true });
  fillDefaults(command.flags, values);
  const { help, config, color, ...flags } = values;
  return {
    flags,
    args,
    settings,
    writtenFlags,
    help: help === true,
    configFile: (config as string | undefined) ?? null,
    color: color !== false,
  };
}

function knownFlags(flags: FlagTable): Known {
  const all: FlagTable = { ...GLOBAL_FLAGS, ...flags };
  const shorts = new Map(Object.entries(all).flatMap(([name, spec]) => (spec.short ? [[spec.short, name] as const] : [])));
  const settings = new Map<string, Setting<unknown>>();
  for (const { setting } of ALL_SETTINGS) {
    if (setting.isSecret) continue;
    settings.set(flagOfSetting(setting), setting);
    if (setting.flag) settings.set(setting.flag, setting);
  }
  return { flags: all, shorts, settings };
}

/** A setting of true or false may stand without a value; it is checked later, together with all others. */
function specOfSetting(setting: Setting<unknown>): FlagSpec {
  return { kind: setting.allowed === 'true or false' ? 'boolean' : 'string', help: setting.help };
}

interface GivenFlag {
  /** As the user wrote it, without the value. */
  readonly written: string;
  readonly flag: string;
  readonly text: string | undefined;
  readonly negated: boolean;
}

function splitWord(word: string, known: Known): GivenFlag {
  if (!word.startsWith('--')) {
    const flag = known.shorts.get(word[1]!) ?? word.slice(0, 2);
    const text = word.length > 2 ? word.slice(word[2] === '=' ? 3 : 2) : undefined;
    return { written: word.slice(0, 2), flag, text, negated: false };
  }
  const equals = word.indexOf('=');
  const written = equals < 0 ? word : word.slice(0, equals);
  const text = equals < 0 ? undefined : word.slice(equals + 1);
  const flag = written.slice(2);
  const positive = flag.startsWith('no-') ? flag.slice(3) : undefined;
  const isNegation =
    positive !== undefined &&
    known.flags[flag] === undefined &&
    (known.flags[positive]?.kind === 'boolean' || known.settings.get(positive)?.allowed === 'true or false');
  return isNegation ? { written, flag: positive, text, negated: true } : { written, flag, text, negated: false };
}

interface ValueText {
  readonly text: string | undefined;
  readonly name: string;
}

function flagValue(spec: FlagSpec, given: GivenFlag, { text, name }: ValueText): unknown {
  if (spec.kind === 'boolean') {
    if (text === undefined) return !given.negated;
    if (!given.negated && (text === 'true' || text === 'false')) return text === 'true';
    throw usage(`${given.written}: given ${JSON.stringify(text)}; allowed is true or false`, name);
  }
  const value = parseValue(spec, text ?? '');
  if (value === undefined) throw usage(`${given.written}: given ${JSON.stringify(text)}; allowed is ${allowedOf(spec)}`, name);
  return value;
}

function parseValue(spec: Exclude<FlagSpec, { kind: 'boolean' }>, text: string): unknown {
  switch (spec.kind) {
    case 'string':
      return text;
    case 'duration':
      return parseDuration(text);
    case 'choice':
      return spec.choices.includes(text) ? text : undefined;
    case 'number': {
      const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
      const inRange = value >= (spec.min ?? Number.NEGATIVE_INFINITY) && value <= (spec.max ?? Number.POSITIVE_INFINITY);
      return inRange && (!spec.integer || Number.isSafeInteger(value)) ? value : undefined;
    }
  }
}

/** What a flag may be given, in words. */
function allowedOf(spec: FlagSpec): string {
  switch (spec.kind) {
    case 'string':
      return 'a text';
    case 'boolean':
      return 'true or false';
    case 'duration':
      return 'a duration such as 250ms, 10s, 5m or 1h';
    case 'choice':
      return spec.choices.join(', ');
    case 'number': {
      const kind = spec.integer ? 'a whole number' : 'a number';
      if (spec.min !== undefined && spec.max !== undefined) return `${kind} from ${spec.min} to ${spec.max}`;
      return spec.min === undefined ? kind : `${kind} from ${spec.min}`;
    }
  }
}

function setFlag(values: Record<string, unknown>, flag: string, value: unknown, spec: FlagSpec): void {
  if (spec.kind === 'string' && spec.many) values[flag] = [...((values[flag] as string[] | undefined) ?? []), value];
  else values[flag] = value;
}

function fillDefaults(flags: FlagTable, values: Record<string, unknown>): void {
  for (const [name, spec] of Object.entries(flags)) {
    if (values[name] !== undefined) continue;
    if (spec.kind === 'boolean') values[name] = spec.default ?? false;
    else if (spec.kind === 'string' && spec.many) values[name] = spec.default === undefined ? [] : [spec.default];
    else if (spec.kind === 'duration') values[name] = spec.default === undefined ? undefined : parseDuration(spec.default);
    else values[name] = spec.default;
  }
}

function checkArgumentCount(command: Pick<Command, 'args'>, args: readonly string[], options: { name: string; isHelp: boolean }): void {
  if (options.isHelp) return;
  const specs = command.args ?? [];
  const missing = specs.find((spec, index) => !spec.optional && index >= args.length);
  if (missing) throw usage(`${missing.name} is missing: ${missing.help}`, options.name);
  const tooMany = specs.at(-1)?.many ? undefined : args[specs.length];
  if (tooMany !== undefined) throw usage(`${JSON.stringify(tooMany)} is one word too many`, options.name);
}

function unknownFlag(written: string, known: Known, name: string): IngotError {
  const nearest = nearestName(written.replace(/^-+/, ''), [...Object.keys(known.flags), ...known.settings.keys()]);
  return usage(`There is no flag ${written}${nearest ? `. Did you mean --${nearest}?` : ''}`, name);
}

function usage(what: string, name: string): IngotError {
  return new IngotError('USAGE', `${what}${/[.?]$/.test(what) ? '' : '.'} See 'ingot ${name} --help'.`);
}
