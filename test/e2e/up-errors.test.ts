import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../../src/local-stack/setup/installed-parts.mjs';
import { freshName, stack } from '../support/stack.ts';
import { childrenNaming, type Environment, killWhatStillRuns, runCommand, startCommand } from '../support/up-process.ts';
import { waitUntil } from '../support/wait-until.ts';

// `ingot up` that cannot start, or cannot go on: a clear message, the exit code, and nothing left behind.

let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ingot-up-errors-'));
});
afterEach(killWhatStillRuns);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** On Kafka and the registry of this test run: up in a few seconds. */
function onTestStack(name: string): Environment {
  const { kafkaBrokers, registryUrl } = stack();
  return {
    DATA_FOLDER: join(scratch, name),
    KAFKA_BROKERS: kafkaBrokers.join(','),
    SCHEMA_REGISTRY_URL: registryUrl,
    KAFKA_TOPIC_PREFIX: `${freshName(name)}.`,
  };
}

const RUNS = /Try in another terminal/;

describe('nothing is started when', () => {
  test.each([
    [['up', '--simulat', '3'], 'There is no flag --simulat. Did you mean --simulate?', 'USAGE'],
    [['up', '--simulate', '3', '--verify'], 'give --simulate N and --duration too', 'USAGE'],
    [['up', '--window', '0s'], 'WINDOW_SIZE', 'CONFIG_INVALID'],
  ])('it is called as %j', async (words, message, code) => {
    const folder = join(scratch, freshName('never'));
    const { code: exitCode, out, err } = await runCommand(words, { DATA_FOLDER: folder });
    expect([exitCode, out]).toEqual([2, '']);
    expect(err).toContain(message);
    expect(err).toContain(`[${code}]`);
    expect(existsSync(folder)).toBe(false);
  });

  test('the HTTP port is in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const folder = join(scratch, 'port');
    const { code, out, err } = await runCommand(['up'], { DATA_FOLDER: folder, HTTP_PORT: String(port) });
    server.close();
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(`127.0.0.1:${port} is in use by another process`);
    expect(existsSync(join(folder, 'kafka'))).toBe(false);
  });

  test('the data folder cannot be written', async () => {
    const file = join(scratch, 'a-file');
    writeFileSync(file, '');
    const { code, err } = await runCommand(['up'], { DATA_FOLDER: join(file, 'data') });
    expect([code, err]).toEqual([2, expect.stringMatching(/cannot be written.*Use another DATA_FOLDER\. \[DATA_FOLDER_UNUSABLE\]/)]);
  });

  test('Java is missing', async () => {
    const programs = join(scratch, 'programs');
    mkdirSync(programs);
    for (const name of ['sh', 'readlink', 'dirname', 'ps']) symlinkSync(findProgram(name)!, join(programs, name));
    const { code, err } = await runCommand(['up'], { DATA_FOLDER: join(scratch, 'java'), PATH: programs });
    expect([code, err]).toEqual([2, expect.stringMatching(/Java 17 or newer is not installed.*\[COMPONENT_MISSING\]/)]);
  });

  test('no Kafka answers where one is configured', async () => {
    const folder = join(scratch, 'unreachable');
    const { code, err, tookMs } = await runCommand(['up'], { DATA_FOLDER: folder, KAFKA_BROKERS: '127.0.0.1:1' });
    expect([code, err]).toEqual([3, expect.stringMatching(/127\.0\.0\.1:1.*Check KAFKA_BROKERS\. \[KAFKA_UNREACHABLE\]/)]);
    expect(tookMs).toBeLessThan(45_000);
    expect(existsSync(join(folder, 'registry'))).toBe(false);
  });
});

describe('on components that are configured', { timeout: 120_000 }, () => {
  test('simulated devices that crash end it', async () => {
    const up = startCommand(['up', '--simulate', '3'], onTestStack('crash'));
    await up.said(RUNS);
    const simulator = await waitUntil(() => childrenNaming(up.child.pid!, 'simulators/main.ts')[0], 'the program of the devices');
    process.kill(simulator, 'SIGKILL');
    const { code, err } = await up.ended;
    expect([code, err]).toEqual([
      3,
      expect.stringMatching(/simulated devices ended by themselves \(signal 9\)[\s\S]*\[COMPONENT_FAILED\]/),
    ]);
  });

  test('a run that was to be compared and was stopped before is no success', async () => {
    const up = startCommand(['up', '--simulate', '1', '--duration', '10m', '--verify'], onTestStack('stopped'));
    await up.said(/devices 1 /);
    up.child.kill('SIGINT');
    const { code, out } = await up.ended;
    expect(code).toBe(130);
    expect(out).toMatch(/Stopping in the order of the flow[\s\S]*Stopped\. The data are in/);
    expect(out).not.toContain('verified');
  });

  test.each([
    { words: 'up --simulate 1', exit: 0, what: 'a reader that goes away ends it quietly' },
    { words: 'up --simulate 1 --duration 2m --verify', exit: 130, what: 'a reader that goes away before the comparison is no success' },
  ])('$what', async ({ words, exit }) => {
    const line = `./ingot ${words} | head -n 12; echo "exit \${PIPESTATUS[0]}"`;
    const environment = { PATH: process.env['PATH'], HTTP_PORT: '0', ...onTestStack('pipe') };
    const shell = spawn('bash', ['-c', line], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    shell.stdout.on('data', (chunk) => {
      out += String(chunk);
    });
    shell.stderr.on('data', (chunk) => {
      err += String(chunk);
    });
    await once(shell, 'close');
    expect([out.split('\n').slice(12), err]).toEqual([[`exit ${exit}`, ''], '']);
  });

  test('what is piped has no escape codes, and is plain lines', async () => {
    const up = startCommand(['up', '--simulate', '1', '--duration', '2s', '--verify', '--no-dashboard'], onTestStack('plain'));
    const { code, out, err } = await up.ended;
    expect([code, err]).toEqual([0, '']);
    expect(out).not.toMatch(/[^\P{Cc}\n]/u);
    expect(out).toMatch(/health, metrics +http/);
    expect(out).toContain('verified: what came out is what was sent');
  });
});
