// However a window is cut into parts (by count, by too many open parts, by silence, late, across restarts), the merge of its parts is the
// window as it would have been in one piece. The parts are those of the product; who merges is the oracle.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { firstTotalDifference } from '../support/oracle/compare.ts';
import type { OracleSettings, OracleStep } from '../support/oracle/fold-steps.ts';
import { totalsOfParts } from '../support/oracle/group-by-oracle.ts';
import type { AggregateRow } from '../support/oracle/output-rows.ts';
import { type RandomLog, randomLog } from '../support/oracle/random-log.ts';
import { CoreDriver } from '../support/scenario-text/core-driver.ts';
import { playStep } from '../support/scenario-text/fold-driver.ts';

const numRuns = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 300);
/** More runs get more time. */
const TIMEOUT_MS = 120_000 * Math.max(1, numRuns / 300);
/** Nothing closes before the end of the log, and everything then. */
const NEVER_MS = 20 * 365 * 86_400_000;
const AT_THE_END_MS = Date.UTC(2100, 0, 1);
const MANY = 1_000_000;

type Cutting = Pick<OracleSettings, 'batchSize' | 'maxOpenParts' | 'graceMs' | 'idleMs'>;

const cutting: fc.Arbitrary<Cutting> = fc.record({
  batchSize: fc.constantFrom(0, 1, 2, 3, 7),
  maxOpenParts: fc.constantFrom(1, 2, 3, MANY),
  graceMs: fc.constantFrom(0, 2_000, 10_000),
  idleMs: fc.constantFrom(0, 5_000, 30_000),
});
/** As long as most of what a random log tells of a device. */
const WINDOW_MS = 3_600_000;
const WHOLE: Cutting = { batchSize: 0, maxOpenParts: MANY, graceMs: NEVER_MS, idleMs: NEVER_MS };

/** The rows of the readings of a log, under settings of which only this is taken that says how windows are cut. */
function rowsOf({ setup, steps }: RandomLog, cut: Cutting, restarts: readonly boolean[]): AggregateRow[] {
  const settings = { ...setup.settings, windowMs: WINDOW_MS, maxDevices: MANY, rules: [], ...cut };
  const driver = new CoreDriver({ ...setup, settings });
  // A change of settings may change what a window is.
  const played: OracleStep[] = [...steps.filter(({ kind }) => kind !== 'settings'), { kind: 'tick', P: AT_THE_END_MS }];
  return played.flatMap((step, index) => {
    if (restarts[index] === true) driver.restart();
    return playStep(driver, step).aggregates;
  });
}

test('the parts of a window, merged, are the window in one piece', { timeout: TIMEOUT_MS }, () => {
  let [windows, parts] = [0, 0];
  fc.assert(
    fc.property(randomLog({ maxMoves: 100 }), cutting, fc.array(fc.boolean(), { maxLength: 100 }), (log, cut, restarts) => {
      const whole = rowsOf(log, WHOLE, []);
      const pieces = rowsOf(log, cut, restarts);
      expect(new Set(whole.map(({ deviceId, metric, windowStart }) => `${deviceId} ${metric} ${windowStart}`)).size).toBe(whole.length);
      expect(firstTotalDifference(totalsOfParts(whole), totalsOfParts(pieces), 'windows')).toBeNull();
      windows += whole.length;
      parts += pieces.length;
    }),
    { numRuns },
  );
  // Else nothing was cut.
  expect(parts).toBeGreaterThan(windows * 1.1);
});
