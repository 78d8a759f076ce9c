import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { IngotError } from '../../../src/errors.ts';
import { type ChildOptions, startChild } from '../../../src/local-stack/child.ts';
import { isAlive } from '../../../src/local-stack/stack-file.ts';

let folder: string;
let parent: ChildProcess | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-child-'));
});
afterEach(() => {
  parent?.kill('SIGKILL');
  parent = null;
  rmSync(folder, { recursive: true, force: true });
});

/** A shell script that is ready when it has made the file `ready`. */
const script = (text: string, more: Partial<ChildOptions> = {}): ChildOptions => ({
  name: 'The part',
  program: '/bin/sh',
  args: ['-c', text],
  workFolder: folder,
  logFile: join(folder, 'part.log'),
  isReady: async () => existsSync(join(folder, 'ready')),
  readyDeadlineMs: 10_000,
  stopDeadlineMs: 5_000,
  ...more,
});

const rejection = (promise: Promise<unknown>): Promise<IngotError> =>
  promise.then(
    () => expect.unreachable(),
    (error: IngotError) => error,
  );

test('is ready when it says so, and ends when it is told to', async () => {
  const child = await startChild(script('touch ready; while :; do sleep 0.1; done'));
  expect(isAlive(child.pid)).toBe(true);
  expect(readFileSync(join(folder, 'pid'), 'utf8')).toBe(`${child.pid}\n`);
  await child.stop();
  expect(isAlive(child.pid)).toBe(false);
  expect(existsSync(join(folder, 'pid'))).toBe(false);
  await child.stop();
});

test('that ends before it is ready is reported with the end of its log', async () => {
  const error = await rejection(startChild(script('echo first; echo the reason >&2; exit 7')));
  expect(error.code).toBe('COMPONENT_FAILED');
  expect(error.message).toContain('ended before it was ready (exit code 7)');
  expect(error.message).toContain('the reason');
});

test('that does not exist is reported', async () => {
  const error = await rejection(startChild(script('', { program: join(folder, 'nothing') })));
  expect(error.message).toContain('could not be started');
});

test('that is never ready is ended when the deadline passes', async () => {
  const error = await rejection(startChild(script('while :; do sleep 0.1; done', { readyDeadlineMs: 300 })));
  expect(error.message).toContain('did not answer within 0.3 s');
  expect(existsSync(join(folder, 'pid'))).toBe(false);
});

test('is ended when the start is given up', async () => {
  const error = await rejection(startChild(script('while :; do sleep 0.1; done', { signal: AbortSignal.timeout(200) })));
  expect(error.message).toContain('was told to stop');
});

test('that ends by itself later is a crash, once; one that we stop or kill is none', async () => {
  const onCrash = vi.fn();
  await startChild(script('touch ready; while [ ! -e go ]; do sleep 0.05; done; echo out of luck; exit 3', { onCrash }));
  writeFileSync(join(folder, 'go'), '');
  await vi.waitFor(() => expect(onCrash).toHaveBeenCalledTimes(1), 5_000);
  expect(onCrash.mock.calls[0]![0].message).toMatch(/ended by itself \(exit code 3\)[\s\S]*out of luck/);
  onCrash.mockClear();
  const killed = await startChild(script('touch ready; while :; do sleep 0.1; done', { onCrash }));
  await killed.kill();
  expect(isAlive(killed.pid)).toBe(false);
  expect(onCrash).not.toHaveBeenCalled();
});

test('that ignores the polite signal is killed after its deadline', async () => {
  const child = await startChild(script("trap '' TERM; touch ready; while :; do sleep 0.1; done", { stopDeadlineMs: 300 }));
  await child.stop();
  expect(isAlive(child.pid)).toBe(false);
});

test('keeps the log of the start before, and does not see our variables', async () => {
  vi.stubEnv('QUARKUS_SOMETHING', 'ours');
  for (const word of ['one', 'two']) {
    rmSync(join(folder, 'ready'), { force: true });
    const child = await startChild(
      script(`echo ${word}; env; touch ready; while :; do sleep 0.1; done`, { environment: { MINE: 'given' } }),
    );
    await child.stop();
  }
  vi.unstubAllEnvs();
  expect(readFileSync(join(folder, 'part.log.previous'), 'utf8')).toMatch(/^one\n/);
  const log = readFileSync(join(folder, 'part.log'), 'utf8');
  expect(log).toMatch(/^two\n/);
  expect(log).toContain('MINE=given');
  expect(log).not.toContain('QUARKUS_SOMETHING');
});

test('does not outlive a parent that is killed with -9', async () => {
  const options = JSON.stringify({ ...script('touch ready; while :; do sleep 0.1; done'), isReady: undefined });
  const program = `
    import { existsSync } from 'node:fs';
    import { startChild } from ${JSON.stringify(new URL('../../../src/local-stack/child.ts', import.meta.url).href)};
    const child = await startChild({ ...${options}, isReady: async () => existsSync(${JSON.stringify(join(folder, 'ready'))}) });
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  const started = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  parent = started;
  const childPid = await new Promise<number>((resolve) => started.stdout.once('data', (chunk) => resolve(Number(chunk))));
  expect(isAlive(childPid)).toBe(true);
  started.kill('SIGKILL');
  await vi.waitFor(() => expect(isAlive(childPid)).toBe(false), 10_000);
});
