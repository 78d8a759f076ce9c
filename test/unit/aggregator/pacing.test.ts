// How long a slice waits for more: for whom it is hurried, and when it may take its time.

import { expect, test } from 'vitest';
import { DEFAULT_PACE, type SliceSoFar, slicePatienceMs, sliceRecordsMax } from '../../../src/aggregator/pacing.ts';

const slice: SliceSoFar = { readings: 10, devices: 10, alerts: 0, lagRecords: 0 };

const cases: readonly [string, Partial<SliceSoFar>, number][] = [
  ['live, nothing to put out', {}, 50],
  ['live, an alert', { alerts: 1 }, 0],
  ['at the edge of live', { lagRecords: 5_000 }, 50],
  ['behind', { lagRecords: 5_001 }, 1_000],
  ['behind, an alert', { lagRecords: 5_001, alerts: 1 }, 250],
  ['at the edge of far behind', { lagRecords: 50_000, alerts: 1 }, 250],
  ['far behind, a few devices', { lagRecords: 50_001, readings: 4_000, devices: 1_000, alerts: 1 }, 1_000],
  ['far behind, nearly as many devices as readings', { lagRecords: 50_001, readings: 3_999, devices: 1_000, alerts: 1 }, 5_000],
];

test.each(cases)('%s', (_what, differs, patienceMs) => {
  expect(slicePatienceMs(DEFAULT_PACE, { ...slice, ...differs })).toBe(patienceMs);
});

test('nobody waits longer for alerts than for nothing', () => {
  const pace = { live: { recordsMax: 1, intervalMs: 3 }, behind: { recordsMax: 1, intervalMs: 20 }, behindRecords: 5 };
  expect(slicePatienceMs(pace, slice)).toBe(3);
  expect(slicePatienceMs(pace, { ...slice, alerts: 1, lagRecords: 6 })).toBe(20);
});

test('a slice that catches up may hold more', () => {
  expect(sliceRecordsMax(DEFAULT_PACE, 5_000)).toBe(5_000);
  expect(sliceRecordsMax(DEFAULT_PACE, 5_001)).toBe(100_000);
});
