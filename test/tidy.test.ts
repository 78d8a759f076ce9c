import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { GENERATED_PAGES } from '../src/cli/commands/docs.ts';
import { COMMANDS } from '../src/cli/commands-table.ts';
import { BRIDGE_REJECT_REASONS, READING_REJECT_REASONS } from '../src/core/outcome.ts';
import { ERROR_KINDS } from '../src/errors.ts';
import { type ImportOf, importsOf, longFunctions, withoutComments } from './support/source-text.ts';

// The rules of the house, as far as a test can keep them: layout, who may import whom, sizes, names, docs both ways.

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

function filesBelow(folder: string): string[] {
  let entries: string[];
  try {
    entries = readdirSync(join(root, folder), { recursive: true }) as string[];
  } catch {
    return [];
  }
  return entries.map((entry) => `${folder}/${entry}`).filter((path) => statSync(join(root, path)).isFile());
}

const CODE_FOLDERS = ['src', 'simulators', 'test', 'bench'];
const codeFiles = CODE_FOLDERS.flatMap(filesBelow).filter(
  (path) => /\.(ts|mjs|js)$/.test(path) && !path.includes('/fixtures/') && !path.includes('/public/'),
);
const sourceFiles = codeFiles.filter((path) => path.startsWith('src/') && path.endsWith('.ts'));

/** What breaks a rule, one line each, so that the failure says where. */
const breaking = (files: readonly string[], rule: (path: string, text: string) => readonly string[]) =>
  files.flatMap((path) => rule(path, read(path)).map((what) => `${path}: ${what}`));

describe('files', () => {
  test('have at most 400 lines', () => {
    expect(
      breaking(codeFiles, (_path, text) => {
        const lines = text.split('\n').length - 1;
        return lines > 400 ? [`${lines} lines`] : [];
      }),
    ).toEqual([]);
  });

  test('have functions of at most 70 lines', () => {
    expect(breaking(sourceFiles, (_path, text) => longFunctions(text, 70))).toEqual([]);
  });

  test('are named for what they are', () => {
    const banned = /(^|[-.])(utils?|helpers?|common|misc|managers?)([-.]|$)|^(service|handler|data|index)\./;
    const isWrong = (path: string) => banned.test(path.split('/').at(-1)!) || !/^[a-z0-9.-]+$/.test(path.split('/').at(-1)!);
    expect(codeFiles.filter(isWrong)).toEqual([]);
    const folders = new Set(codeFiles.flatMap((path) => dirname(path).split('/')));
    expect([...folders].filter((folder) => /^(utils?|helpers?|common|misc|lib)$/.test(folder))).toEqual([]);
  });

  test('have no default export and are no barrels', () => {
    expect(
      breaking(codeFiles, (_path, text) => {
        const code = withoutComments(text).trim();
        const isBarrel = code !== '' && code.split(/;\s*/).every((statement) => statement === '' || /^export\s.*\sfrom\s/s.test(statement));
        return [...(/^export default\b/m.test(code) ? ['default export'] : []), ...(isBarrel ? ['only exports what others hold'] : [])];
      }),
    ).toEqual([]);
  });

  test('have nothing left to do, and no path of a machine', () => {
    const traces: readonly [string, RegExp][] = [
      ['a note of unfinished work', new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|${['X', 'XX'].join('')})\\b`)],
      ['a path of one machine', /(["'` (])\/(work|root|home|Users)\/[a-z]/],
    ];
    const files = [...codeFiles, ...filesBelow('docs'), ...filesBelow('schemas'), 'package.json', 'README.md'].filter(exists);
    expect(breaking(files, (_path, text) => traces.flatMap(([what, pattern]) => (pattern.test(text) ? [what] : [])))).toEqual([]);
  });
});

const exists = (path: string) => statSync(join(root, path), { throwIfNoEntry: false }) !== undefined;

/** Where every library may be imported: the folder that wraps it. */
const LIBRARY_HOMES: Readonly<Record<string, readonly string[]>> = {
  mqtt: ['src/mqtt/', 'simulators/', 'test/', 'bench/'],
  'mqtt-packet': ['src/mqtt/', 'test/', 'bench/'],
  aedes: ['src/local-stack/', 'test/'],
  kafkajs: ['src/kafka/', 'test/', 'bench/'],
  '@kafkajs/confluent-schema-registry': ['src/registry/', 'test/', 'bench/'],
  avsc: ['src/registry/', 'src/aggregator/state-codec.ts', 'test/', 'bench/'],
  pg: ['src/sql/', 'src/local-stack/', 'test/'],
  '@electric-sql/pglite': ['src/sql/', 'src/local-stack/', 'test/'],
  pino: ['src/ops/log.ts'],
  'prom-client': ['src/ops/', 'test/'],
  yaml: ['src/config/', 'test/', 'simulators/'],
  vitest: ['test/', 'vitest.config.ts'],
  'fast-check': ['test/'],
  'playwright-core': ['test/'],
};

