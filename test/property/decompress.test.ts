// Snappy and LZ4 as they are unpacked: sequences of literals and copies, encoded by the format's own page, give what a naive reading of
// them gives; and no bytes whatever do more than be refused. Bytes of real producers: test/contract/log-kafka-compression.test.ts.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptCompressionError, DecompressedTooLargeError } from '../../src/core/compression.ts';
import { lz4Decompress } from '../../src/core/lz4-decompress.ts';
import { snappyCompress } from '../../src/core/snappy-compress.ts';
import { snappyDecompress } from '../../src/core/snappy-decompress.ts';

const numRuns = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 1_000);
const BYTES_MAX = 1_000_000;

/** Literal bytes, then `length` bytes once more from `distance` before. */
interface Step {
  readonly literal: Uint8Array;
  readonly distance: number;
  readonly length: number;
}

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    literal: fc.oneof(
      { weight: 5, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 20 }) },
      { weight: 1, arbitrary: fc.uint8Array({ minLength: 50, maxLength: 300, size: 'max' }) },
    ),
    distance: fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 1, max: 10 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 4_000 }) },
    ),
    length: fc.oneof(
      { weight: 5, arbitrary: fc.integer({ min: 4, max: 64 }) },
      { weight: 1, arbitrary: fc.integer({ min: 65, max: 700 }) },
    ),
  }),
  { minLength: 1, maxLength: 12 },
);

/** What the steps say, byte by byte; distances are brought within what is there. */
function played(all: readonly Step[]): { bytes: Uint8Array; valid: readonly Step[] } {
  const bytes: number[] = [];
  const valid = all.map((step) => {
    bytes.push(...step.literal);
    const distance = Math.min(step.distance, bytes.length);
    for (let i = 0; i < step.length; i++) bytes.push(bytes[bytes.length - distance]!);
    return { ...step, distance };
  });
  return { bytes: Uint8Array.from(bytes), valid };
}

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);

function snappyBlock(valid: readonly Step[], length: number): number[] {
  const elements = valid.flatMap(({ literal, distance, length: copied }) => {
    const last = literal.length - 1;
    const lengthBytes = last < 60 ? [last << 2] : last < 256 ? [60 << 2, last] : [61 << 2, last & 255, last >>> 8];
    const copies: number[] = [];
    for (let left = copied; left > 0; left -= 64) {
      const bytes = Math.min(left, 64);
      if (bytes >= 4 && bytes <= 11 && distance < 2_048) copies.push(1 | ((bytes - 4) << 2) | ((distance >>> 8) << 5), distance & 255);
      else if (distance % 2 === 0) copies.push(2 | ((bytes - 1) << 2), distance & 255, distance >>> 8);
      else copies.push(3 | ((bytes - 1) << 2), distance & 255, distance >>> 8, 0, 0);
    }
    return [...lengthBytes, ...literal, ...copies];
  });
  return [...varint(length), ...elements];
}

function lz4Block(valid: readonly Step[]): number[] {
  const more = (length: number): number[] =>
    length < 15 ? [] : [...Array<number>(Math.floor((length - 15) / 255)).fill(255), (length - 15) % 255];
  const sequences = valid.flatMap(({ literal, distance, length }) => {
    const token = (Math.min(literal.length, 15) << 4) | Math.min(length - 4, 15);
    return [token, ...more(literal.length), ...literal, distance & 255, distance >>> 8, ...more(length - 4)];
  });
  // The last sequence is literals only.
  return [...sequences, 0];
}

const int32 = (value: number): number[] => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const XERIAL = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, ...int32(1), ...int32(1)];

/** A frame of the blocks, with every optional field that the flags can ask for. */
function lz4Frame(blocks: readonly { readonly bytes: readonly number[]; readonly isStored: boolean }[], hasOptions: boolean): Uint8Array {
  const header = [0x04, 0x22, 0x4d, 0x18, hasOptions ? 0x5c : 0x40, 0x40, ...(hasOptions ? [1, 2, 3, 4, 5, 6, 7, 8] : []), 0];
  const body = blocks.flatMap(({ bytes, isStored }) => [
    ...int32((bytes.length | (isStored ? 0x8000_0000 : 0)) >>> 0).reverse(),
    ...bytes,
    ...(hasOptions ? [9, 9, 9, 9] : []),
  ]);
  return Uint8Array.from([...header, ...body, 0, 0, 0, 0, ...(hasOptions ? [7, 7, 7, 7] : [])]);
}

