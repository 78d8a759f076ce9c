import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { murmur2, partitionForKey, partitionOfHash } from '../../src/core/murmur2.ts';

const reference = createRequire(import.meta.url)('kafkajs/src/producer/partitioners/default/murmur2') as (key: Buffer) => number;

describe('murmur2', () => {
  // The vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ])('of %s is %i, as in Java', (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  it('of three bytes equals the Java vector', () => {
    expect(murmur2(Buffer.from('abc'))).toBe(479470107);
  });

  it('equals the library for each length, slices included', () => {
    const bytes = Buffer.from(Array.from({ length: 40 }, (_, i) => (i * 211 + 97) & 0xff));
    for (let start = 0; start < 5; start++) {
      for (let end = start; end <= bytes.length; end++) expect(murmur2(bytes, start, end)).toBe(reference(bytes.subarray(start, end)));
    }
  });
});

describe('the partition of a key', () => {
  it('clears the sign bit and takes the remainder', () => {
    expect(partitionForKey(Buffer.from('21'), 12)).toBe((-973932308 & 0x7fffffff) % 12);
    expect(partitionOfHash(-2147483648, 7)).toBe(0);
  });
});
