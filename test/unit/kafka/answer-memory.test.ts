import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerAssembler, AnswerPool } from '../../../src/kafka/answer-memory.ts';

const RUNS = Number(process.env.INGOT_PROPERTY_RUNS ?? 100);

/** An answer of so many bytes, recognizable by its seed, with its length in front. */
function answerOf(size: number, seed: number): Buffer {
  const answer = Buffer.alloc(4 + size, seed & 0xff);
  answer.writeUInt32BE(size, 0);
  return answer;
}

/** Gives the bytes to the assembler as a socket would: at most so many at once as were asked for, and as there is room. */
function receive(assembler: AnswerAssembler, bytes: Buffer, pieceSizes: readonly number[]): void {
  let at = 0;
  for (let n = 0; at < bytes.length; n += 1) {
    const room = assembler.room();
    expect(room.length).toBeGreaterThan(0);
    const piece = bytes.subarray(at, at + Math.min(room.length, pieceSizes[n % pieceSizes.length]!));
    room.set(piece);
    assembler.filled(piece.length);
    at += piece.length;
  }
}

describe('an assembler', () => {
  it('gives each answer whole, however it came, while the memory of those that were read is used again', () => {
    const size = fc.oneof(fc.nat(40), fc.nat(300_000));
    const sizes = fc.array(size, { maxLength: 12 });
    const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 10_000, max: 400_000 })), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(sizes, pieces, fc.nat(3), (ofAnswers, pieceSizes, keptMax) => {
        const answers = ofAnswers.map((bytes, n) => answerOf(bytes, n + 1));
        const pool = new AnswerPool();
        const kept: { frame: Buffer; n: number }[] = [];
        let seen = 0;
        const check = ({ frame, n }: { frame: Buffer; n: number }): void => {
          expect(frame.equals(answers[n]!)).toBe(true);
          pool.giveBack(frame);
          frame.fill(0xee);
        };
        const assembler = new AnswerAssembler(pool, (frame) => {
          kept.push({ frame, n: seen });
          seen += 1;
          if (kept.length > keptMax) check(kept.shift()!);
        });
        const large = ofAnswers.some((bytes) => bytes > 5_000);
        receive(assembler, Buffer.concat(answers), large ? pieceSizes.map((bytes) => bytes * 997) : pieceSizes);
        expect(seen).toBe(answers.length);
        for (const one of kept) check(one);
      }),
      { numRuns: RUNS },
    );
  });

  it('takes no memory for a length that nothing follows', () => {
    const pool = new AnswerPool();
    const assembler = new AnswerAssembler(pool, () => expect.unreachable());
    receive(assembler, Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), [5]);
    expect(assembler.room().length).toBeLessThan(100_000);
  });
});

describe('a pool', () => {
  it('gives what was given back, leaves alone what is not its own, and keeps no more than its bound', () => {
    const pool = new AnswerPool();
    const piece = pool.take(100_000);
    pool.giveBack(piece.subarray(7, 9));
    expect(pool.freeBytes).toBe(piece.length);
    expect(pool.take(10).buffer).toBe(piece.buffer);
    pool.giveBack(Buffer.alloc(50));
    expect(pool.freeBytes).toBe(0);
    const pieces = Array.from({ length: 30 }, () => pool.take(1_000_000));
    for (const each of pieces) pool.giveBack(each);
    expect(pool.freeBytes).toBeLessThanOrEqual(16 * 1024 * 1024);
    expect(pool.freeBytes).toBeGreaterThan(12 * 1024 * 1024);
  });
});
