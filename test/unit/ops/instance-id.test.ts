import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimInstance } from '../../../src/ops/instance-id.ts';

let dataFolder: string;
beforeEach(() => {
  dataFolder = mkdtempSync(join(tmpdir(), 'ingot-instance-'));
});
afterEach(() => rmSync(dataFolder, { recursive: true, force: true }));

const claim = (configuredId: string | null = null, role = 'bridge') => claimInstance({ dataFolder, role, configuredId });

test('an id is kept across restarts', () => {
  const first = claim();
  first.release();
  const second = claim();
  second.release();
  expect(second.id).toBe(first.id);
  expect(first.isExclusive).toBe(true);
});

test('two at the same time have different ids; a third takes the place of the one that ended', () => {
  const first = claim();
  const second = claim();
  expect(second.id).not.toBe(first.id);
  expect([first.isFirst, second.isFirst]).toEqual([true, false]);
  first.release();
  const third = claim();
  expect(third.id).toBe(first.id);
  for (const each of [second, third]) each.release();
});

test('roles do not disturb each other', () => {
  const bridge = claim(null, 'bridge');
  const sink = claim(null, 'sink');
  expect(sink.isExclusive && bridge.isExclusive).toBe(true);
  bridge.release();
  sink.release();
});

test('a configured id that is in use is refused', () => {
  const first = claim('bridge-7');
  expect(first.id).toBe('bridge-7');
  expect(() => claim('bridge-7')).toThrow(expect.objectContaining({ code: 'INSTANCE_LOCKED', exitCode: 2 }));
  first.release();
  claim('bridge-7').release();
});

test('a data folder that cannot be made is said, and not waited for', () => {
  // Node's own recursive mkdir never comes back from there.
  const unusable = process.platform === 'linux' ? '/proc/ingot/data' : '/dev/null/data';
  const claimThere = () => claimInstance({ dataFolder: unusable, role: 'bridge', configuredId: null });
  expect(claimThere).toThrow(expect.objectContaining({ code: 'DATA_FOLDER_UNUSABLE', exitCode: 2 }));
  expect(claimThere).toThrow(`${unusable} cannot be written: `);
});

test('kill -9 of the holder frees the id', async () => {
  const module = new URL('../../../src/ops/instance-id.ts', import.meta.url).href;
  const body = `const { claimInstance } = await import(${JSON.stringify(module)});
    console.log(claimInstance(${JSON.stringify({ dataFolder, role: 'bridge', configuredId: null })}).id); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', body], { stdio: ['ignore', 'pipe', 'inherit'] });
  const held = String((await once(child.stdout, 'data'))[0]).trim();
  const meanwhile = claim();
  expect(meanwhile.id).not.toBe(held);
  meanwhile.release();
  child.kill('SIGKILL');
  await once(child, 'exit');
  const after = claim();
  expect(after.id).toBe(held);
  after.release();
});
