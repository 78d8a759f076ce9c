import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isPartComplete, partFolder } from '../../../src/local-stack/setup/installed-parts.mjs';

// The set-up as a process, with a PATH and a cache of its own. A script of ours stands in for Maven: what it brings, late, wrong or
// twice, is what the set-up must cope with.

const SETUP = fileURLToPath(new URL('../../../src/local-stack/setup.mjs', import.meta.url));
let folder: string;
let programs: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-setup-'));
  programs = join(folder, 'bin');
  mkdirSync(programs);
  for (const name of ['sh', 'cp', 'sleep', 'echo', 'tar']) symlinkSync(which(name), join(programs, name));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function which(name: string): string {
  return ['/bin', '/usr/bin'].map((each) => join(each, name)).find(existsSync)!;
}

function program(name: string, text: string): void {
  writeFileSync(join(programs, name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(programs, name), 0o755);
}

const java = (version: string): void => program('java', `echo 'openjdk version "${version}"' >&2`);

interface Outcome {
  readonly exitCode: number | null;
  readonly said: string;
}

/** A registry is configured, so only Kafka has to be brought. */
async function setUp(purpose = 'start', environment: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const env = {
    PATH: programs,
    HOME: folder,
    XDG_CACHE_HOME: join(folder, 'cache'),
    SCHEMA_REGISTRY_URL: 'http://elsewhere:8081',
    INGOT_NO_SYSTEM_INSTALL: '1',
    ...environment,
  };
  const child = spawn(process.execPath, [SETUP, purpose], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    said += chunk;
  });
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { exitCode, said };
}

const cacheEntries = (): string[] => (existsSync(join(folder, 'cache', 'ingot')) ? readdirSync(join(folder, 'cache', 'ingot')) : []);

describe('what is missing', () => {
  test('is named with the command that installs it: Java', async () => {
    const { exitCode, said } = await setUp();
    expect(said).toMatch(/Java 17 or newer is needed.*Install it: .*(openjdk-17|openjdk@17)/);
    expect(exitCode).toBe(2);
  });

  test('is named: a Java that is too old', async () => {
    for (const version of ['11.0.2', '1.8.0_392']) {
      java(version);
      const { exitCode, said } = await setUp();
      expect(said).toMatch(/Java 17 or newer is needed.*is (11|8)\. Install it/);
      expect(exitCode).toBe(2);
    }
  });

  test('is named: Maven', async () => {
    java('17.0.1');
    const { exitCode, said } = await setUp();
    expect(said).toMatch(/Maven is needed.*Install it: .*maven/);
    expect(exitCode).toBe(2);
  });

  test('is not installed when that is forbidden: the programs of the tests', async () => {
    java('21');
    program('mvn', 'exit 9');
    program('apt-get', 'exit 9');
    const { exitCode, said } = await setUp('test');
    // mosquitto and PostgreSQL are also found outside of PATH, where Debian keeps them.
    expect(said).toMatch(/The tests need .*chromium.*INGOT_NO_SYSTEM_INSTALL=1 forbids.*Install: .*chromium/);
    expect(exitCode).toBe(2);
  });

  test('is nothing when Kafka and the registry are configured', async () => {
    expect(await setUp('start', { KAFKA_BROKERS: 'elsewhere:9092' })).toEqual({ exitCode: 0, said: '' });
  });

  test('a purpose that does not exist', async () => {
    const { exitCode, said } = await setUp('strat');
    expect(said).toContain('start|test');
    expect(exitCode).toBe(2);
  });
});

/** Two tests hand out the jars that the real set-up has brought. */
const withJars = test.skipIf(!isPartComplete('kafka') && !process.env['CI']);

describe('what Maven brings', () => {
  beforeEach(() => java('17.0.1'));
  const OUTPUT_FOLDER = `for each in "$@"; do case $each in -DoutputDirectory=*) out=\${each#*=};; esac; done`;

  withJars(
    'is used when it is what the lock says: once for two at a time, and for all later',
    async () => {
      const calls = join(folder, 'calls');
      program('mvn', `${OUTPUT_FOLDER}; echo call >> ${calls}; sleep 0.5; cp ${partFolder('kafka')}/*.jar "$out"`);
      const both = await Promise.all([setUp(), setUp()]);
      expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
      expect(both[0]!.said).toMatch(/downloading Apache Kafka.*\n.*Apache Kafka [\d.]+: ready after/);
      expect(readFileSync(calls, 'utf8')).toBe('call\n');
      expect(cacheEntries()).toEqual([expect.stringMatching(/^kafka-/)]);
      expect(await setUp()).toEqual({ exitCode: 0, said: '' });
    },
    60_000,
  );

  test('is refused when it is something else, and leaves nothing behind', async () => {
    program('mvn', `${OUTPUT_FOLDER}; echo evil > "$out/kafka_2.13-4.1.1.jar"; echo more > "$out/extra.jar"`);
    const { exitCode, said } = await setUp();
    expect(said).toContain('not in the lock: extra.jar');
    expect(said).toContain('other content: kafka_2.13-4.1.1.jar');
    expect(said).toContain('missing: ');
    expect(exitCode).toBe(1);
    expect(cacheEntries()).toEqual([]);
  });

  test('is nothing: then its own words are shown', async () => {
    program('mvn', 'echo "[ERROR] no route to the repository"; exit 1');
    const { exitCode, said } = await setUp();
    expect(said).toContain('no route to the repository');
    expect(exitCode).toBe(1);
  });

  withJars(
    'is brought again when the cache was damaged or a set-up was killed',
    async () => {
      program('mvn', `${OUTPUT_FOLDER}; cp ${partFolder('kafka')}/*.jar "$out"`);
      await setUp();
      const cache = join(folder, 'cache', 'ingot');
      const [kafka] = cacheEntries();
      writeFileSync(join(cache, kafka!, 'kafka_2.13-4.1.1.jar'), 'cut off');
      mkdirSync(join(cache, 'making-killed'));
      // The number of no process: process numbers end below.
      writeFileSync(join(cache, 'maven.lock'), String(2 ** 22 + 1));
      const { exitCode, said } = await setUp();
      expect([exitCode, said]).toEqual([0, expect.stringContaining('ready after')]);
      expect(cacheEntries()).toEqual([kafka]);
      expect(await setUp()).toEqual({ exitCode: 0, said: '' });
    },
    60_000,
  );
});
