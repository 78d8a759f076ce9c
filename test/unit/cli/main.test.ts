import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

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
