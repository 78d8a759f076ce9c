// Works that wait for their turn.

import { expect, test } from 'vitest';
import { limitConcurrency, oneAfterAnother, type Slot } from '../../../src/aggregator/slots.ts';
import { inVirtualTime, type VirtualClock } from '../../support/virtual-clock.ts';

/** Gives the works to the slot at once; tells when each began and ended. */
function timesOf(slot: Slot, clock: VirtualClock, durationsMs: readonly number[]): { begun: number[]; ended: number[] } {
  const startMs = clock.nowMs;
  const begun: number[] = [];
  const ended: number[] = [];
  durationsMs.forEach((durationMs, index) => {
    const work = async (): Promise<void> => {
      begun[index] = clock.nowMs - startMs;
      await clock.sleep(durationMs);
      ended[index] = clock.nowMs - startMs;
      if (durationMs === 13) throw new Error('unlucky');
    };
    slot(work).catch(() => undefined);
  });
  return { begun, ended };
}

test('so many run at once, and a failure makes room too', () =>
  inVirtualTime(async (clock) => {
    const { begun } = timesOf(limitConcurrency(2), clock, [13, 30, 10, 10]);
    await clock.advance(100);
    expect(begun).toEqual([0, 0, 13, 23]);
  }));

test('one after the other, and a failure makes room too', () =>
  inVirtualTime(async (clock) => {
    const { begun } = timesOf(oneAfterAnother({ patienceMs: 1_000, limit: 3 }), clock, [13, 30, 10, 10]);
    await clock.advance(100);
    expect(begun).toEqual([0, 13, 43, 53]);
    expect(clock.waiting).toBe(0);
  }));

test('one that takes too long lets the next one in, up to the limit', () =>
  inVirtualTime(async (clock) => {
    const { begun, ended } = timesOf(oneAfterAnother({ patienceMs: 100, limit: 3 }), clock, [5_000, 5_000, 10, 5_000, 10]);
    await clock.advance(20_000);
    expect(begun).toEqual([0, 100, 200, 210, 5_000]);
    expect(ended[4]).toBe(5_010);
  }));
