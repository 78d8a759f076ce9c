import { describe, expect, it } from 'vitest';
import { ReadPace } from '../../../src/mqtt/read-pace.ts';

const REST_MS = 10;
const FLOWING_BYTES = 1_000;
const pace = (): ReadPace => new ReadPace({ restMs: REST_MS, flowingBytes: FLOWING_BYTES });
const read = (bytes: number, nowMs: number, isEmptied = true) => ({ bytes, isEmptied, nowMs });

describe('the pace of reading', () => {
  it('rests after each read of little', () => {
    const steady = pace();
    expect([100, 110, 120].map((nowMs) => steady.isRestDue(read(500, nowMs)))).toEqual([true, true, true]);
  });

  it('does not rest while there is more to read, and counts all of it', () => {
    const reading = pace();
    expect(reading.isRestDue(read(900, 100, false))).toBe(false);
    expect(reading.isRestDue(read(200, 100))).toBe(false);
  });

  it('goes on reading while more comes in the time of a rest than one may let lie, and rests again when less does', () => {
    const flood = pace();
    expect(flood.isRestDue(read(1_001, 100))).toBe(false);
    // Each alone is little; only what the time of a rest has brought tells.
    expect([101, 103, 105, 107, 109].map((nowMs) => flood.isRestDue(read(300, nowMs)))).toEqual([false, false, false, false, false]);
    expect(flood.isRestDue(read(300, 110))).toBe(false);
    expect([111, 115, 119].map((nowMs) => flood.isRestDue(read(300, nowMs)))).toEqual([false, false, false]);
    expect(flood.isRestDue(read(100, 120))).toBe(true);
  });
});
