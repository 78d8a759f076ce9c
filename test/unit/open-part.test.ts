import { describe, expect, test } from 'vitest';
import { OpenPart } from '../../src/core/open-part.ts';
import { foldAll } from '../support/oracle/fold-oracle.ts';
import type { OracleSettings, RecordStep } from '../support/oracle/fold-steps.ts';
import { partitionOfKey } from '../support/oracle/murmur2.ts';
import { plainReading } from '../support/oracle/plain-reading.ts';
import { CoreDriver } from '../support/scenario-text/core-driver.ts';

const START_MS = Date.UTC(2026, 0, 1);
const DEVICE_ID = 'd1';
const SETTINGS: OracleSettings = {
  windowMs: 60_000,
  graceMs: 10_000,
  idleMs: 30_000,
  batchSize: 0,
  skewMs: 60_000,
  pastLimitMs: null,
  maxOpenParts: 10,
  maxDevices: 10,
  duplicateOffsets: 0,
  rules: [],
};
const SETUP = { partition: partitionOfKey(DEVICE_ID, 3), partitionCount: 3, settings: SETTINGS };

/** A reading with `count` metrics, of which the names begin at `from`. */
function manyMetrics(offset: number, from: number, count: number): RecordStep {
  const metrics = Object.fromEntries(Array.from({ length: count }, (_, index) => [`m${from + index}`, index]));
  const reading = plainReading({ deviceId: DEVICE_ID, eventTime: START_MS + offset, temperature: 20, metrics });
  return { kind: 'record', offset, appendTime: START_MS + offset, key: DEVICE_ID, reading };
}

describe('a device that makes up names', () => {
  const names = [400, 400, 199, 1, 0, 999, 1, 1_500, 3];
  let from = 0;
  const steps = names.map((count, offset) => {
    const step = manyMetrics(offset, from, count);
    from += count;
    return step;
  });

  test('has its parts closed before they grow without end, as the oracle says', () => {
    const driver = new CoreDriver(SETUP);
    const rows = steps.flatMap((step) => [...driver.record(step).aggregates]);
    expect(rows).toEqual(foldAll(SETUP, steps).aggregates);
    expect(new Set(rows.map(({ part }) => part))).toEqual(new Set([0, 4, 7]));
    expect(Math.max(...driver.stateBytes().map((bytes) => bytes.length))).toBeLessThan(200_000);
  });
});

test('a common metric among the others counts, unless its field has a value', () => {
  const part = new OpenPart({ start: 0, end: 60_000, part: 0, firstHeard: 0, late: false });
  part.add(plainReading({ deviceId: DEVICE_ID, eventTime: 1, temperature: 20, metrics: { temperature: 99 } }));
  part.add(plainReading({ deviceId: DEVICE_ID, eventTime: 2, metrics: { temperature: 30 } }));
  const metrics = part.metrics().map(([name, { count, sum }]) => ({ name, count, sum }));
  expect(metrics).toEqual([{ name: 'temperature', count: 2, sum: 50 }]);
});