/** Whose values a folder of src may import besides its own; types of ports may be imported from anywhere. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  config: ['core', 'errors.ts'],
  ops: ['core', 'errors.ts'],
  kafka: ['core', 'errors.ts', 'ops'],
  mqtt: ['core', 'errors.ts', 'ops'],
  registry: ['core', 'errors.ts', 'ops'],
  bridge: ['core', 'errors.ts', 'ops'],
  aggregator: ['core', 'errors.ts', 'ops'],
  replay: ['core', 'errors.ts', 'ops'],
  sql: ['core', 'errors.ts', 'ops'],
  calls: ['core', 'errors.ts', 'ops'],
  dashboard: ['core', 'errors.ts', 'ops'],
  doctor: ['core', 'errors.ts', 'ops'],
  notices: ['core', 'errors.ts', 'ops'],
  'local-stack': ['core', 'errors.ts', 'ops'],
  'errors.ts': [],
};

/** Below src: the stage folder, or the file itself. */
const stageOf = (path: string) => path.split('/')[1]!;

function target(path: string, specifier: string): string {
  return specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : specifier;
}

function isAllowed(path: string, { specifier, isType }: ImportOf): boolean {
  const to = target(path, specifier);
  if (!to.startsWith('src/')) return !to.startsWith('simulators/') && !to.startsWith('test/');
  const [from, stage] = [stageOf(path), stageOf(to)];
  if (from === stage || from === 'cli') return true;
  if (from === 'core') return false;
  return (MAY_IMPORT[from] ?? []).includes(stage) || (isType && (to.endsWith('-port.ts') || to.endsWith('-ports.ts')));
}

describe('imports', () => {
  test('inside src follow the stages', () => {
    expect(
      breaking(sourceFiles, (path, text) =>
        importsOf(text)
          .filter((each) => !isAllowed(path, each))
          .map(({ specifier }) => `may not import ${specifier}`),
      ),
    ).toEqual([]);
  });

  test('every folder of src is known here', () => {
    const folders = new Set(sourceFiles.map(stageOf));
    expect([...folders].filter((folder) => folder !== 'cli' && !(folder in MAY_IMPORT))).toEqual([]);
  });

  test('libraries are only used where they are wrapped', () => {
    expect(
      breaking(codeFiles, (path, text) =>
        importsOf(text).flatMap(({ specifier, isType }) => {
          const library = /^(@[^/]+\/[^/]+|[^./@][^/:]*)(\/|$)/.exec(specifier)?.[1];
          if (!library || specifier.startsWith('node:')) return [];
          const homes = LIBRARY_HOMES[library];
          if (!homes) return [`${library} has no home in this test`];
          return homes.some((home) => path.startsWith(home)) || isType ? [] : [`may not import ${library}`];
        }),
      ),
    ).toEqual([]);
  });

  test('deep imports of kafkajs stand in one file', () => {
    const deep = breaking(codeFiles, (_path, text) =>
      importsOf(text)
        .filter(({ specifier }) => specifier.startsWith('kafkajs/'))
        .map(({ specifier }) => specifier),
    );
    expect(
      deep.filter((line) => !line.startsWith('src/kafka/kafkajs-internals.ts') && !line.startsWith('test/') && !line.startsWith('bench/')),
    ).toEqual([]);
  });

  test('simulators know nothing of src', () => {
    const simulators = codeFiles.filter((path) => path.startsWith('simulators/'));
    expect(
      breaking(simulators, (path, text) =>
        importsOf(text)
          .map(({ specifier }) => target(path, specifier))
          .filter((to) => to.startsWith('src/') || to.startsWith('test/')),
      ),
    ).toEqual([]);
  });

  test('nothing imports what is not in package.json', () => {
    const manifest = JSON.parse(read('package.json')) as { dependencies: Record<string, string>; devDependencies: Record<string, string> };
    const inSource = breaking([...sourceFiles, ...codeFiles.filter((path) => path.startsWith('simulators/'))], (_path, text) =>
      importsOf(text).flatMap(({ specifier }) => {
        const library = /^(@[^/]+\/[^/]+|[^./@][^/:]*)(\/|$)/.exec(specifier)?.[1];
        return library && !specifier.startsWith('node:') && !(library in manifest.dependencies) ? [`${library} is no dependency`] : [];
      }),
    );
    expect(inSource).toEqual([]);
  });
});

