import { readFileSync } from 'node:fs';
import { IngotError } from '../errors.ts';
import { type ConfigFile, readConfigFile } from './config-file.ts';
import { contradictions, doubtfulSettings } from './contradictions.ts';
import { whyUnreadable } from './file-failure.ts';
import { nearestName } from './nearest-name.ts';
import { rulesFileProblems } from './rules-file.ts';
import type { Setting } from './setting.ts';
import { ALL_SETTINGS, type Config } from './settings-table.ts';

// flag > environment > file > running stack > default. Everything that is wrong is reported at once, and nothing starts.

export type SettingOrigin = 'flag' | 'environment' | 'file' | 'running stack' | 'command' | 'default' | 'unset';

export interface ConfigSources {
  /** Text by variable, from flags such as --kafka-brokers. */
  readonly flags?: ReadonlyMap<string, string>;
  /** The flag as the user wrote it, by variable: WINDOW_SIZE may have been `--window`. */
  readonly writtenFlags?: ReadonlyMap<string, string>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Path of the YAML file; null reads none. */
  readonly filePath?: string | null;
  /** Addresses by variable of the stack that `ingot up` runs on this machine. A function: it may depend on DATA_FOLDER. */
  readonly runningStack?: (config: Config) => Readonly<Record<string, string>>;
  /** Defaults by variable that differ for one command: the windows of `ingot up` are short. */
  readonly commandDefaults?: Readonly<Record<string, string>>;
}

export interface ResolvedSetting {
  readonly setting: Setting<unknown>;
  /** As it was given; null when unset. */
  readonly text: string | null;
  readonly value: unknown;
  readonly origin: SettingOrigin;
  /** Where exactly: the flag, the variable or the file. */
  readonly source: string;
}

