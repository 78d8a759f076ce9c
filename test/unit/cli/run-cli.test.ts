import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { type Command, defineCommand, QUIET_LOG } from '../../../src/cli/command.ts';
import { COMMANDS, type CommandEntry } from '../../../src/cli/commands-table.ts';
import { runCli } from '../../../src/cli/run-cli.ts';
import { IngotError } from '../../../src/errors.ts';

async function ingot(line: string, options: { environment?: Record<string, string>; commands?: readonly CommandEntry[] } = {}) {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await runCli({
    words: line.split(' ').filter(Boolean),
    environment: { LOG_LEVEL: 'silent', ...options.environment },
    stdout,
    stderr,
    signal: new AbortController().signal,
    ...(options.commands && { commands: options.commands }),
  });
  const text = (stream: PassThrough) => (stream.read() as Buffer | null)?.toString() ?? '';
  return { code, out: text(stdout), err: text(stderr) };
}

const only = (run: Command['run']): CommandEntry[] => [
  {
    name: 'try',
    summary: 'Try',
    section: 'Run',
    load: async () => defineCommand({ flags: {}, examples: [], configDefaults: { WINDOW_SIZE: '10s' }, run }),
  },
];

describe('exit codes', () => {
  test.each([
    ['', 0],
    ['--help', 0],
    ['config', 0],
    ['version', 0],
    ['config check', 0],
    ['frobnicate', 2],
    ['version --frobnicate', 2],
    ['config check --kafka-brokers x', 2],
  ])('ingot %s ends with %i', async (line, code) => expect((await ingot(line)).code).toBe(code));

  test('an IngotError brings its own, with code and message', async () => {
    const commands = only(() => Promise.reject(new IngotError('KAFKA_UNREACHABLE', 'No broker at x:1. Check KAFKA_BROKERS.')));
    expect(await ingot('try', { commands, environment: { KAFKA_BROKERS: 'x:1' } })).toEqual({
      code: 3,
      out: '',
      err: 'ingot: No broker at x:1. Check KAFKA_BROKERS. [KAFKA_UNREACHABLE]\n',
    });
  });

  test.each([
    ['KAFKA_UNREACHABLE', '127.0.0.1:9092', 'KAFKA_BROKERS', '--kafka-brokers'],
    ['REGISTRY_UNREACHABLE', 'http://127.0.0.1:8081', 'SCHEMA_REGISTRY_URL', '--schema-registry-url'],
    ['MQTT_UNREACHABLE', 'mqtt://127.0.0.1:1883', 'MQTT_URL', '--mqtt-url'],
  ] as const)('%s at an address that nobody gave says so, and what to start', async (errorCode, address, variable, flag) => {
    const commands = only(() => Promise.reject(new IngotError(errorCode, 'No answer.')));
    const { err } = await ingot('try', { commands, environment: { DATA_FOLDER: '/no/stack' } });
    expect(err).toBe(
      `ingot: No answer. [${errorCode}]\n${address} is the default: no ${variable} was given, and no 'ingot up' runs on /no/stack (DATA_FOLDER). Start one, or give ${flag}.\n`,
    );
  });

  test('an unforeseen error is 1; its stack, with causes, only for who asks', async () => {
    const commands = only(() => Promise.reject(new Error('broken', { cause: new Error('the root') })));
    const plain = await ingot('try', { commands });
    expect(plain.code).toBe(1);
    expect(plain.err).toContain("'try' failed unexpectedly: broken");
    expect(plain.err).not.toContain('at ');
    const withStack = await ingot('try', { commands, environment: { LOG_LEVEL: 'debug' } });
    expect(withStack.err).toContain('caused by: Error: the root');
  });

  test('an error text cannot command the terminal', async () => {
    const commands = only(() => Promise.reject(new Error('\u001b[2J')));
    expect((await ingot('try', { commands })).err).not.toContain('\u001b');
  });
});

describe('configuration', () => {
  test('of the command: its own defaults, below everything given', async () => {
    const commands = only(async (context) => context.config().window.sizeMs);
    expect((await ingot('try', { commands })).code).toBe(10_000);
    expect((await ingot('try', { commands, environment: { WINDOW_SIZE: '7s' } })).code).toBe(7_000);
    expect((await ingot('try --window 3s', { commands, environment: { WINDOW_SIZE: '7s' } })).code).toBe(3_000);
  });
  test.each([QUIET_LOG, { ...QUIET_LOG, LOG_LEVEL: 'error' }])(
    'a command of people says a warning in words: %j',
    async (configDefaults) => {
      const run: Command['run'] = async (context) => {
        context.config();
        return 0;
      };
      const load = async () => defineCommand({ flags: {}, examples: [], configDefaults, run });
      const commands: CommandEntry[] = [{ name: 'try', summary: 'Try', section: 'Run', load }];
      const { err } = await ingot('try', { commands, environment: { LOG_LEVEL: '', KAFKA_BROKER: 'x:1' } });
      expect(err).toBe('warning: The environment variable KAFKA_BROKER is not a setting and is ignored. Did you mean KAFKA_BROKERS?\n');
      expect((await ingot('try', { commands, environment: { KAFKA_BROKER: 'x:1' } })).err).toBe('');
    },
  );

  test('a wrong one hinders only commands that ask for it', async () => {
    const environment = { HTTP_PORT: 'x', WINDOW_SIZE: '5' };
    expect((await ingot('version', { environment })).code).toBe(0);
    const checked = await ingot('config check', { environment });
    expect(checked.code).toBe(2);
    expect(checked.err).toMatch(/2 settings are not valid.*HTTP_PORT|HTTP_PORT.*WINDOW_SIZE/s);
  });
  test('a problem names the flag that the user wrote', async () => {
    expect((await ingot('config check --window 10x')).err).toContain('WINDOW_SIZE: given "10x" (flag --window);');
    expect((await ingot('config check --window-size=10x')).err).toContain('WINDOW_SIZE: given "10x" (flag --window-size);');
  });
  test('print masks secrets and names origins', async () => {
    const environment = { MQTT_USERNAME: 'u', MQTT_PASSWORD: 'hidden', MQTT_URL: 'mqtt://a:hidden@h' };
    const { out } = await ingot('config print --changed -o jsonl', { environment });
    expect(out).not.toContain('hidden');
    expect(out).toContain('{"setting":"MQTT_PASSWORD","value":"[masked]","origin":"environment"}');
  });
});

describe('every registered command', () => {
  test.each(COMMANDS.map((entry) => [entry.name, entry] as const))('%s has help with examples', async (name, entry) => {
    const { code, out } = await ingot(`${name} --help`);
    expect(code).toBe(0);
    expect(out).toContain(`Usage: ingot ${name}`);
    const command = await entry.load();
    expect(command.examples.length).toBeGreaterThan(0);
    for (const example of command.examples) expect(out).toContain(example.line);
    expect(entry.summary).not.toMatch(/\.$/);
  });
});
