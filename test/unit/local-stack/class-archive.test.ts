import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { classArchiveFlags } from '../../../src/local-stack/class-archive.ts';
import { classArchiveFile } from '../../../src/local-stack/setup/installed-parts.mjs';

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'ingot-classes-'));
  vi.stubEnv('XDG_CACHE_HOME', cache);
  const programs = join(cache, 'bin');
  mkdirSync(programs);
  writeFileSync(join(programs, 'java'), '#!/bin/sh\n', { mode: 0o755 });
  vi.stubEnv('PATH', programs);
  vi.stubEnv('JAVA_HOME', '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});

test('an archive is used when it is there', () => {
  expect(classArchiveFlags('kafka')).toEqual([]);
  const file = classArchiveFile('kafka')!;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '');
  expect(classArchiveFlags('kafka')).toEqual([`-XX:SharedArchiveFile=${file}`]);
  expect(classArchiveFlags('registry')).toEqual([]);
});

test('what writes an archive starts without one', () => {
  const file = classArchiveFile('kafka')!;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '');
  expect(classArchiveFlags('kafka', '/tmp/new')).toEqual(['-XX:ArchiveClassesAtExit=/tmp/new']);
});

test('another Java has another archive, and without Java there is none', () => {
  const before = classArchiveFile('registry');
  writeFileSync(join(cache, 'bin', 'java'), '#!/bin/sh\n# updated\n', { mode: 0o755 });
  expect(classArchiveFile('registry')).not.toBe(before);
  vi.stubEnv('PATH', join(cache, 'nowhere'));
  expect(classArchiveFlags('registry')).toEqual([]);
});
