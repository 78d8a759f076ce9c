import type { LoadedConfig } from '../config/load-config.ts';
import type { Config } from '../config/settings-table.ts';

// What a command of the CLI is. A command is registered with name, summary and loader in commands-table.ts; its file is only loaded
// when it runs.

interface FlagBasics {
  readonly help: string;
  /** One letter: `o` for `-o`. */
  readonly short?: string;
  /** What stands for the value in --help, for example `FILE`. */
  readonly placeholder?: string;
}

/** A text. `many: true` makes the flag repeatable and its value an array. */
export interface StringFlag extends FlagBasics {
  readonly kind: 'string';
  readonly default?: string;
  readonly many?: boolean;
}
/** `integer: true` refuses fractions. */
export interface NumberFlag extends FlagBasics {
  readonly kind: 'number';
  readonly default?: number;
  readonly integer?: boolean;
  readonly min?: number;
  readonly max?: number;
}
/** `--name` and `--no-name`; false when not given. With `default: true` --help shows `--no-name`, and `help` says what that does. */
export interface BooleanFlag extends FlagBasics {
  readonly kind: 'boolean';
  readonly default?: boolean;
}
/** Written `250ms`, `60s`, `5m`; the value is milliseconds. The default is written the same way. */
export interface DurationFlag extends FlagBasics {
  readonly kind: 'duration';
  readonly default?: string;
}
export interface ChoiceFlag extends FlagBasics {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  readonly default?: string;
}

export type FlagSpec = StringFlag | NumberFlag | BooleanFlag | DurationFlag | ChoiceFlag;
/** By name in kebab case, without the dashes. */
export type FlagTable = Readonly<Record<string, FlagSpec>>;

type GivenValue<Spec extends FlagSpec> = Spec extends { kind: 'boolean' }
  ? boolean
  : Spec extends { kind: 'number' | 'duration' }
    ? number
    : Spec extends { kind: 'choice'; choices: readonly (infer Choice)[] }
      ? Choice
      : Spec extends { many: true }
        ? readonly string[]
        : string;

/** A flag without a default that was not given is undefined; booleans are false and repeatable ones are empty. */
export type FlagValues<Flags extends FlagTable> = {
  readonly [Name in keyof Flags]: Flags[Name] extends { kind: 'boolean' } | { many: true } | { default: string | number }
    ? GivenValue<Flags[Name]>
    : GivenValue<Flags[Name]> | undefined;
};

export interface ArgumentSpec {
  /** In capitals, as --help shows it: `ID`. */
  readonly name: string;
  readonly help: string;
  readonly optional?: boolean;
  /** The last argument may take any number of values. */
  readonly many?: boolean;
}

export interface CommandContext<Values = Readonly<Record<string, unknown>>> {
  readonly flags: Values;
  readonly args: readonly string[];
  /** Flag > environment > file > running stack > default. IngotError `CONFIG_INVALID` lists everything that is wrong. */
  config(): Config;
  /** The same with origins and problems, for `config print` and `config check`. */
  readonly loadedConfig: LoadedConfig;
  /** Data goes here, and nothing else. */
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Aborted by the first Ctrl-C or SIGTERM, and when the reader of stdout went away: drain and return. A second signal ends the process. */
  readonly signal: AbortSignal;
  /** Whether stdout is a terminal. */
  readonly isTerminal: boolean;
  /** Whether colours are wanted on stdout: a terminal, no NO_COLOR, no --no-color. */
  readonly useColor: boolean;
}

export interface Command<Flags extends FlagTable = FlagTable> {
  /** More than the summary, for --help. */
  readonly description?: string;
  readonly flags: Flags;
  readonly args?: readonly ArgumentSpec[];
  /** Complete command lines with a remark each. At least one. */
  readonly examples: readonly { readonly line: string; readonly shows: string }[];
  /** Variables of settings that matter to this command: --help lists them. Every setting is accepted as a flag anyhow. */
  readonly settings?: readonly string[];
  /** Defaults of settings, by variable, that differ for this command. */
  readonly configDefaults?: Readonly<Record<string, string>>;
  /** Whether addresses of the stack that `ingot up` runs on this machine count; true unless said. */
  readonly usesRunningStack?: boolean;
  /** Brings to an end what it has begun after a first Ctrl-C, for at most SHUTDOWN_TIMEOUT. Other commands end within a second. */
  readonly drains?: boolean;
  /** Resolves with the exit code: 0 ok, 1 runtime failure, 2 usage, 3 unreachable dependency, 4 a check failed. An IngotError brings its own. */
  run(context: CommandContext<FlagValues<Flags>>): Promise<number>;
}

/** For commands of people: what goes well is not worth a line among their output, and what does not is in words. `configDefaults: QUIET_LOG`. */
export const QUIET_LOG = { LOG_LEVEL: 'warn', LOG_FORMAT: 'text' } as const;

/** Whether the value of a setting is that of the `ingot up` that runs on this machine. */
export function isOfRunningStack({ loadedConfig }: Pick<CommandContext, 'loadedConfig'>, variable: string): boolean {
  return loadedConfig.settings.find(({ setting }) => setting.variable === variable)?.origin === 'running stack';
}

/** Types `context.flags` from the table of flags. */
export function defineCommand<const Flags extends FlagTable>(command: Command<Flags>): Command {
  return command as unknown as Command;
}
