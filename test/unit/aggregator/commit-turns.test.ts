// Who may commit, and who has to wait for how long: turns by themselves, and the timing of one slice with them.

import { expect, test } from 'vitest';
import { createCommitTurns } from '../../../src/aggregator/commit-turns.ts';
import { TURN_PATIENCE_MS } from '../../../src/aggregator/pacing.ts';
import { SliceTiming } from '../../../src/aggregator/slice-timing.ts';

const PACE = {
  live: { recordsMax: 100, intervalMs: 50 },
  behind: { recordsMax: 100, intervalMs: 1_000 },
  behindRecords: 100,
};
const QUIET = { readings: 1, devices: 1, alerts: 0, lagRecords: 0 };

test('turns are free again when transactions end, and as many as are allowed now', () => {
  let atOnce = 1;
  const turns = createCommitTurns(() => atOnce);
  const nobody = (): void => undefined;
  turns.begin(nobody);
  expect(turns.isFree).toBe(false);
  atOnce = 2;
  expect(turns.isFree).toBe(true);
  turns.begin(nobody);
  expect(turns.isFree).toBe(false);
  turns.end();
  expect(turns.isFree).toBe(true);
});

test('whoever has waited longest is told first, and nobody who has gone', () => {
  const turns = createCommitTurns(() => 1);
  const told: string[] = [];
  const follow = (name: string) => {
    const who = (): void => void told.push(name);
    return { who, unfollow: turns.follow(who) };
  };
  const [first, second, third] = [follow('first'), follow('second'), follow('third')];
  turns.begin(first.who);
  turns.end();
  expect(told.splice(0)).toEqual(['second', 'third', 'first']);
  second.unfollow();
  turns.begin(third.who);
  turns.begin(second.who);
  turns.end();
  expect(told).toEqual(['first', 'third']);
});

test('an alert is due at once, waits for a turn, and not for ever', () => {
  const turns = createCommitTurns(() => 1);
  const timing = new SliceTiming(PACE, turns, () => undefined);
  timing.begin(1_000);
  expect(timing.leftMs(1_000, QUIET)).toBe(50);
  const alert = { ...QUIET, alerts: 1 };
  expect(timing.leftMs(1_000, alert)).toBe(0);
  turns.begin(() => undefined);
  expect(timing.leftMs(1_020, alert)).toBe(TURN_PATIENCE_MS);
  expect(timing.leftMs(1_020 + TURN_PATIENCE_MS, alert)).toBe(0);
  turns.end();
  expect(timing.leftMs(1_030, alert)).toBe(-30);
  timing.begin(2_000);
  turns.begin(() => undefined);
  expect(timing.leftMs(2_010, alert)).toBe(TURN_PATIENCE_MS);
});
