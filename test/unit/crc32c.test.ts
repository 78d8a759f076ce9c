import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../src/core/crc32c.ts';

const reference = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number;

describe('crc32c', () => {
  it('is the Castagnoli polynomial (check value of RFC 3720)', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
    expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  });

  it('is 0 for no bytes', () => {
    expect(crc32c(Buffer.alloc(0))).toBe(0);
  });

  it('equals the library for each length and start, so that head and tail of the eight-byte steps are right', () => {
    const bytes = Buffer.from(Array.from({ length: 80 }, (_, i) => (i * 167 + 13) & 0xff));
    for (let start = 0; start < 9; start++) {
      for (let end = start; end <= bytes.length; end++) {
        expect(crc32c(bytes, start, end)).toBe(reference(bytes.subarray(start, end)));
      }
    }
  });

  it('equals the library where it works on three stretches at once, and around their ends', () => {
    const bytes = Buffer.from(Array.from({ length: 10_000 }, (_, i) => (i * i * 31 + i) & 0xff));
    for (const length of [3_064, 3_071, 3_072, 3_073, 3_081, 6_143, 6_144, 6_150, 9_999]) {
      expect(crc32c(bytes, 1, 1 + length)).toBe(reference(bytes.subarray(1, 1 + length)));
    }
  });
});
