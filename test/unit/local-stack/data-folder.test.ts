import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDataFolder, openTemporaryFolder } from '../../../src/local-stack/data-folder.ts';
import { isAlive, writeStackFile } from '../../../src/local-stack/stack-file.ts';

let path: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'ingot-data-'));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

test('belongs to one stack at a time; the message says which process has it', async () => {
  const held = await openDataFolder(path);
  writeStackFile(path, { addresses: {}, children: {} });
  await expect(openDataFolder(path)).rejects.toMatchObject({
    code: 'DATA_FOLDER_IN_USE',
    message: expect.stringContaining(`(process ${process.pid})`),
  });
  held.release();
  (await openDataFolder(path)).release();
});

test('is made when it is missing, and refused when it cannot be', async () => {
  const missing = join(path, 'deep', 'below');
  (await openDataFolder(missing)).release();
  expect(existsSync(missing)).toBe(true);
  writeFileSync(join(path, 'file'), '');
  await expect(openDataFolder(join(path, 'file', 'below'))).rejects.toMatchObject({
    code: 'DATA_FOLDER_UNUSABLE',
    message: `${join(path, 'file', 'below')} cannot be written: a part of its path is a file. Use another DATA_FOLDER.`,
  });
  await expect(openDataFolder(join(path, 'file'))).rejects.toMatchObject({ message: expect.stringContaining('it is a file') });
  expect(existsSync(join(missing, '.writable'))).toBe(false);
});

test('what a killed stack left running on it is ended, and nobody else', async () => {
  const settings = join(path, 'part', 'settings');
  const orphan = spawn('/bin/sh', ['-c', 'while :; do sleep 0.1; done', settings], { detached: true, stdio: 'ignore' });
  const stranger = spawn('/bin/sh', ['-c', 'while :; do sleep 0.1; done'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => orphan.once('exit', resolve));
  mkdirSync(join(path, 'part'));
  mkdirSync(join(path, 'other'));
  writeFileSync(join(path, 'part', 'pid'), `${orphan.pid}\n`);
  writeFileSync(join(path, 'other', 'pid'), `${stranger.pid}\n`);
  (await openDataFolder(path)).release();
  await ended;
  expect(isAlive(stranger.pid!)).toBe(true);
  stranger.kill('SIGKILL');
}, 30_000);

test('a temporary one is gone afterwards', () => {
  const folder = openTemporaryFolder();
  writeFileSync(join(folder.path, 'file'), '');
  folder.release();
  expect(existsSync(folder.path)).toBe(false);
});
