import { describe, expect, test } from 'vitest';
import { parseSince, parseUntil } from '../../../src/cli/tail/since.ts';

const NOW_MS = Date.parse('2026-08-01T12:00:00Z');

describe('--since', () => {
  test.each([
    ['10m', '2026-08-01T11:50:00Z'],
    ['1h30m', '2026-08-01T10:30:00Z'],
    ['2026-08-01T10:00:00Z', '2026-08-01T10:00:00Z'],
    ['2026-08-01T10:00', '2026-08-01T10:00:00Z'],
    ['2026-08-01T10:00:00+02:00', '2026-08-01T08:00:00Z'],
    ['2026-08-01', '2026-08-01T00:00:00Z'],
  ])('%s', (text, expected) => {
    expect(parseSince(text, NOW_MS)).toEqual({ kind: 'time', timeMs: Date.parse(expected) });
  });

  test('words', () => {
    expect(parseSince('beginning', NOW_MS)).toEqual({ kind: 'beginning' });
    expect(parseSince('now', NOW_MS)).toEqual({ kind: 'now' });
  });

  test.each(['', '10', 'yesterday', '2026-13-01', '01/08/2026', '2026-08-01T25:00'])('%j is refused', (text) => {
    expect(() => parseSince(text, NOW_MS)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});

describe('--until', () => {
  test('takes the same forms; without it there is no end', () => {
    expect(parseUntil('10m', { kind: 'beginning' }, NOW_MS)).toBe(Date.parse('2026-08-01T11:50:00Z'));
    expect(parseUntil('now', { kind: 'time', timeMs: 5 }, NOW_MS)).toBe(NOW_MS);
    expect(parseUntil(undefined, { kind: 'now' }, NOW_MS)).toBeNull();
  });

  test.each([
    ['yesterday', { kind: 'beginning' }],
    ['10m', { kind: 'now' }],
    ['2h', { kind: 'time', timeMs: NOW_MS - 3_600_000 }],
  ] as const)('%j since %j is refused', (text, since) => {
    expect(() => parseUntil(text, since, NOW_MS)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
