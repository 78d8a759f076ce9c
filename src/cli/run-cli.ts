import { type LoadedConfig, loadConfig, requireConfig } from '../config/load-config.ts';
import { configureLog, log } from '../ops/log.ts';
import { addressHint } from './address-hint.ts';
import type { Command, CommandContext, FlagTable, FlagValues } from './command.ts';
import { COMMANDS, type CommandEntry } from './commands-table.ts';
import { exitCodeOf, failureText } from './failure-text.ts';
import { findCommand } from './find-command.ts';
import { commandHelp, commandListHelp } from './help-text.ts';
import { type ParsedCommandLine, parseCommandLine } from './parse-command-line.ts';

// One run of the CLI, without the process around it: main.ts connects it to the process, tests to buffers.

export interface CliSurroundings {
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  readonly signal: AbortSignal;
  readonly commands?: readonly CommandEntry[];
  /** Addresses by variable of the stack that `ingot up` runs here. */
  readonly runningStack?: (dataFolder: string) => Readonly<Record<string, string>>;
  /** Called with the configuration before the command runs, and whether the command has something to drain when it is told to stop. */
  readonly onConfig?: (loaded: LoadedConfig, drains: boolean) => void;
}

/** Runs one command and resolves with the exit code. Never rejects: what goes wrong is told on stderr. */
export async function runCli(surroundings: CliSurroundings): Promise<number> {
  let name = '';
  let hintFor: (error: unknown) => string | null = () => null;
  try {
    const found = findCommand(surroundings.words, surroundings.commands ?? COMMANDS);
    if (found.kind === 'group') {
      surroundings.stdout.write(commandListHelp(found.entries, found.isWhole));
      return 0;
    }
    name = found.entry.name;
    const command = await found.entry.load();
    const line = parseCommandLine(command, found.rest, name);
    if (line.help) {
      surroundings.stdout.write(commandHelp(found.entry, command));
      return 0;
    }
    const context = makeContext(command, line, surroundings);
    if (command.usesRunningStack !== false) hintFor = (error) => addressHint(error, context.loadedConfig);
    return await command.run(context);
  } catch (error) {
    const level = surroundings.environment['LOG_LEVEL'];
    const withStack = level === 'debug' || level === 'trace';
    surroundings.stderr.write(failureText(error, { command: name, withStack, hint: hintFor(error) }));
    return exitCodeOf(error);
  }
}

function makeContext(command: Command, line: ParsedCommandLine, surroundings: CliSurroundings): CommandContext<FlagValues<FlagTable>> {
  const { environment, stdout, stderr, signal, runningStack } = surroundings;
  const loaded = loadConfig({
    flags: line.settings,
    writtenFlags: line.writtenFlags,
    environment,
    filePath: line.configFile ?? (environment['INGOT_CONFIG'] || null),
    commandDefaults: command.configDefaults ?? {},
    ...(runningStack && command.usesRunningStack !== false && { runningStack: (config) => runningStack(config.instance.dataFolder) }),
  });
  const warn = applyLogSettings(loaded, stderr);
  surroundings.onConfig?.(loaded, command.drains === true);
  const isTerminal = stdout.isTTY === true;
  let hasWarned = false;
  return {
    flags: line.flags as FlagValues<FlagTable>,
    args: line.args,
    loadedConfig: loaded,
    config: () => {
      const config = requireConfig(loaded);
      if (!hasWarned) for (const warning of loaded.warnings) warn(warning);
      hasWarned = true;
      return config;
    },
    stdout,
    stderr,
    signal,
    isTerminal,
    useColor: isTerminal && line.color && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb',
  };
}

/** A configuration with problems still logs: with the defaults. Returns how a warning about the configuration is said. */
function applyLogSettings(loaded: LoadedConfig, stderr: CliSurroundings['stderr']): (warning: string) => void {
  const { level, format } = loaded.config?.log ?? { level: 'info', format: 'auto' };
  const isText = format === 'auto' ? stderr.isTTY === true : format === 'text';
  configureLog({ level, format: isText ? 'text' : 'json' });
  // Who reads text reads it whatever else is not worth a line; it is about what he has just typed.
  const isWanted = level !== 'silent' && level !== 'fatal';
  return isText && isWanted ? (warning) => stderr.write(`warning: ${warning}\n`) : (warning) => log('config').warn(warning);
}
