import { describe, expect, test } from 'vitest';
import { type Comparison, compare } from '../../../simulators/compare.ts';
import type { ActualAlert } from '../../../simulators/compare-alerts.ts';
import type { ActualAggregate } from '../../../simulators/compare-windows.ts';
import type { TruthReading } from '../../../simulators/truth-file.ts';

const MINUTE_MS = 60_000;
const settings = {
  windowSizeMs: MINUTE_MS,
  rules: [{ id: 'hot', metric: 'temperature', above: 100, deadband: 5, forMs: 0, offDelayMs: 0 }],
};

const readings: TruthReading[] = [90, 101, 103, 94, 70].map((temperature, seq) => ({
  device: 'd1',
  ts: 1_000_000_000_000 + seq * 20_000,
  seq,
  sentAt: 0,
  metrics: { temperature },
  acked: true,
}));
const T0 = readings[0]!.ts;
const FIRST_WINDOW = Math.floor(T0 / MINUTE_MS) * MINUTE_MS;

function aggregate(change: Partial<ActualAggregate>): ActualAggregate {
  const windowStart = change.windowStart ?? FIRST_WINDOW;
  const row = { deviceId: 'd1', metric: 'temperature', windowStart, windowEnd: windowStart + MINUTE_MS, part: 0 };
  return { ...row, count: 1, min: 90, max: 90, mean: 90, sum: 90, ...change };
}

function alert(change: Partial<ActualAlert>): ActualAlert {
  return {
    alertId: 'a1',
    ruleId: 'hot',
    deviceId: 'd1',
    transition: 'RAISED',
    transitionNumber: 1,
    raisedAt: T0 + 20_000,
    resolvedAt: null,
    peakValue: 101,
    ...change,
  };
}

// 1 000 000 000 s is 40 s after a full minute: the first window holds one reading, the second three, the third one.
const rightAggregates = [
  aggregate({}),
  aggregate({ windowStart: FIRST_WINDOW + MINUTE_MS, part: 1, count: 2, min: 101, max: 103, sum: 204, mean: 102 }),
  aggregate({ windowStart: FIRST_WINDOW + MINUTE_MS, part: 3, count: 1, min: 94, max: 94, sum: 94, mean: 94 }),
  aggregate({ windowStart: FIRST_WINDOW + 2 * MINUTE_MS, part: 4, count: 1, min: 70, max: 70, sum: 70, mean: 70 }),
];
const rightAlerts = [alert({}), alert({ transition: 'RESOLVED', transitionNumber: 2, resolvedAt: T0 + 60_000, peakValue: 103 })];

function compared(change: {
  aggregates?: readonly ActualAggregate[];
  alerts?: readonly ActualAlert[];
  readings?: TruthReading[];
}): Comparison {
  return compare(change.readings ?? readings, settings, {
    aggregates: change.aggregates ?? rightAggregates,
    alerts: change.alerts ?? rightAlerts,
  });
}

function kinds(comparison: Comparison): string[] {
  return comparison.differences.map((difference) => difference.kind);
}

