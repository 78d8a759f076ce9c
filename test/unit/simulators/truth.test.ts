import { describe, expect, test } from 'vitest';
import { expectedAlerts, expectedWindows } from '../../../simulators/truth.ts';
import type { TruthRule } from '../../../simulators/truth-alerts.ts';
import type { TruthReading } from '../../../simulators/truth-file.ts';

const S = 1000;

function rule(change: Partial<TruthRule> = {}): TruthRule {
  return { id: 'hot', metric: 'temperature', above: 100, deadband: 5, forMs: 0, offDelayMs: 0, ...change };
}

/** `10 101.5` = at second 10 the temperature is 101.5; `10 101.5 @500` = and it was sent at second 500; `10 -` = no temperature; `10 99 ?` = never acknowledged. */
function readings(...lines: readonly string[]): TruthReading[] {
  return lines.map((line, seq) => {
    const [at = '', value = '', ...marks] = line.split(' ');
    const sent = marks.find((mark) => mark.startsWith('@'));
    return {
      device: 'd1',
      ts: Number(at) * S,
      seq,
      sentAt: Number(sent?.slice(1) ?? at) * S,
      metrics: value === '-' ? { humidity: 50 } : { temperature: Number(value) },
      acked: !marks.includes('?'),
    };
  });
}

/** `raised..resolved peak`, in seconds; those that nobody can know last. */
function episodes(list: readonly TruthReading[], change: Partial<TruthRule> = {}): string[] {
  const { episodes: found, undecided } = expectedAlerts(list, [rule(change)]);
  return [
    ...found.map(({ raisedAt, resolvedAt, peak }) => `${raisedAt / S}..${resolvedAt === null ? '' : resolvedAt / S} ${peak}`),
    ...undecided.map(({ fromMs, toMs }) => `undecided ${fromMs === toMs ? fromMs / S : `${fromMs / S}-${toMs / S}`}`),
  ];
}

describe('expected alerts', () => {
  test.each<[name: string, lines: string[], change: Partial<TruthRule>, expected: string[]]>([
    ['equality is no breach', ['1 100', '2 100.01', '3 94'], {}, ['2..3 100.01']],
    ['the deadband keeps it raised', ['1 101', '2 99', '3 95', '4 103', '5 94.99'], {}, ['1..5 103']],
    ['without a deadband what is no breach ends it', ['1 101', '2 100', '3 101', '4 99'], { deadband: 0 }, ['1..2 101', '3..4 101']],
    ['still raised at the end', ['1 90', '2 120'], {}, ['2.. 120']],
    ['below is the mirror image', ['1 5', '2 -1', '3 1', '4 -3', '5 3'], { above: undefined, below: 0, deadband: 2 }, ['2..5 -3']],
    ['an older reading is not judged', ['1 90', '5 101', '3 80', '6 94'], {}, ['5..6 101']],
    ['an equal time is judged', ['1 90', '5 101', '5 80'], {}, ['5..5 101']],
    ['an older reading cannot raise', ['5 90', '3 101', '6 90'], {}, []],
    ['after five minutes without a judged reading an older one is', ['900 90', '3 101 @1300', '4 80 @1301'], {}, ['3..4 101']],
    ['close to five minutes nobody knows', ['900 90', '3 101 @1200', '4 80 @1201'], {}, ['undecided 3']],
    ['for: a breach that lasts', ['1 101', '2 102', '4 103', '5 80'], { forMs: 3 * S }, ['1..5 103']],
    ['for: equality of the duration is enough', ['1 101', '30.999 102', '31 101', '40 90'], { forMs: 30 * S }, ['1..40 102']],
    [
      'for: a breach on a clock that was set back lasts by its own times',
      ['900 90', '3 101 @1300', '33 101 @1305', '40 90 @1306'],
      { forMs: 30 * S },
      ['3..40 101'],
    ],
    [
      'off delay: begins anew on a clock that was set back',
      ['900 101', '901 90', '3 90 @1300', '603 90 @1320'],
      { offDelayMs: 600 * S },
      ['900..603 101'],
    ],
    ['for: too short', ['1 101', '20 102', '25 90', '40 90'], { forMs: 30 * S }, []],
    ['for: what is no breach starts it anew', ['1 101', '10 99', '20 101', '40 101', '50 101', '60 90'], { forMs: 30 * S }, ['20..60 101']],
    ['for: another metric of the device moves its clock', ['1 101', '5 -', '6 90'], { forMs: 3 * S }, ['1..6 101']],
    ['for: silence moves it too', ['1 101', '20 90', '21 90'], { forMs: 3 * S }, ['1..20 101']],
    ['for: silence that ends at the limit leaves it open', ['1 101', '4.5 90', '5 90'], { forMs: 3 * S }, ['undecided 1']],
    ['for: pending at the end', ['1 101'], { forMs: 3 * S }, ['undecided 1']],
    ['off delay: clear for long enough', ['1 101', '2 90', '3 90', '5 90', '6 90'], { offDelayMs: 3 * S }, ['1..5 101']],
    ['off delay: interrupted', ['1 101', '2 90', '3 99', '4 90', '5 90', '7 90'], { offDelayMs: 3 * S }, ['1..7 101']],
    ['off delay: elapsed in silence, at its own time', ['1 101', '2 90', '20 90'], { offDelayMs: 3 * S }, ['1..5 101']],
    [
      'what was not acknowledged leaves its episode open',
      ['1 101', '2 94', '3 101', '4 94 ?', '5 101', '6 94'],
      {},
      ['1..2 101', 'undecided 3', 'undecided 5'],
    ],
  ])('%s', (_name, lines, change, expected) => {
    expect(episodes(readings(...lines), change)).toEqual(expected);
  });

  test('each device and each rule on its own', () => {
    const list = readings('1 101', '2 94', '3 121', '4 90');
    const both = [...list, ...list.map((reading) => ({ ...reading, device: 'd2', ts: reading.ts + 1 }))];
    const { episodes: found } = expectedAlerts(both, [rule(), rule({ id: 'very-hot', above: 120 })]);
    expect(found.map(({ device, ruleId, raisedAt }) => `${device} ${ruleId} ${raisedAt}`)).toEqual([
      'd1 hot 1000',
      'd1 hot 3000',
      'd1 very-hot 3000',
      'd2 hot 1001',
      'd2 hot 3001',
      'd2 very-hot 3001',
    ]);
  });

  test('a rule without a threshold, or with two, is refused', () => {
    expect(() => expectedAlerts(readings('1 1'), [rule({ above: undefined })])).toThrow("either 'above' or 'below'");
    expect(() => expectedAlerts(readings('1 1'), [rule({ below: 1 })])).toThrow("either 'above' or 'below'");
  });
});

describe('expected windows', () => {
  test('are half open, in event time, whatever the order', () => {
    const list = readings('0 1', '9.999 3', '10 5', '19 7', '3 2');
    expect(
      expectedWindows(list, 10 * S).map(({ windowStart, count, min, max, sum, mean }) => [windowStart, count, min, max, sum, mean]),
    ).toEqual([
      [0, 3, 1, 3, 6, 2],
      [10_000, 2, 5, 7, 12, 6],
    ]);
  });

  test('sums lose nothing', () => {
    const [window] = expectedWindows(readings('0 1e16', '1 1', '2 1', '3 -1e16'), 10 * S);
    expect(window?.sum).toBe(2);
  });

  test('count what may be missing', () => {
    const [window] = expectedWindows(readings('0 1', '1 2 ?', '2 3 ?'), 10 * S);
    expect(window).toMatchObject({ count: 3, unacked: 2 });
  });
});
