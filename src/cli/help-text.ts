import { flagOfSetting } from '../config/load-config.ts';
import { ALL_SETTINGS } from '../config/settings-table.ts';
import type { Command, FlagSpec, FlagTable } from './command.ts';
import { COMMAND_SECTIONS, type CommandEntry } from './commands-table.ts';
import { GLOBAL_FLAGS } from './parse-command-line.ts';

// What --help prints. Everything comes from the tables.

const HEAD = 'Ingot: telemetry from MQTT to typed, deduplicated, alerting data on Kafka and in SQL.';

/** `ingot --help`, or the commands of one noun. */
export function commandListHelp(entries: readonly CommandEntry[], isWhole: boolean): string {
  const width = Math.max(...entries.map((entry) => entry.name.length));
  const lines = isWhole ? [HEAD, '', 'Usage: ingot COMMAND [FLAGS]'] : ['Usage: ingot COMMAND [FLAGS]'];
  for (const section of COMMAND_SECTIONS) {
    const inSection = entries.filter((entry) => entry.section === section);
    if (inSection.length === 0) continue;
    lines.push('', `${section}:`, ...inSection.map((entry) => `  ${entry.name.padEnd(width)}  ${entry.summary}`));
  }
  lines.push('', "'ingot COMMAND --help' shows flags and examples. Settings: 'ingot config print'.");
  return `${lines.join('\n')}\n`;
}

export function commandHelp(entry: CommandEntry, command: Command): string {
  const args = command.args ?? [];
  const argWords = args.map((arg) => {
    const word = arg.many ? `${arg.name}...` : arg.name;
    return arg.optional ? `[${word}]` : word;
  });
  const lines = [`${entry.summary}.`, '', `Usage: ${['ingot', entry.name, ...argWords, '[FLAGS]'].join(' ')}`];
  if (command.description) lines.push('', ...wrap(command.description, 100));
  if (args.length > 0) lines.push('', 'Arguments:', ...columns(args.map((arg) => [arg.name, arg.help])));
  lines.push('', 'Flags:', ...columns(flagRows({ ...command.flags, ...GLOBAL_FLAGS })));
  lines.push('', "Settings (each also as an environment variable; 'ingot config print' lists all):", ...columns(settingRows(command)));
  lines.push('', 'Examples:', ...columns(command.examples.map((example) => [example.line, example.shows])));
  return `${lines.join('\n')}\n`;
}

function flagRows(flags: FlagTable): [string, string][] {
  return Object.entries(flags).map(([name, spec]) => {
    const short = spec.short ? `-${spec.short}, ` : '    ';
    const isOnByDefault = spec.kind === 'boolean' && spec.default === true;
    return [`${short}--${isOnByDefault ? 'no-' : ''}${name}${placeholder(spec)}`, spec.help + defaultRemark(spec)];
  });
}

function placeholder(spec: FlagSpec): string {
  if (spec.kind === 'boolean') return '';
  if (spec.placeholder) return ` ${spec.placeholder}`;
  if (spec.kind === 'choice') return ` ${spec.choices.join('|')}`;
  return { string: ' TEXT', number: ' N', duration: ' DURATION' }[spec.kind];
}

function defaultRemark(spec: FlagSpec): string {
  return spec.kind === 'boolean' || spec.default === undefined ? '' : ` (default ${spec.default})`;
}

function settingRows(command: Command): [string, string][] {
  const shown = new Set(command.settings ?? ['LOG_LEVEL']);
  return ALL_SETTINGS.filter(({ setting }) => shown.has(setting.variable)).map(({ setting }) => {
    const fallback = command.configDefaults?.[setting.variable] ?? setting.defaultText;
    const flag = setting.isSecret
      ? setting.variable
      : setting.flag
        ? `--${setting.flag}, ${setting.variable}`
        : `--${flagOfSetting(setting)}`;
    const remark = setting.isSecret ? ' (environment or file only)' : '';
    return [`    ${flag}`, `${setting.help}${remark}${fallback === null ? '' : ` (default ${fallback})`}`];
  });
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(40, Math.max(...rows.map(([left]) => left.length)));
  return rows.flatMap(([left, right]) => {
    const [head = '', ...tail] = wrap(right, 76);
    const rest = tail.map((line) => `${' '.repeat(width + 4)}${line}`);
    return left.length > width ? [`  ${left}`, `${' '.repeat(width + 4)}${head}`, ...rest] : [`  ${left.padEnd(width)}  ${head}`, ...rest];
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
