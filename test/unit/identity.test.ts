import { describe, expect, it } from 'vitest';
import { identityOf } from '../../src/core/identity.ts';

const TOPIC = 'devices/d1/telemetry';

describe('identityOf', () => {
  it('gives the values that are stored in the logs of earlier versions', () => {
    const pinned = ['', 'a', 'abc', 'abcd', '{"ts":1795252383511,"temperature":20.5}'].map((payload) =>
      identityOf(TOPIC, Buffer.from(payload)),
    );
    expect(pinned).toMatchInlineSnapshot(`
      [
        559966920138682,
        4240133289348935,
        5679412158378358,
        848884574619254,
        4201785961656981,
      ]
    `);
  });

  it('has no collision in 200 000 messages that differ in one number', () => {
    const seen = new Set<number>();
    for (let i = 0; i < 200_000; i++) seen.add(identityOf(TOPIC, Buffer.from(`{"ts":${1_795_252_383_511 + i},"temperature":20.5}`)));
    expect(seen.size).toBe(200_000);
  });

  it('spreads over all 53 bits, and one changed bit of the input changes half of them', () => {
    const payload = Buffer.from('{"ts":1795252383511,"seq":17,"temperature":20.5,"humidity":44.1}');
    const ones = new Array<number>(53).fill(0);
    const before = identityOf(TOPIC, payload);
    const trials = payload.length * 8;
    for (let bit = 0; bit < trials; bit++) {
      const changed = Buffer.from(payload);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const difference = BigInt(before) ^ BigInt(identityOf(TOPIC, changed));
      for (let i = 0; i < 53; i++) ones[i]! += Number((difference >> BigInt(i)) & 1n);
    }
    // A fair coin thrown 512 times lies outside of 35 % to 65 % less than once in 10^11.
    for (const count of ones) expect(count / trials).toBeGreaterThan(0.35);
    for (const count of ones) expect(count / trials).toBeLessThan(0.65);
  });

  it('does not let a byte wander between topic and payload', () => {
    expect(identityOf('devices/d', Buffer.from('1{}'))).not.toBe(identityOf('devices/d1', Buffer.from('{}')));
  });

  it('is a safe integer and never 0', () => {
    for (let i = 0; i < 10_000; i++) {
      const identity = identityOf('', Buffer.from([i & 255, i >> 8]));
      expect(Number.isSafeInteger(identity) && identity > 0).toBe(true);
    }
  });
});