/** Quicker than toEqual by orders of magnitude. */
function expectBytes(found: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(found, expected) !== 0) expect(Buffer.from(found).toString('hex')).toBe(Buffer.from(expected).toString('hex'));
}

describe('snappy', () => {
  test('unpacks what the format says, with and without the header of Java clients', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 1, maxLength: 3 }), (blocks) => {
        const all = blocks.map(played);
        const packed = all.map(({ bytes, valid }) => snappyBlock(valid, bytes.length));
        const framed = Uint8Array.from([...XERIAL, ...packed.flatMap((block) => [...int32(block.length), ...block])]);
        expectBytes(snappyDecompress(framed, BYTES_MAX), Buffer.concat(all.map(({ bytes }) => bytes)));
        expectBytes(snappyDecompress(Uint8Array.from(packed[0]!), BYTES_MAX), all[0]!.bytes);
      }),
      { numRuns: Math.min(numRuns, 2_000) },
    );
  });

  test('unpacks what our own producer packs', () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 60 }), (some, times) => {
        const { bytes } = played(some);
        const long = Buffer.concat(Array<Uint8Array>(times).fill(bytes));
        expect(Buffer.from(snappyDecompress(snappyCompress(long), 10_000_000)).equals(long)).toBe(true);
      }),
      { numRuns: Math.min(numRuns, 500) },
    );
  });
});

describe('LZ4', () => {
  test('unpacks what the format says: linked and stored blocks, optional fields, frames one after the other', () => {
    fc.assert(
      fc.property(
        fc.array(steps, { minLength: 1, maxLength: 3 }),
        fc.uint8Array({ minLength: 1 }),
        fc.boolean(),
        (blocks, stored, hasOptions) => {
          // Linked: distances of later blocks reach into earlier ones.
          const { bytes, valid } = played(blocks.flat());
          const first = valid.slice(0, blocks[0]!.length);
          const linked = [first, valid.slice(first.length)].filter((part) => part.length > 0);
          const packed = linked.map((part) => ({ bytes: lz4Block(part), isStored: false }));
          const frame = lz4Frame([...packed, { bytes: [...stored], isStored: true }], hasOptions);
          const expected = Buffer.concat([bytes, stored]);
          expectBytes(lz4Decompress(frame, BYTES_MAX), expected);
          expectBytes(lz4Decompress(Buffer.concat([frame, frame]), BYTES_MAX), Buffer.concat([expected, expected]));
        },
      ),
      { numRuns: Math.min(numRuns, 2_000) },
    );
  });
});

describe.each([
  ['snappy', snappyDecompress, (valid: readonly Step[], length: number) => Uint8Array.from(snappyBlock(valid, length))],
  ['LZ4', lz4Decompress, (valid: readonly Step[]) => lz4Frame([{ bytes: lz4Block(valid), isStored: false }], false)],
] as const)('%s', (_name, decompress, pack) => {
  const outcome = (bytes: Uint8Array): 'unpacked' | 'refused' => {
    try {
      expect(decompress(bytes, BYTES_MAX).length).toBeLessThanOrEqual(BYTES_MAX);
      return 'unpacked';
    } catch (error) {
      if (error instanceof CorruptCompressionError || error instanceof DecompressedTooLargeError) return 'refused';
      throw error;
    }
  };

  test('refuses damaged bytes, or unpacks something, and nothing else', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 });
    fc.assert(
      fc.property(steps, damage, fc.nat(), (some, changes, cut) => {
        const { bytes, valid } = played(some);
        const packed = pack(valid, bytes.length);
        for (const [at, byte] of changes) packed[at % packed.length] = byte;
        outcome(packed);
        outcome(packed.subarray(0, cut % packed.length));
      }),
      { numRuns: Math.min(numRuns, 2_000) },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void outcome(bytes)),
      { numRuns: Math.min(numRuns, 2_000) },
    );
  });

  test('stops at the limit, however few bytes ask for more', () => {
    const bomb = { literal: Uint8Array.of(0), distance: 1, length: 64 };
    const many = Array<Step>(200).fill(bomb);
    const { bytes, valid } = played(many);
    const packed = pack(valid, bytes.length);
    expect(decompress(packed, bytes.length).length).toBe(bytes.length);
    expect(() => decompress(packed, bytes.length - 1)).toThrow(DecompressedTooLargeError);
  });
});
