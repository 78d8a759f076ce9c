import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Command, defineCommand } from '../../../src/cli/command.ts';
import { runCli } from '../../../src/cli/run-cli.ts';
import { removeStackFile, runningStackAddresses, writeStackFile } from '../../../src/local-stack/stack-file.ts';

// A second terminal finds the stack of `ingot up` by its file in the data folder.

let dataFolder: string;
beforeEach(() => {
  dataFolder = mkdtempSync(join(tmpdir(), 'ingot-stack-'));
});
afterEach(() => rmSync(dataFolder, { recursive: true, force: true }));

async function brokersSeen(environment: Record<string, string> = {}, more: Partial<Command> = {}): Promise<string[]> {
  const seen: string[] = [];
  const run = async (context: Parameters<Command['run']>[0]) => {
    seen.push(...context.config().kafka.brokers);
    return 0;
  };
  const load = async () => ({ ...defineCommand({ flags: {}, examples: [], run }), ...more });
  await runCli({
    words: ['try'],
    environment: { DATA_FOLDER: dataFolder, LOG_LEVEL: 'silent', ...environment },
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    signal: new AbortController().signal,
    commands: [{ name: 'try', summary: 'Try', section: 'Run', load }],
    runningStack: runningStackAddresses,
  });
  return seen;
}

const runsHere = () => writeStackFile(dataFolder, { addresses: { KAFKA_BROKERS: '127.0.0.1:4711' }, children: {} });

test('its addresses count before the defaults, and after what is configured', async () => {
  expect(await brokersSeen()).toEqual(['127.0.0.1:9092']);
  runsHere();
  expect(await brokersSeen()).toEqual(['127.0.0.1:4711']);
  expect(await brokersSeen({ KAFKA_BROKERS: 'kafka:1' })).toEqual(['kafka:1']);
  removeStackFile(dataFolder);
  expect(await brokersSeen()).toEqual(['127.0.0.1:9092']);
});

test('a command may leave it out of account', async () => {
  runsHere();
  expect(await brokersSeen({}, { usesRunningStack: false })).toEqual(['127.0.0.1:9092']);
});

test('a file whose writer has ended, or that is none, says nothing', async () => {
  const dead = { pid: 2 ** 22 - 1, startedAt: '', addresses: { KAFKA_BROKERS: '127.0.0.1:4711' }, children: {} };
  writeFileSync(join(dataFolder, 'stack.json'), JSON.stringify(dead));
  expect(await brokersSeen()).toEqual(['127.0.0.1:9092']);
  writeFileSync(join(dataFolder, 'stack.json'), '{"pid":');
  expect(await brokersSeen()).toEqual(['127.0.0.1:9092']);
});
