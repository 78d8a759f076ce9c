// The product's fold against the oracle that was written from the same page, on random logs: same rows, same alerts, same outcomes, in the same order.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ALERT_IGNORED_FIELDS, firstDifference } from '../support/oracle/compare.ts';
import { foldAll } from '../support/oracle/fold-oracle.ts';
import { randomLog } from '../support/oracle/random-log.ts';
import { coreDriver } from '../support/scenario-text/core-driver.ts';
import { type DriverOutputs, playStep } from '../support/scenario-text/fold-driver.ts';

const numRuns = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 2_000);
/** More runs get more time. */
const TIMEOUT_MS = 120_000 * Math.max(1, numRuns / 2_000);

test(`the fold writes what the oracle writes, on ${numRuns} random logs`, { timeout: TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(randomLog(), ({ setup, steps }) => {
      const expected = foldAll(setup, steps);
      const driver = coreDriver.create(setup);
      const outputs: DriverOutputs[] = steps.map((step) => playStep(driver, step));
      const outcomes = outputs.map(({ outcome }) => outcome).filter((outcome) => outcome !== null);
      expect(outcomes).toEqual([...expected.outcomes.values()]);
      const rows = (list: 'aggregates' | 'alerts' | 'deadLetters') => outputs.flatMap((output): readonly object[] => output[list]);
      expect(firstDifference(expected.aggregates, rows('aggregates'), { name: 'aggregates' })).toBeNull();
      expect(firstDifference(expected.alerts, rows('alerts'), { name: 'alerts', ignore: ALERT_IGNORED_FIELDS })).toBeNull();
      expect(rows('deadLetters')).toEqual(expected.deadLetters);
    }),
    { numRuns },
  );
});
