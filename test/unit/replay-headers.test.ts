import { describe, expect, test } from 'vitest';
import { attemptOf, firstAppendTimeOf, REPLAY_WAIT_MAX_MS, replayIdentityOf } from '../../src/core/replay-headers.ts';

const APPENDED_MS = Date.UTC(2026, 0, 10);
const headers = (name: string, value: string) => new Map([[name, Buffer.from(value)]]);
/** Whatever anybody may write, and what is no number from 1 to 2^53 - 1 in plain digits. */
const NONSENSE = [
  '',
  '0',
  '-1',
  '+1',
  '1.0',
  '1e3',
  ' 1',
  '1 ',
  '01',
  '0x10',
  '9007199254740992',
  '99999999999999999',
  'now',
  '\u0661',
  '1\n',
];

describe('the first append time', () => {
  const of = (text: string) => firstAppendTimeOf(headers('first-append-time', text), APPENDED_MS);

  test('is believed from 60 days before the append time up to it', () => {
    for (const waitedMs of [0, 1, REPLAY_WAIT_MAX_MS]) expect(of(String(APPENDED_MS - waitedMs))).toBe(APPENDED_MS - waitedMs);
    for (const waitedMs of [-1, REPLAY_WAIT_MAX_MS + 1]) expect(of(String(APPENDED_MS - waitedMs))).toBe(APPENDED_MS);
  });

  test.each(NONSENSE)('%j counts as none', (text) => expect(of(text)).toBe(APPENDED_MS));

  test('is the append time without a header', () => expect(firstAppendTimeOf(new Map(), APPENDED_MS)).toBe(APPENDED_MS));
});

describe('the identity of a replay', () => {
  test('is a whole number from 1 to 2^53 - 1', () => {
    expect(replayIdentityOf(headers('replay-identity', '1'))).toBe(1);
    expect(replayIdentityOf(headers('replay-identity', '9007199254740991'))).toBe(Number.MAX_SAFE_INTEGER);
    expect(replayIdentityOf(new Map())).toBeNull();
  });

  test.each(NONSENSE)('%j counts as none', (text) => expect(replayIdentityOf(headers('replay-identity', text))).toBeNull());
});

test('attempts are counted from 1 and not without end', () => {
  expect(attemptOf(new Map())).toBe(1);
  expect(attemptOf(headers('attempt', '3'))).toBe(3);
  expect(attemptOf(headers('attempt', '123456'))).toBe(999);
});
