import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../src/cli/commands-table.ts';
import { findCommand } from '../src/cli/find-command.ts';
import { GLOBAL_FLAGS } from '../src/cli/parse-command-line.ts';
import { flagOfSetting } from '../src/config/load-config.ts';
import { ALL_SETTINGS } from '../src/config/settings-table.ts';
import { ERROR_KINDS } from '../src/errors.ts';

// What the documents name must exist: commands and their flags, npm scripts, settings, metrics, files, anchors. What is still to come is
// therefore written without `ingot` in front.

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const exists = (path: string) => statSync(join(root, path), { throwIfNoEntry: false }) !== undefined;
const below = (folder: string, ending: string) =>
  (readdirSync(join(root, folder), { recursive: true }) as string[])
    .filter((path) => path.endsWith(ending) && !path.includes('node_modules'))
    .map((path) => join(folder, path));

const pages = ['README.md', ...below('docs', '.md'), ...below('examples', '.md'), ...below('bench', '.md')];

/** Inline code, and the lines of indented and fenced blocks. */
function codeOf(text: string): string[] {
  const lines = text.split('\n');
  const isFenced = lines.map((_line, at) => lines.slice(0, at).filter((before) => before.startsWith('```')).length % 2 === 1);
  const blocks = lines.filter((line, at) => isFenced[at] || line.startsWith('    '));
  const prose = lines.filter((line, at) => !isFenced[at] && !line.startsWith('    ')).join('\n');
  return [...blocks, ...[...prose.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!)];
}

const breaking = (rule: (code: string) => readonly string[]) =>
  pages.flatMap((page) => codeOf(read(page)).flatMap((code) => rule(code).map((what) => `${page}: ${what}`)));

/** Words after `ingot` of each call in a piece of code: up to a comment or the end of the shell command. */
function callsIn(code: string): string[][] {
  const shell = code.replace(/\s#\s.*$/, '').replace(/\s{3,}.*$/, '');
  return shell.split(/&&|\||;|>/).flatMap((part) => {
    const found = /^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.\/)?ingot(?:\s+(.*))?$/.exec(part);
    return found ? [(found[1] ?? '').split(/\s+/).filter(Boolean)] : [];
  });
}

const settingFlags = ALL_SETTINGS.flatMap(({ setting }) => [flagOfSetting(setting), ...(setting.flag ? [setting.flag] : [])]);
const flagsByCommand = new Map(
  await Promise.all(
    COMMANDS.map(
      async ({ name, load }) =>
        [name, new Set([...Object.keys((await load()).flags), ...Object.keys(GLOBAL_FLAGS), ...settingFlags])] as const,
    ),
  ),
);

function problemOf(words: readonly string[]): readonly string[] {
  if (words[0] === 'COMMAND') return [];
  const call = `ingot ${words.join(' ')}`;
  try {
    const found = findCommand(words);
    if (found.kind === 'group') return [];
    const flags = flagsByCommand.get(found.entry.name)!;
    const names = found.rest.flatMap((word) => /^--([a-z][a-z-]*)/.exec(word)?.[1] ?? []);
    return names.filter((name) => !flags.has(name) && !flags.has(name.replace(/^no-/, ''))).map((name) => `${call}: there is no --${name}`);
  } catch (error) {
    return [`${call}: ${(error as Error).message}`];
  }
}

describe('what the documents name exists', () => {
  test('commands and their flags', () => {
    expect(breaking((code) => callsIn(code).flatMap(problemOf))).toEqual([]);
    expect(pages.flatMap((page) => codeOf(read(page)).flatMap(callsIn)).length).toBeGreaterThan(20);
  });

  test('npm scripts', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = (code: string) => [...code.matchAll(/\bnpm (?:run ([a-z]+)|(start|test)\b)/g)].map(([, run, short]) => run ?? short!);
    expect(breaking((code) => named(code).filter((name) => !(name in scripts)))).toEqual([]);
  });

  test('settings, error codes and other variables', () => {
    const others = [
      'INGOT_CONFIG',
      'INGOT_TEST_STACK',
      'INGOT_NO_SYSTEM_INSTALL',
      'INGOT_FAULT_REPEATS',
      'INGOT_FAULT_SEED',
      'INGOT_PROPERTY_RUNS',
      'XDG_CACHE_HOME',
      'FOLD_VERSION',
      'NO_COLOR',
      'NODE_EXTRA_CA_CERTS',
      'MALLOC_ARENA_MAX',
    ];
    const variables = ALL_SETTINGS.flatMap(({ setting }) => [setting.variable, `${setting.variable}_FILE`]);
    const compose = [...read('.env.example').matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name!);
    const known = new Set([...others, ...variables, ...compose, ...Object.keys(ERROR_KINDS), 'BACKWARD_TRANSITIVE', 'FULL_TRANSITIVE']);
    expect(breaking((code) => (code.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g) ?? []).filter((name) => !known.has(name)))).toEqual([]);
  });

  test('metrics', () => {
    const made = below('src/ops', '.ts').map(read).join('\n');
    const isMade = (name: string) => made.includes(`\${METRIC_PREFIX}${name.slice('ingot_'.length)}\``);
    expect(breaking((code) => (code.match(/\bingot_[a-z_]+/g) ?? []).filter((name) => !isMade(name) && name !== 'ingot_token'))).toEqual(
      [],
    );
  });

  test('files', () => {
    const pathsIn = (code: string) =>
      code.match(/(?<![\w./-])(?:src|test|simulators|bench|docs|docker|schemas|examples)\/[\w./*-]*\w(?:\/|\b)/g) ?? [];
    const isThere = (path: string) => path.includes('*') || path.includes('NNNN') || exists(path);
    expect(breaking((code) => pathsIn(code).filter((path) => !isThere(path)))).toEqual([]);
  });

  test('headings that links lead to', () => {
    const anchorsOf = (text: string) =>
      [...text.matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
        title!
          .toLowerCase()
          .replace(/[^\w\s-]/g, '')
          .trim()
          .replace(/\s/g, '-'),
      );
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\(((?!https?:)[^)#\s]*)#([^)\s]+)\)/g)].flatMap(([, path, anchor]) => {
        const to = path === '' ? page : normalize(join(dirname(page), path!));
        return anchorsOf(read(to)).includes(anchor!) ? [] : [`${page}: ${to} has no heading ${anchor}`];
      }),
    );
    expect(broken).toEqual([]);
  });
});

describe('decisions', () => {
  const files = below('docs/decisions', '.md').map((path) => path.slice('docs/decisions/'.length));

  test('are numbered one after the other, and bear their number', () => {
    expect(files.map((file) => Number(file.slice(0, 4))).sort((a, b) => a - b)).toEqual(files.map((_file, at) => at + 1));
    expect(files.filter((file) => !read(`docs/decisions/${file}`).startsWith(`# ${file.slice(0, 4)} `))).toEqual([]);
  });

  test('are listed in ARCHITECTURE.md', () => {
    const page = read('docs/ARCHITECTURE.md');
    expect(files.filter((file) => !page.includes(`(decisions/${file})`))).toEqual([]);
  });
});