describe('comparing what came out with the truth', () => {
  test('no difference when everything is right, parts merged', () => {
    expect(compared({})).toEqual({
      readingsSent: 5,
      readingsAcked: 5,
      windowsExpected: 3,
      windowsEqual: 3,
      alertsExpected: 1,
      alertsEqual: 1,
      windowsUndecided: 0,
      alertsUndecided: 0,
      differences: [],
    });
  });

  test('rows of other devices and other times are not ours', () => {
    const foreign = [
      aggregate({ deviceId: 'd2' }),
      aggregate({ windowStart: FIRST_WINDOW - MINUTE_MS }),
      aggregate({ windowStart: FIRST_WINDOW + 3 * MINUTE_MS }),
    ];
    const alerts = [...rightAlerts, alert({ alertId: 'a0', raisedAt: T0 - 1 }), alert({ alertId: 'a2', deviceId: 'd2' })];
    expect(kinds(compared({ aggregates: [...rightAggregates, ...foreign], alerts }))).toEqual([]);
  });

  test.each<[kind: string, aggregates: ActualAggregate[]]>([
    ['window_missing', rightAggregates.slice(1)],
    ['window_differs', rightAggregates.slice(0, 3).concat(aggregate({ ...rightAggregates[3], count: 2 }))],
    ['window_differs', rightAggregates.slice(0, 3).concat(aggregate({ ...rightAggregates[3], min: 69.99 }))],
    ['window_differs', rightAggregates.slice(0, 3).concat(aggregate({ ...rightAggregates[3], sum: 70.0001 }))],
    ['window_differs', rightAggregates.filter((row) => row.part !== 3)],
    ['window_unexpected', [...rightAggregates, aggregate({ metric: 'humidity' })]],
    ['window_size', [...rightAggregates, aggregate({ windowEnd: FIRST_WINDOW + 1 })]],
  ])('%s', (kind, aggregates) => {
    expect(kinds(compared({ aggregates }))).toEqual([kind]);
  });

  test('a part that is there twice is named, and counted twice', () => {
    expect(kinds(compared({ aggregates: [...rightAggregates, rightAggregates[0]!] }))).toEqual(['part_repeated', 'window_differs']);
  });

  test.each<[kinds: string[], alerts: ActualAlert[]]>([
    [['alert_missing'], []],
    [['alert_differs'], rightAlerts.slice(0, 1)],
    [['alert_differs'], [rightAlerts[0]!, { ...rightAlerts[1]!, peakValue: 101 }]],
    [['alert_differs'], [rightAlerts[0]!, { ...rightAlerts[1]!, transition: 'EXPIRED' }]],
    [['alert_repeated'], [...rightAlerts, rightAlerts[1]!]],
    [['alert_unexpected'], [...rightAlerts, alert({ alertId: 'a2', raisedAt: T0 + 60_001 })]],
    [['alert_unexpected', 'alert_order'], [rightAlerts[0]!, alert({ alertId: 'a2', raisedAt: T0 + 20_001 }), rightAlerts[1]!].slice(0, 3)],
    [['alert_order'], rightAlerts.slice(1)],
  ])('%j', (expected, alerts) => {
    expect(new Set(kinds(compared({ alerts })))).toEqual(new Set(expected));
  });

  test('readings that were never acknowledged may be there or not, but not more', () => {
    const uncertain = readings.map((reading) => ({ ...reading, acked: reading.seq !== 4 }));
    const without = compared({ readings: uncertain, aggregates: rightAggregates.slice(0, 3) });
    expect(without).toMatchObject({ windowsUndecided: 1, windowsEqual: 2, readingsAcked: 4, differences: [] });
    expect(kinds(compared({ readings: uncertain }))).toEqual([]);
    const twice = rightAggregates.slice(0, 3).concat({ ...rightAggregates[3]!, count: 2 });
    expect(kinds(compared({ readings: uncertain, aggregates: twice }))).toEqual(['window_differs']);
  });

  test('the acknowledged readings of such a window must be there', () => {
    const uncertain = readings.map((reading) => ({ ...reading, acked: reading.seq !== 3 }));
    const alerts = rightAlerts.slice(0, 1);
    expect(kinds(compared({ readings: uncertain, alerts, aggregates: rightAggregates.filter((row) => row.part !== 3) }))).toEqual([]);
    expect(kinds(compared({ readings: uncertain, alerts, aggregates: rightAggregates.filter((row) => row.part !== 1) }))).toEqual([
      'window_differs',
    ]);
  });

  test('an alert that depends on such a reading is not judged', () => {
    const uncertain = readings.map((reading) => ({ ...reading, acked: reading.seq !== 3 }));
    expect(compared({ readings: uncertain })).toMatchObject({ alertsExpected: 0, alertsUndecided: 1, differences: [] });
  });

  test('an empty output is a difference for every window and alert', () => {
    expect(kinds(compared({ aggregates: [], alerts: [] }))).toEqual([
      'window_missing',
      'window_missing',
      'window_missing',
      'alert_missing',
    ]);
  });
});
