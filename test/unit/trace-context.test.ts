import { describe, expect, it } from 'vitest';
import { traceContextIn, traceContextOf } from '../../src/core/trace-context.ts';

const PARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('traceparent', () => {
  it('is passed on as it came', () => {
    expect(traceContextOf(PARENT, '')).toEqual([['traceparent', PARENT]]);
  });

  it.each([
    ['a later version', 'cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    ['a later version with more to say', 'cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-else'],
    ['flags that are not known', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff'],
  ])('may be %s', (_what, text) => {
    expect(traceContextOf(text, '')).toEqual([['traceparent', text]]);
  });

  it.each([
    ['empty', ''],
    ['of the version that must not be', 'ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    ['longer than its version allows', `${PARENT}-more`],
    ['shorter', PARENT.slice(0, -1)],
    ['in capitals', PARENT.toUpperCase()],
    ['without a trace', '00-00000000000000000000000000000000-00f067aa0ba902b7-01'],
    ['without a span', '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01'],
    ['followed by a line feed', `${PARENT}\n`],
    ['of any length', `cc${PARENT.slice(2)}-${'x'.repeat(100_000)}`],
    ['with a control character', `cc${PARENT.slice(2)}-a\u0000`],
  ])('counts as none when it is %s, and takes its tracestate with it', (_what, given) => {
    expect(traceContextOf(given, 'vendor=1')).toBeNull();
  });
});

describe('tracestate', () => {
  const stateOf = (given: string) => traceContextOf(PARENT, given)?.[1]?.[1];

  it.each(['vendor=1', 'a=1,b=2', 'fw529a3039@dt=FfAbC', ' a=1 ,\tb=2', 'a=1,,b=2', 'a=x y', `${'k'.repeat(256)}=v`])(
    'is passed on as it came: %j',
    (text) => {
      expect(stateOf(text)).toBe(text);
    },
  );

  it.each([
    '',
    ',',
    'vendor',
    'Vendor=1',
    'a=1=2',
    'a=',
    'a=1,a=2',
    'a=ü',
    'a=1\r\nb: 2',
    Array.from({ length: 33 }, (_, i) => `k${i}=v`).join(','),
    `a=${'x'.repeat(600)}`,
  ])('is left out when it is malformed: %j', (text) => {
    expect(traceContextOf(PARENT, text)).toEqual([['traceparent', PARENT]]);
  });
});

describe('in the properties of a PUBLISH', () => {
  const text = (value: string) => [0, value.length, ...Buffer.from(value)];
  const user = (name: string, value: string) => [0x26, ...text(name), ...text(value)];
  const contextIn = (...parts: readonly (readonly number[])[]) => traceContextIn(Uint8Array.from(parts.flat()));

  it('is found among all others', () => {
    const others = [
      [1, 1],
      [2, 0, 0, 0, 9],
      [35, 0, 1],
      [8, ...text('reply/to')],
      [9, ...text('id')],
      [11, 0x80, 1],
      [3, ...text('json')],
    ];
    expect(contextIn(...others, user('other', 'x'), user('traceparent', PARENT), user('tracestate', 'a=1'))).toEqual([
      ['traceparent', PARENT],
      ['tracestate', 'a=1'],
    ]);
    expect(contextIn(...others)).toBeNull();
    expect(contextIn()).toBeNull();
  });

  it('that is given twice counts as none, but several tracestates are one list', () => {
    expect(contextIn(user('traceparent', PARENT), user('traceparent', PARENT))).toBeNull();
    expect(contextIn(user('tracestate', 'a=1'), user('traceparent', PARENT), user('tracestate', 'b=2'))?.[1]).toEqual([
      'tracestate',
      'a=1,b=2',
    ]);
  });

  it('never makes it throw, whatever the bytes', () => {
    const whole = [...user('traceparent', PARENT), ...user('tracestate', 'a=1')];
    for (let length = 0; length < whole.length; length++) contextIn(whole.slice(0, length));
    for (let id = 0; id < 256; id++) expect(contextIn([id, 0xff, 0xff, 0xff, 0xff, 0xff], user('traceparent', PARENT))).toBeNull();
  });
});
