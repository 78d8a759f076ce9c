// The pieces that the oracles stand on, against published values and against slower ways to get the same.

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstDifference, firstTotalDifference } from '../support/oracle/compare.ts';
import { exactSum } from '../support/oracle/exact-sum.ts';
import { foldAll } from '../support/oracle/fold-oracle.ts';
import type { OracleSettings, OracleStep } from '../support/oracle/fold-steps.ts';
import { totalsOfParts } from '../support/oracle/group-by-oracle.ts';
import { commonMetricNames } from '../support/oracle/metric-values.ts';
import { murmur2, partitionOfKey } from '../support/oracle/murmur2.ts';
import { neumaierSum, welfordM2 } from '../support/oracle/open-part.ts';
import { plainReading } from '../support/oracle/plain-reading.ts';
import { uuidV5 } from '../support/oracle/uuid-v5.ts';

const settings: OracleSettings = {
  windowMs: 60_000,
  graceMs: 10_000,
  idleMs: 30_000,
  batchSize: 0,
  skewMs: 60_000,
  pastLimitMs: null,
  maxOpenParts: 10,
  maxDevices: 10,
  duplicateOffsets: 10,
  rules: [
    {
      id: 'hot',
      version: 1,
      metric: 'temperature',
      direction: 'above',
      threshold: 100,
      deadband: 5,
      forMs: 0,
      offDelayMs: 0,
      severity: 'CRITICAL',
      unit: 'Cel',
      labels: {},
      levels: [],
      staleAfterMs: null,
    },
  ],
};

const steps: OracleStep[] = [
  { kind: 'record', offset: 3, appendTime: 1000, key: 'd1', reading: plainReading({ deviceId: 'd1', eventTime: 1000, temperature: 101 }) },
  { kind: 'tick', P: 900_000 },
];

function schemaFields(name: string): string[] {
  const text = readFileSync(new URL(`../../schemas/${name}.avsc`, import.meta.url), 'utf8');
  return (JSON.parse(text) as { fields: { name: string }[] }).fields.map((field) => field.name);
}

describe('the pieces of the oracle', () => {
  test("murmur2 gives the values of Kafka's own UtilsTest", () => {
    const known: [string, number][] = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
      ['abc', 479470107],
    ];
    for (const [key, hash] of known) expect(murmur2(Buffer.from(key)) | 0).toBe(hash);
    expect(partitionOfKey('abc', 12)).toBe(479470107 % 12);
    expect(partitionOfKey('21', 12)).toBe((-973932308 & 0x7fffffff) % 12);
  });

  test("UUIDv5 gives what Python's uuid.uuid5 gives", () => {
    expect(uuidV5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'www.example.com')).toBe('2ed6657d-e927-568b-95e1-2665a8aea6a2');
  });

  test('the exact sum keeps what doubles lose', () => {
    expect(exactSum([1e100, 1, -1e100])).toBe(1);
    expect(exactSum([1e308, 1e308, -1e308, 5e-324])).toBe(1e308);
    expect(exactSum([5e-324, 5e-324])).toBe(1e-323);
    expect(exactSum([])).toBe(0);
    expect(exactSum(Array.from({ length: 10 }, () => 0.1))).toBe(1);
    expect(() => exactSum([Number.NaN])).toThrow('no exact sum');
  });

  test('the compensated sum and m2 agree with exact arithmetic', () => {
    expect(neumaierSum([1, 1e100, 1, -1e100])).toBe(2);
    const values = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(values, (list) => {
        const exact = exactSum(list);
        const magnitude = list.reduce((sum, value) => sum + Math.abs(value), 0);
        expect(Math.abs(neumaierSum(list) - exact)).toBeLessThanOrEqual(Math.abs(exact) * 2 ** -52 + magnitude * 2 ** -90);
        const mean = exact / list.length;
        const m2 = exactSum(list.map((value) => (value - mean) ** 2));
        expect(Math.abs(welfordM2(list) - m2)).toBeLessThanOrEqual(1e-9 * m2 + 1e-13 * magnitude ** 2 + 1e-300);
      }),
    );
  });

  test('rows have exactly the fields of the schemas', () => {
    const { aggregates, alerts } = foldAll({ partition: 0, partitionCount: 1, settings }, steps);
    expect(Object.keys(aggregates[0]!).sort()).toEqual(schemaFields('window-aggregate').sort());
    expect(Object.keys(alerts[0]!).sort()).toEqual(schemaFields('alert').sort());
    expect(schemaFields('sensor-reading')).toEqual(expect.arrayContaining([...commonMetricNames]));
    expect(commonMetricNames).toHaveLength(9);
  });

  test('settings of one fold do not leak into the next', () => {
    const setup = { partition: 0, partitionCount: 1, settings };
    expect(foldAll(setup, steps).alerts).toEqual(foldAll(setup, steps).alerts);
  });
});

describe('comparing', () => {
  const { aggregates } = foldAll({ partition: 0, partitionCount: 1, settings }, steps);
  const row = aggregates[0]!;

  test('equal lists have no difference', () => {
    expect(firstDifference(aggregates, structuredClone(aggregates), { name: 'aggregates' })).toBeNull();
    expect(firstDifference([{ summary: 'a' }], [{ summary: 'b' }], { name: 'alerts', ignore: ['summary'] })).toBeNull();
  });

  test('the first difference names row, field and both values', () => {
    const text = firstDifference([row, row], [row, { ...row, count: 2 }], { name: 'aggregates' });
    expect(text).toContain('aggregates: row 1 differs (expected 2 rows, got 2)');
    expect(text).toContain('count: expected 1, got 2');
  });

  test('a missing row, a further row, a further field and another nested value are differences', () => {
    expect(firstDifference([row], [], { name: 'x' })).toContain('this row is missing');
    expect(firstDifference([], [row], { name: 'x' })).toContain('this row is one too many');
    expect(firstDifference([{ a: 1 }], [{ a: 1, b: 2 }], { name: 'x' })).toContain('b: expected nothing, got 2');
    expect(firstDifference([{ a: [{ o: 1 }] }], [{ a: [{ o: 2 }] }], { name: 'x' })).toContain('a: expected [{"o":1}], got [{"o":2}]');
    expect(firstDifference([{ a: 0.3 }], [{ a: 0.1 + 0.2 }], { name: 'x' })).toContain('a: expected 0.3');
  });

  test('totals of windows may differ by rounding in sum and m2, and in nothing else', () => {
    const [total] = totalsOfParts([{ ...row, sum: 0.3 }]);
    expect(firstTotalDifference([total!], [{ ...total!, sum: 0.1 + 0.2 }], 'totals')).toBeNull();
    expect(firstTotalDifference([total!], [{ ...total!, sum: 0.3001 }], 'totals')).toContain('sum: expected 0.3');
    expect(firstTotalDifference([total!], [{ ...total!, max: total!.max + 1e-12 }], 'totals')).toContain('max: expected');
  });
});
