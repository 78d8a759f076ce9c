import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

// The program as a process: what only shows there. It needs no component.

const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

function start(...words: string[]) {
  const child = spawn(process.execPath, [main, ...words], { env: { PATH: process.env['PATH'] ?? '' }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
  return { child, ended };
}

test('data on stdout, exit code 0', async () => {
  expect(await start('version').ended).toEqual({ code: 0, out: expect.stringMatching(/^ingot \d+\.\d+\.\d+ .*\n$/), err: '' });
});

test('a usage error: stderr only, exit code 2', async () => {
  expect(await start('versoin').ended).toEqual({
    code: 2,
    out: '',
    err: "ingot: There is no command 'versoin'. Did you mean 'ingot version'? [USAGE]\n",
  });
});

test('a reader that is gone ends it quietly', async () => {
  const { child, ended } = start('config', 'print');
  child.stdout.destroy();
  expect(await ended).toMatchObject({ code: 0, err: '' });
});

test.skipIf(!existsSync('/dev/full')).each(['version', 'config print -o csv'])('a disk that is full is no success: %s', async (line) => {
  const full = openSync('/dev/full', 'w');
  const env = { PATH: process.env['PATH'] ?? '' };
  const child = spawn(process.execPath, [main, ...line.split(' ')], { env, stdio: ['ignore', full, 'pipe'] });
  const [err, [code]] = await Promise.all([text(child.stderr!), once(child, 'close')]);
  closeSync(full);
  expect([code, err]).toEqual([1, expect.stringMatching(/^ingot: the output is not complete, stdout cannot be written: .*ENOSPC.*\n$/)]);
});

describe('Ctrl-C while somebody listens and never answers', () => {
  let silent: Server;
  let address: string;
  beforeAll(async () => {
    silent = createServer((socket) => void socket.on('error', () => {}).resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  });
  afterAll(() => void silent.close());

  test.each([
    ['lag --kafka-brokers', '', 130],
    ['schemas list --schema-registry-url', 'http://', 130],
    ['simulate --devices 1 --mqtt-url', 'mqtt://', 0],
  ])('ends: ingot %s', async (line, scheme, expected) => {
    const arrived = once(silent, 'connection');
    const { child, ended } = start(...line.split(' '), `${scheme}${address}`);
    await arrived;
    const askedAtMs = performance.now();
    child.kill('SIGINT');
    expect(await ended).toEqual({ code: expected, out: '', err: '' });
    // Without that it is the deadline of the question: 5 to 20 s.
    expect(performance.now() - askedAtMs).toBeLessThan(4_500);
  });
});
