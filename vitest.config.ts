import { defineConfig } from 'vitest/config';
import { SuiteTimesReporter } from './test/support/suite-times.ts';

// Two projects: `pure` needs nothing but Node; `real` gets Kafka, a schema registry, mosquitto and PostgreSQL from its global setup, once for
// the whole run. `vitest run test/unit` starts no component.

/** `npm run soak`: each test does what it does so many times. */
const soakTimes = Math.max(1, Number(process.env['INGOT_FAULT_REPEATS'] ?? 1));
const FAKE_CONTRACTS = 'test/contract/**/*fake*.test.ts';

/** What the CLI sets too: kafkajs asks for timers that lie in the past, and Node warns about each. */
const execArgv = ['--disable-warning=TimeoutNegativeWarning'];

export default defineConfig({
  test: {
    teardownTimeout: 30_000,
    reporters: process.env['CI'] ? ['default', new SuiteTimesReporter()] : ['default'],
    projects: [
      {
        test: {
          name: 'pure',
          include: ['test/*.test.ts', 'test/{unit,property,scenarios}/**/*.test.ts', FAKE_CONTRACTS],
          testTimeout: 20_000 * soakTimes,
          maxWorkers: 2,
          setupFiles: ['test/support/quiet-log.ts'],
          execArgv,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'real',
          include: ['test/{contract,integration,integrity,e2e}/**/*.test.ts'],
          exclude: [FAKE_CONTRACTS],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 180_000 * soakTimes,
          hookTimeout: 120_000,
          // These tests wait for other processes most of the time.
          maxWorkers: 3,
          setupFiles: ['test/support/quiet-log.ts'],
          execArgv,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
