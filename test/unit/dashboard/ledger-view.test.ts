import { expect, test } from 'vitest';
import { ledgerView } from '../../../src/dashboard/ledger-view.ts';

const bridge = { received: 100, produced: 90, deadLettered: 4, ignored: 3, shed: 1, inFlight: 2, unprotected: 0 };
const aggregator = {
  consumed: 50,
  outcomes: { counted: 40, duplicate: 7, future: 3, ancient: 0 },
  late: 1,
  windowsEmitted: 2,
  alertsRaised: 0,
  alertsEnded: 0,
};

test('a page that runs alone has no ledger', () => {
  expect(ledgerView(null)).toBeNull();
  expect(ledgerView({ bridge: null, aggregator: null })).toBeNull();
});

test('the terms of both stages, in words, make up the total', () => {
  const [ofBridge, ofAggregator] = ledgerView({ bridge, aggregator })!;
  expect(ofBridge).toMatchObject({ stage: 'bridge', total: { label: 'received', count: 100 }, difference: 0 });
  expect(ofBridge!.terms.map(({ label, count }) => `${count} ${label}`)).toEqual([
    '90 produced',
    '4 dead-lettered',
    '3 ignored',
    '1 shed',
    '2 in flight',
  ]);
  expect(ofAggregator).toMatchObject({ stage: 'aggregator', total: { label: 'consumed', count: 50 }, difference: 0 });
  expect(ofAggregator!.terms.map(({ label, count }) => `${count} ${label}`)).toEqual([
    '40 counted',
    '0 not aggregatable',
    '7 duplicate',
    '3 future',
  ]);
});

test('what a bridge cannot know is said beside its sum', () => {
  const unknown = (unprotected: number) => ledgerView({ bridge: { ...bridge, unprotected }, aggregator })!.map((sum) => sum.unknown);
  expect(unknown(0)).toEqual([null, null]);
  expect(unknown(3)).toEqual([expect.stringContaining('3 at QoS 0'), null]);
});

test('what is missing is said, and what is too many', () => {
  expect(ledgerView({ bridge: { ...bridge, produced: 88 }, aggregator: null })![0]!.difference).toBe(2);
  expect(ledgerView({ bridge: { ...bridge, inFlight: 3 }, aggregator: null })![0]!.difference).toBe(-1);
});
