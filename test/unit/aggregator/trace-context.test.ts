// A trace goes through the aggregator: from the reading that caused an alert, or was refused, to the alert or the dead letter.

import { expect, test, vi } from 'vitest';
import type { AlertRule } from '../../../src/core/alert-rule.ts';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import { type AggregatorWorld, TOPICS } from '../../support/aggregator-world.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { partitionOfKey } from '../../support/oracle/murmur2.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';
import type { VirtualClock } from '../../support/virtual-clock.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const RULE: AlertRule = {
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
};
const traceOf = (number: number) => `00-${String(number).padStart(32, '4')}-00f067aa0ba902b7-01`;

/** Plays a scene with one aggregator on one partition. */
function play(rules: readonly AlertRule[], scene: (world: AggregatorWorld, clock: VirtualClock) => Promise<void>): Promise<void> {
  return playScene({}, async (world, clock) => {
    world.start({ ...PLAIN_SETTINGS, pastLimitMs: 3_600_000, rules }, 0);
    await clock.advance(1_000);
    await scene(world, clock);
  });
}

test('an alert carries the trace of the reading that caused it, a dead letter that of the refused one; garbage goes nowhere', () =>
  play([RULE], async (world, clock) => {
    const deviceId = Array.from({ length: 100 }, (_, index) => `d${index}`).find((id) => partitionOfKey(id, world.partitions) === 0)!;
    let second = 0;
    const record = (temperature: number, headers: Record<string, string>, backMs = 0): RecordStep => {
      const appendTime = START_MS + 1_000 * second++;
      const reading = plainReading({ deviceId, eventTime: appendTime - backMs, temperature });
      return { kind: 'record', offset: 0, appendTime, key: deviceId, reading, headers };
    };
    world.append(
      [
        record(90, { traceparent: traceOf(1) }),
        record(101, { traceparent: traceOf(2), tracestate: 'vendor=1' }),
        record(102, { traceparent: traceOf(3) }),
        record(90, {}),
        record(103, { traceparent: 'garbage' }),
        record(90, { traceparent: traceOf(6) }),
        record(90, { traceparent: traceOf(7) }, 7_200_000),
      ],
      1,
    );
    await clock.advance(5_000);
    expect(world.committed(TOPICS.alerts).map(({ headers }) => headers)).toEqual([
      { traceparent: traceOf(2), tracestate: 'vendor=1' },
      {},
      {},
      { traceparent: traceOf(6) },
    ]);
    expect(world.committed(TOPICS.readingsDlq).map(({ headers }) => headers)).toMatchObject([
      { 'failure-reason': 'ancient', traceparent: traceOf(7) },
    ]);
  }));

test('an alert that a timer raised carries no trace of the reading that moved the clock', () =>
  play([{ ...RULE, forMs: 5_000 }], async (world, clock) => {
    const record = (deviceId: string, second: number, trace: number): RecordStep => {
      const appendTime = START_MS + 1_000 * second;
      const reading = plainReading({ deviceId, eventTime: appendTime, temperature: 101 });
      return { kind: 'record', offset: 0, appendTime, key: deviceId, reading, headers: { traceparent: traceOf(trace) } };
    };
    world.append([record('d0', 0, 1)], 1);
    world.append([record('d1', 20, 2)], 1);
    await clock.advance(5_000);
    expect(world.committed(TOPICS.alerts).map(({ key, headers }) => [key, headers])).toEqual([['d0', {}]]);
  }));
