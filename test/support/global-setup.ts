import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startKafka } from '../../src/local-stack/kafka.ts';
import { startMosquitto } from '../../src/local-stack/mosquitto.ts';
import { startPostgres } from '../../src/local-stack/postgres.ts';
import { startRegistry } from '../../src/local-stack/registry.ts';
import type { TestStack } from './stack.ts';

// Runs once before the tests of the project `real`: one Kafka, registry, mosquitto and PostgreSQL for the whole run, on free ports, in
// a temporary folder. A component that does not start fails the run. INGOT_TEST_STACK names a file with the addresses of components
// that run already.

let stopAll: (() => Promise<void>) | null = null;

export async function setup(project: TestProject): Promise<void> {
  const given = process.env['INGOT_TEST_STACK'];
  const stack = given ? (JSON.parse(readFileSync(given, 'utf8')) as TestStack) : await startComponents();
  project.provide('stack', stack);
}

export async function teardown(): Promise<void> {
  await stopAll?.();
}

/** The tests that need it will fail, each with a time-out of its own: here is why. */
const sayCrash = (error: Error): void => void process.stderr.write(`\n${error.message}\n`);

interface Stoppable {
  stop(): Promise<void>;
}

async function startComponents(): Promise<TestStack> {
  const startedAtMs = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'ingot-test-'));
  // The user postgres must pass through when we are root.
  chmodSync(folder, 0o755);
  const running: Stoppable[] = [];
  const kept = <Component extends Stoppable>(component: Component): Component => {
    running.push(component);
    return component;
  };
  const below = (name: string): string => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  };
  stopAll = async () => {
    // The last one started first: the registry reads from Kafka until its end.
    for (const component of running.reverse()) await component.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  const starting = [
    startKafka({ folder: below('kafka'), preferredPort: null, onCrash: sayCrash })
      .then(kept)
      .then(async ({ brokers }) => {
        const registry = kept(
          await startRegistry({ folder: below('registry'), kafkaBrokers: brokers, preferredPort: null, onCrash: sayCrash }),
        );
        return { kafkaBrokers: brokers, registryUrl: registry.url };
      }),
    startMosquitto({ folder: below('mosquitto'), isDurable: false, onCrash: sayCrash })
      .then(kept)
      .then(({ url }) => ({ mosquittoUrl: url })),
    startPostgres({ folder: below('postgres'), onCrash: sayCrash })
      .then(kept)
      .then(({ url }) => ({ postgresUrl: url })),
  ];
  const results = await Promise.allSettled(starting);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) {
    await stopAll();
    stopAll = null;
    throw failed.reason;
  }
  process.stdout.write(
    `Kafka, registry, mosquitto and PostgreSQL are up after ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s\n`,
  );
  return Object.assign({}, ...(await Promise.all(starting))) as TestStack;
}
