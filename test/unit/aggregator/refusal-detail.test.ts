import { expect, test } from 'vitest';
import { refusalDetail } from '../../../src/aggregator/refusal-detail.ts';
import { foldSettingsOf } from '../../support/scenario-text/core-driver.ts';

const settings = foldSettingsOf({
  windowMs: 60_000,
  graceMs: 10_000,
  idleMs: 30_000,
  batchSize: 0,
  skewMs: 60_000,
  pastLimitMs: 3_600_000,
  maxOpenParts: 4,
  maxDevices: 7,
  duplicateOffsets: 10,
  rules: [],
});
const appendTimeMs = Date.UTC(2026, 0, 1);

test('a refused reading says by how much it was off, and what is allowed', () => {
  const times = { eventTimeMs: appendTimeMs + 90_000, appendTimeMs, firstAppendTimeMs: 1 };
  expect(refusalDetail('future', times, settings)).toBe(
    'event time 2026-01-01T00:01:30.000Z is 1m30s after the append time; 1m is allowed',
  );
  const ancient = { eventTimeMs: appendTimeMs - 3_600_001, appendTimeMs: 9e12, firstAppendTimeMs: appendTimeMs };
  expect(refusalDetail('ancient', ancient, settings)).toBe(
    'event time 2025-12-31T22:59:59.999Z is 1h1ms before the append time; 1h is allowed',
  );
  expect(refusalDetail('state_limit', null, settings)).toContain('7 devices');
});
