import { expect, test } from 'vitest';
import { parseDuration } from '../../../src/config/duration.ts';
import { formatDuration } from '../../../src/core/duration-text.ts';

test.each([
  ['250ms', 250],
  ['60s', 60_000],
  ['5m', 300_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['1h30m', 5_400_000],
  ['0.5s', 500],
  ['0s', 0],
])('%s is %i ms', (text, expected) => expect(parseDuration(text)).toBe(expected));

test.each(['', '60', '60 s', '-5s', 's', '5x', '1e3s', '5sm', '5S', '99999999999999999999d', 'unlimited'])('%j is not a duration', (text) =>
  expect(parseDuration(text)).toBeUndefined(),
);

test.each(['250ms', '1m30s', '7d', '1d2h3m4s5ms', '0s'])('%s is written as it is read', (text) => {
  expect(formatDuration(parseDuration(text)!)).toBe(text);
});

test('the form is the shortest', () => {
  expect(formatDuration(90_000)).toBe('1m30s');
  expect(formatDuration(Number.POSITIVE_INFINITY)).toBe('unlimited');
});