describe('core', () => {
  const FORBIDDEN: readonly [string, RegExp][] = [
    ['imports node', /from 'node:/],
    ['the clock', /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/],
    ['chance', /\bMath\.random\b|\bcrypto\.(randomUUID|getRandomValues)\b/],
    ['the process', /\bprocess\./],
    ['timers', /\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b/],
    ['the console', /\bconsole\./],
    ['promises', /\basync\b|\bawait\b/],
  ];
  test('decides only: no I/O, no clock, no chance', () => {
    const core = sourceFiles.filter((path) => path.startsWith('src/core/'));
    expect(core.length).toBeGreaterThan(10);
    const rule = (_path: string, text: string) =>
      FORBIDDEN.flatMap(([what, pattern]) => (pattern.test(withoutComments(text)) ? [what] : []));
    expect(breaking(core, rule)).toEqual([]);
  });
});

describe('operations', () => {
  test('metrics are made in src/ops only', () => {
    const outside = sourceFiles.filter((path) => !path.startsWith('src/ops/'));
    expect(breaking(outside, (_path, text) => (/new (Counter|Gauge|Histogram|Summary)\(/.test(text) ? ['makes a metric'] : []))).toEqual(
      [],
    );
  });

  test('no label is a device id', () => {
    expect(breaking(sourceFiles, (_path, text) => (/labelNames: \[[^\]]*device/i.test(text) ? ['a device is a label'] : []))).toEqual([]);
  });

  test('stdout belongs to data: only the CLI writes to it, and nobody uses the console', () => {
    const outside = sourceFiles.filter((path) => !path.startsWith('src/cli/'));
    expect(breaking(outside, (_path, text) => (/process\.stdout/.test(withoutComments(text)) ? ['writes to stdout'] : []))).toEqual([]);
    expect(breaking(sourceFiles, (_path, text) => (/\bconsole\./.test(withoutComments(text)) ? ['uses the console'] : []))).toEqual([]);
  });

  test('the environment is read by the CLI and the local stack only', () => {
    const outside = sourceFiles.filter((path) => !path.startsWith('src/cli/') && !path.startsWith('src/local-stack/'));
    expect(breaking(outside, (_path, text) => (/process\.env/.test(withoutComments(text)) ? ['reads the environment'] : []))).toEqual([]);
  });
});

describe('docs', () => {
  test.each(GENERATED_PAGES.map(({ path, make }) => [path, make] as const))('%s is up to date (npm run docs)', (path, make) => {
    expect(read(path)).toBe(make());
  });

  test('every error code and reject reason is explained, and nothing else', () => {
    const explained = [...read('docs/errors.md').matchAll(/^\| `([A-Za-z0-9_]+)` \|/gm)].map(([, name]) => name);
    expect(explained.sort()).toEqual([...Object.keys(ERROR_KINDS), ...BRIDGE_REJECT_REASONS, ...READING_REJECT_REASONS].sort());
  });

  test('every error code is thrown somewhere', () => {
    const code = sourceFiles
      .filter((path) => path !== 'src/errors.ts')
      .map(read)
      .join('\n');
    expect(Object.keys(ERROR_KINDS).filter((name) => !code.includes(`'${name}'`))).toEqual([]);
  });

  test('links lead to files', () => {
    const pages = [...filesBelow('docs'), 'README.md'].filter((path) => path.endsWith('.md') && exists(path));
    expect(
      breaking(pages, (path, text) =>
        [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].flatMap(([, link]) =>
          exists(relative(root, join(root, dirname(path), link!))) ? [] : [`there is no ${link}`],
        ),
      ),
    ).toEqual([]);
  });
});

describe('commands', () => {
  test('every file of src/cli/commands is in the table', () => {
    const table = read('src/cli/commands-table.ts');
    const files = sourceFiles.filter((path) => path.startsWith('src/cli/commands/'));
    expect(files.filter((path) => !table.includes(`./commands/${path.split('/').at(-1)}`))).toEqual([]);
  });
  test('names are unique, in lower case, of one or two words', () => {
    const names = COMMANDS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => !/^[a-z]+(-[a-z]+)?( [a-z]+)?$/.test(name))).toEqual([]);
  });
});