export interface LoadedConfig {
  /** Null when there are problems. */
  readonly config: Config | null;
  readonly settings: readonly ResolvedSetting[];
  /** One sentence each: name, what was given, what is allowed. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

export function loadConfig(sources: ConfigSources): LoadedConfig {
  const file = sources.filePath ? readConfigFile(sources.filePath) : null;
  const first = resolveAll(sources, file, {});
  if (!first.config || !sources.runningStack) return first;
  const addresses = sources.runningStack(first.config);
  return Object.keys(addresses).length === 0 ? first : resolveAll(sources, file, addresses);
}

/** The configuration, or IngotError `CONFIG_INVALID` that lists every problem. */
export function requireConfig(loaded: LoadedConfig): Config {
  if (loaded.config) return loaded.config;
  const count = loaded.problems.length;
  throw new IngotError(
    'CONFIG_INVALID',
    `${count === 1 ? 'A setting is' : `${count} settings are`} not valid; nothing was started.\n${loaded.problems.map((line) => `  - ${line}`).join('\n')}`,
  );
}

/** A URL without the password that someone may have put into it. Whatever a password holds, it ends with the last `@`. */
export function maskUrlPassword(text: string): string {
  return text.replace(/(\/\/[^/?#@:\s]*:)\S*@/g, '$1[masked]@');
}

/** The flag of a setting: KAFKA_BROKERS is `kafka-brokers`. */
export function flagOfSetting(setting: Setting<unknown>): string {
  return setting.variable.toLowerCase().replaceAll('_', '-');
}

function resolveAll(sources: ConfigSources, file: ConfigFile | null, addresses: Readonly<Record<string, string>>): LoadedConfig {
  const problems: string[] = [...(file?.problems ?? [])];
  const settings: ResolvedSetting[] = [];
  const groups: Record<string, Record<string, unknown>> = {};
  for (const { group, name, setting } of ALL_SETTINGS) {
    const resolved = resolveOne(setting, { sources, file, addresses, problems });
    settings.push(resolved);
    groups[group] ??= {};
    groups[group][name] = resolved.value;
  }
  const config = groups as unknown as Config;
  if (problems.length === 0) problems.push(...contradictions(config), ...rulesProblems(settings, config));
  const warnings = [...misspeltVariables(sources.environment ?? {}), ...(problems.length === 0 ? doubtfulSettings(config) : [])];
  return { config: problems.length === 0 ? config : null, settings, problems, warnings };
}

/** Rules that are not valid are found before anything is started. Those of the running stack are in force, whatever the file says by now. */
function rulesProblems(settings: readonly ResolvedSetting[], { alerts }: Config): readonly string[] {
  if (alerts.rulesFile === null || settings.find(({ setting }) => setting.variable === 'RULES_FILE')?.origin === 'running stack') return [];
  return rulesFileProblems(alerts.rulesFile);
}

interface Given {
  readonly text: string;
  readonly origin: SettingOrigin;
  readonly source: string;
}

interface Resolving {
  readonly sources: ConfigSources;
  readonly file: ConfigFile | null;
  readonly addresses: Readonly<Record<string, string>>;
  readonly problems: string[];
}

function resolveOne(setting: Setting<unknown>, from: Resolving): ResolvedSetting {
  const given = firstGiven(setting, from);
  if (!given) return { setting, text: null, value: null, origin: 'unset', source: '' };
  const value = setting.parse(given.text);
  if (value === undefined) {
    const shown = setting.isSecret ? '[masked]' : JSON.stringify(maskUrlPassword(given.text).slice(0, 200));
    const why = setting.refusal?.(given.text) ?? null;
    from.problems.push(
      `${setting.variable}: given ${shown} (${given.source});${why === null ? '' : ` ${why};`} allowed is ${setting.allowed}.`,
    );
  }
  return { setting, text: given.text, value: value ?? null, origin: given.origin, source: given.source };
}

function firstGiven(setting: Setting<unknown>, { sources, file, addresses, problems }: Resolving): Given | undefined {
  const { variable } = setting;
  const flagText = sources.flags?.get(variable);
  if (flagText !== undefined) {
    return { text: flagText, origin: 'flag', source: `flag ${sources.writtenFlags?.get(variable) ?? `--${flagOfSetting(setting)}`}` };
  }
  const environmentText = fromVariables(setting, (name) => sources.environment?.[name], problems);
  if (environmentText !== undefined) return { text: environmentText, origin: 'environment', source: `environment variable ${variable}` };
  const fileText = fromVariables(setting, (name) => file?.values.get(name), problems);
  if (fileText !== undefined) return { text: fileText, origin: 'file', source: `file ${file?.path ?? ''}` };
  const address = addresses[variable];
  if (address !== undefined) return { text: address, origin: 'running stack', source: "the running 'ingot up'" };
  const ofCommand = sources.commandDefaults?.[variable];
  if (ofCommand !== undefined) return { text: ofCommand, origin: 'command', source: 'default of this command' };
  return setting.defaultText === null ? undefined : { text: setting.defaultText, origin: 'default', source: 'default' };
}

/** An empty variable counts as not given: compose files pass empty ones on. A secret may be in the file that <variable>_FILE names. */
function fromVariables(setting: Setting<unknown>, read: (name: string) => string | undefined, problems: string[]): string | undefined {
  const direct = read(setting.variable) || undefined;
  const path = setting.isSecret ? read(`${setting.variable}_FILE`) || undefined : undefined;
  if (path === undefined) return direct;
  if (direct !== undefined) {
    problems.push(`${setting.variable} and ${setting.variable}_FILE are both given; allowed is one of them.`);
    return undefined;
  }
  const { text, problem } = readSecretFile(path);
  if (problem === null) return text;
  problems.push(`${setting.variable}_FILE: given ${JSON.stringify(path)}; ${problem}; allowed is a readable file with the secret in it.`);
  return undefined;
}

const SECRET_BYTES_MAX = 64 * 1024;

/** The line end that editors and `echo` leave at the end is no part of a secret. */
function readSecretFile(
  path: string,
): { readonly text: string; readonly problem: null } | { readonly text: null; readonly problem: string } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    return { text: null, problem: whyUnreadable(error) };
  }
  if (text === '') return { text: null, problem: 'it is empty' };
  if (text.length > SECRET_BYTES_MAX) return { text: null, problem: `it is longer than ${SECRET_BYTES_MAX} characters` };
  return { text, problem: null };
}

/** Variables of the environment that look like one of ours with a slip of the finger. */
function misspeltVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(
    ALL_SETTINGS.flatMap(({ setting }) => (setting.isSecret ? [setting.variable, `${setting.variable}_FILE`] : [setting.variable])),
  );
  known.add('INGOT_CONFIG');
  const warnings: string[] = [];
  for (const name of Object.keys(environment)) {
    if (known.has(name) || name.length < 6) continue;
    const nearest = nearestName(name, known);
    if (nearest !== undefined) warnings.push(`The environment variable ${name} is not a setting and is ignored. Did you mean ${nearest}?`);
  }
  return warnings;
}
