import fc from 'fast-check';
import { expect, it } from 'vitest';
import { snappyCompress } from '../../src/core/snappy-compress.ts';

// Against a decompressor that is written here from the format's description alone.

const RUNS = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 300);
const HEADER = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);

function decompressFramed(framed: Buffer): Buffer {
  expect(framed.subarray(0, 16)).toEqual(HEADER);
  const blocks: Buffer[] = [];
  for (let at = 16; at < framed.length; ) {
    const length = framed.readInt32BE(at);
    blocks.push(decompressBlock(framed.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return Buffer.concat(blocks);
}

function decompressBlock(block: Buffer): Buffer {
  let at = 0;
  let total = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = block[at++]!;
    total |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const bytes: number[] = [];
  while (at < block.length) {
    const tag = block[at++]!;
    if ((tag & 3) === 0) {
      let length = tag >>> 2;
      if (length >= 60) {
        const wide = length - 59;
        length = block.readUIntLE(at, wide);
        at += wide;
      }
      bytes.push(...block.subarray(at, at + length + 1));
      at += length + 1;
      continue;
    }
    const isShort = (tag & 3) === 1;
    expect(tag & 3).not.toBe(3);
    const length = isShort ? ((tag >>> 2) & 7) + 4 : (tag >>> 2) + 1;
    const offset = isShort ? ((tag >>> 5) << 8) | block[at]! : block.readUInt16LE(at);
    at += isShort ? 1 : 2;
    expect(offset).toBeGreaterThan(0);
    expect(offset).toBeLessThanOrEqual(bytes.length);
    for (let i = 0; i < length; i++) bytes.push(bytes[bytes.length - offset]!);
  }
  expect(bytes.length).toBe(total);
  return Buffer.from(bytes);
}

const roundTrip = (bytes: Uint8Array) => decompressFramed(Buffer.from(snappyCompress(bytes)));

/** Pieces that repeat, near and far, and noise between them. */
const compressible = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 90 }), fc.integer({ min: 1, max: 40 })), { maxLength: 60 })
  .map((pieces) => Buffer.concat(pieces.flatMap(([piece, times]) => Array.from({ length: times }, () => piece))));

it('what is compressed can be decompressed: any bytes', { timeout: 60_000 + RUNS * 10 }, () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 2_000 }), compressible), (bytes) => {
      expect(roundTrip(bytes).equals(bytes)).toBe(true);
    }),
    { numRuns: RUNS },
  );
});

it.each([
  ['nothing', Buffer.alloc(0)],
  ['one byte', Buffer.from([7])],
  ['one byte, many times', Buffer.alloc(200_000, 7)],
  ['four bytes, many times', Buffer.from('abcd'.repeat(40_000))],
  ['all lengths of literals and copies', Buffer.concat(Array.from({ length: 300 }, (_, i) => Buffer.from(`${'x'.repeat(i)}${i}`)))],
  ['a block exactly', Buffer.alloc(32 * 1024, 'device-')],
  ['a block and a byte', Buffer.alloc(32 * 1024 + 1, 'device-')],
  ['noise of many blocks', Buffer.from(Array.from({ length: 150_000 }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 13) & 0xff))],
])('%s', (_what, bytes) => {
  expect(roundTrip(bytes).equals(bytes)).toBe(true);
});

it('readings become less than half as large, and noise hardly larger', () => {
  const readings = Buffer.from(
    Array.from({ length: 1_000 }, (_, i) => `{"deviceId":"boiler-${i % 50}","ts":${1_795_252_383_511 + i},"temperature":20.5}`).join(''),
  );
  expect(snappyCompress(readings).length).toBeLessThan(readings.length / 2);
  const noise = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (Math.imul(i * i, 2_654_435_761) >>> 11) & 0xff));
  expect(snappyCompress(noise).length).toBeLessThan(noise.length * 1.02 + 64);
});
