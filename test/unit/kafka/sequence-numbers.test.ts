import { expect, test } from 'vitest';
import { SequenceNumbers } from '../../../src/kafka/sequence-numbers.ts';

const at = { topic: 't', partition: 0 };

test('begin with 0, count records, each partition by itself', () => {
  const numbers = new SequenceNumbers();
  expect(numbers.next(at)).toBe(0);
  numbers.advance(at, 5);
  numbers.advance(at, 1);
  numbers.advance({ topic: 't', partition: 1 }, 3);
  numbers.advance({ topic: 'u', partition: 0 }, 7);
  expect(numbers.next(at)).toBe(6);
  expect(numbers.next({ topic: 't', partition: 1 })).toBe(3);
  expect(numbers.next({ topic: 'u', partition: 0 })).toBe(7);
  expect(numbers.next({ topic: 'u', partition: 1 })).toBe(0);
});

test.each([
  [2 ** 31 - 1, 1, 0],
  [2 ** 31 - 3, 5, 2],
  [2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 2],
])('behind the largest of 31 bits comes 0: %i and %i records make %i', (first, count, expected) => {
  const numbers = new SequenceNumbers(first);
  numbers.advance(at, count);
  expect(numbers.next(at)).toBe(expected);
});
