// The oracle against a second, even more naive one, and against the invariants, on random logs.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstDifference, firstTotalDifference } from '../support/oracle/compare.ts';
import { type FoldResult, foldAll } from '../support/oracle/fold-oracle.ts';
import type { OracleStep, RecordStep } from '../support/oracle/fold-steps.ts';
import { type CountedReading, totalsOfParts, totalsOfReadings } from '../support/oracle/group-by-oracle.ts';
import { alertViolations, countViolations, partViolations } from '../support/oracle/invariants.ts';
import { metricValuesOf } from '../support/oracle/metric-values.ts';
import { type RandomLog, randomLog } from '../support/oracle/random-log.ts';
import { firstAppendTime, identityThatCounts } from '../support/oracle/replay-claims.ts';

const RUNS = { numRuns: 400 };

/** Later than everything that can be open: a tick of this closes all parts. */
const AT_THE_END_MS = Date.UTC(2100, 0, 1);

function closeEverything({ setup, steps }: RandomLog): { setup: RandomLog['setup']; steps: OracleStep[] } {
  return { setup, steps: [...steps, { kind: 'tick', P: AT_THE_END_MS }] };
}

function countedReadings({ setup, steps }: RandomLog, outcomes: FoldResult['outcomes']): CountedReading[] {
  const counted: CountedReading[] = [];
  let { windowMs } = setup.settings;
  for (const step of steps) {
    if (step.kind === 'settings') windowMs = step.settings.windowMs;
    if (step.kind !== 'record' || outcomes.get(step.offset) !== 'counted') continue;
    const { deviceId, eventTime } = step.reading!;
    counted.push({ deviceId, eventTime, windowMs, offset: step.offset, values: metricValuesOf(step.reading!) });
  }
  return counted;
}

function recordsOf(log: RandomLog): RecordStep[] {
  return log.steps.filter((step) => step.kind === 'record');
}

describe('the fold oracle on random logs', () => {
  test('its windows, merged, are what a group-by of the counted readings gives', () => {
    fc.assert(
      fc.property(randomLog(), (log) => {
        const { aggregates, outcomes } = foldAll(log.setup, closeEverything(log).steps);
        const expected = totalsOfReadings(countedReadings(log, outcomes));
        expect(firstTotalDifference(expected, totalsOfParts(aggregates), 'totals of windows')).toBeNull();
      }),
      RUNS,
    );
  });

  test('every record has one outcome, every part is unique, alerts alternate, counts agree', () => {
    fc.assert(
      fc.property(randomLog(), (log) => {
        const result = foldAll(log.setup, closeEverything(log).steps);
        expect([...result.outcomes.keys()]).toEqual(recordsOf(log).map(({ offset }) => offset));
        const rejected = [...result.outcomes].filter(([, outcome]) => !['counted', 'not_aggregatable', 'duplicate'].includes(outcome));
        expect(result.deadLetters).toEqual(rejected.map(([offset, reason]) => ({ offset, reason })));
        expect(partViolations(result.aggregates)).toEqual([]);
        expect(countViolations(result.aggregates, countedReadings(log, result.outcomes))).toEqual([]);
        expect(alertViolations(result.alerts)).toEqual([]);
      }),
      RUNS,
    );
  });

  test('an alert that was raised ends when its device is forgotten', () => {
    fc.assert(
      fc.property(randomLog(), (log) => {
        const { alerts } = foldAll(log.setup, closeEverything(log).steps);
        const ended = alerts
          .filter(({ transition }) => transition === 'RESOLVED' || transition === 'EXPIRED')
          .map(({ alertId }) => alertId);
        const raised = alerts.filter(({ transition }) => transition === 'RAISED').map(({ alertId }) => alertId);
        expect(ended.sort()).toEqual(raised.sort());
      }),
      RUNS,
    );
  });

  test('looking for what is due only when something can be gives the same as looking at every step', () => {
    fc.assert(
      fc.property(randomLog(), ({ setup, steps }) => {
        const [lazy, eager] = [foldAll(setup, steps), foldAll(setup, steps, { scanAlways: true })];
        expect(firstDifference(eager.aggregates, lazy.aggregates, { name: 'aggregates' })).toBeNull();
        expect(firstDifference(eager.alerts, lazy.alerts, { name: 'alerts' })).toBeNull();
        expect(lazy.deadLetters).toEqual(eager.deadLetters);
        expect(lazy.P).toBe(eager.P);
        expect(lazy.deviceCount).toBe(eager.deviceCount);
      }),
      RUNS,
    );
  });

  test('future, ancient and duplicate are what a look back over the whole log says', () => {
    fc.assert(
      fc.property(randomLog(), (log) => {
        const { outcomes } = foldAll(log.setup, log.steps);
        let { settings } = log.setup;
        const routed: RecordStep[] = [];
        for (const step of log.steps) {
          if (step.kind === 'settings') settings = step.settings;
          if (step.kind !== 'record') continue;
          const outcome = outcomes.get(step.offset)!;
          if (outcome === 'undecodable' || outcome === 'misrouted') continue;
          const identity = identityThatCounts(step, step.reading!.identity);
          const earlier = routed.findLast((other) => identity !== 0 && identityThatCounts(other, other.reading!.identity) === identity);
          const aheadMs = step.reading!.eventTime - step.appendTime;
          const lagMs = firstAppendTime(step) - step.reading!.eventTime;
          const isRepeat =
            earlier !== undefined &&
            step.offset - earlier.offset <= settings.duplicateOffsets &&
            step.appendTime - earlier.appendTime <= 24 * 3_600_000;
          if (aheadMs > settings.skewMs) expect(outcome).toBe('future');
          else if (settings.pastLimitMs !== null && lagMs > settings.pastLimitMs) expect(outcome).toBe('ancient');
          else if (isRepeat) expect(outcome).toBe('duplicate');
          else expect(['counted', 'not_aggregatable', 'state_limit']).toContain(outcome);
          routed.push(step);
        }
      }),
      RUNS,
    );
  });
});
