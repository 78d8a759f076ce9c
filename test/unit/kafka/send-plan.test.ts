import { expect, test } from 'vitest';
import { MAX_CALL_BYTES, type Plannable, planCalls } from '../../../src/kafka/send-plan.ts';

interface Named extends Plannable {
  readonly name: string;
}

const batch = (name: string, topic: string, partition: number, length = 10): Named => ({ name, topic, partition, payload: { length } });
const names = (batches: readonly Named[], leader: (one: Named) => string = () => '0') =>
  planCalls(batches, leader).map((call) => [call.leader, ...call.batches.map(({ name }) => name)].join(' '));

test('one leader per request', () => {
  const batches = [batch('a', 't', 0), batch('b', 't', 1), batch('c', 't', 2)];
  expect(names(batches, ({ partition }) => String(partition % 2))).toEqual(['0 a c', '1 b']);
});

test('each partition once per request, in the order given', () => {
  const batches = [batch('a', 't', 0), batch('b', 't', 1), batch('c', 't', 0), batch('d', 't', 0), batch('e', 't', 1)];
  expect(names(batches)).toEqual(['0 a b', '0 c', '0 d e']);
});

test('those of one topic stand together', () => {
  expect(names([batch('a', 't', 0), batch('b', 'u', 0), batch('c', 't', 1), batch('d', 'u', 1)])).toEqual(['0 a c b d']);
});

test('no request is larger than a broker takes, unless one batch is', () => {
  const half = MAX_CALL_BYTES / 2;
  const batches = [batch('a', 't', 0, half), batch('b', 't', 1, half), batch('c', 't', 2, 1), batch('d', 't', 3, MAX_CALL_BYTES + 1)];
  expect(names(batches)).toEqual(['0 a b', '0 c', '0 d']);
});
