import { nearestName } from '../config/nearest-name.ts';
import { IngotError } from '../errors.ts';
import { COMMANDS, type CommandEntry } from './commands-table.ts';

// First words of a command line -> the command meant.

export type FoundCommand =
  | { readonly kind: 'command'; readonly entry: CommandEntry; readonly rest: readonly string[] }
  /** `ingot` or `ingot help`: everything; `ingot alerts`: the commands of one noun. */
  | { readonly kind: 'group'; readonly entries: readonly CommandEntry[]; readonly isWhole: boolean };

/** Throws IngotError `USAGE` with the nearest name when there is no such command. */
export function findCommand(words: readonly string[], commands: readonly CommandEntry[] = COMMANDS): FoundCommand {
  const [first, second] = words;
  if (first === undefined || first === '--help' || first === '-h') return { kind: 'group', entries: commands, isWhole: true };
  if (first === 'help') return words.length === 1 ? { kind: 'group', entries: commands, isWhole: true } : helpFor(words.slice(1), commands);
  if (first === '--version') return findCommand(['version', ...words.slice(1)], commands);
  const twoWords = commands.find((entry) => entry.name === `${first} ${second}`);
  if (twoWords) return { kind: 'command', entry: twoWords, rest: words.slice(2) };
  const oneWord = commands.find((entry) => entry.name === first);
  if (oneWord) return { kind: 'command', entry: oneWord, rest: words.slice(1) };
  const group = commands.filter((entry) => entry.name.startsWith(`${first} `));
  if (group.length > 0 && (second === undefined || second.startsWith('-'))) return { kind: 'group', entries: group, isWhole: false };
  throw unknownCommand(words, group.length > 0 ? group : commands);
}

function helpFor(words: readonly string[], commands: readonly CommandEntry[]): FoundCommand {
  const found = findCommand(words, commands);
  return found.kind === 'command' ? { ...found, rest: ['--help'] } : found;
}

function unknownCommand(words: readonly string[], candidates: readonly CommandEntry[]): IngotError {
  const [first = '', second] = words;
  const names = candidates.map((entry) => entry.name);
  const isNounKnown = names.every((name) => name.startsWith(`${first} `));
  const typed = isNounKnown && second !== undefined ? `${first} ${second}` : first;
  const nearest =
    (second !== undefined && !second.startsWith('-') ? nearestName(`${first} ${second}`, names, 3) : undefined) ??
    (isNounKnown ? undefined : nearestName(first, new Set(names.map((name) => name.split(' ')[0]!))));
  const also = isNounKnown ? ` There are: ${names.join(', ')}.` : " 'ingot --help' lists them all.";
  return new IngotError('USAGE', `There is no command '${typed}'.${nearest ? ` Did you mean 'ingot ${nearest}'?` : also}`);
}
