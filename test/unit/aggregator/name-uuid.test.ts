import { expect, test } from 'vitest';
import { nameUuid } from '../../../src/aggregator/name-uuid.ts';
import { alertIdOf } from '../../support/oracle/uuid-v5.ts';

test('ids are version 5 UUIDs, equal for equal names and as the oracle makes them', () => {
  const id = nameUuid(['high-temperature', 'd1', 'temperature', '3', '42']);
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(nameUuid(['high-temperature', 'd1', 'temperature', '3', '42'])).toBe(id);
  expect(nameUuid(['high-temperature', 'd1', 'temperature', '3', '43'])).not.toBe(id);
  expect(alertIdOf({ ruleId: 'high-temperature', deviceId: 'd1', metric: 'temperature', partition: 3, offset: 42 })).toBe(id);
});

test.each(['', 'ä', '\u{1f600}', 'x'.repeat(332), 'x'.repeat(334), 'é'.repeat(333), '漢'.repeat(333), 'long'.repeat(2_000)])(
  'of any name: %s',
  (deviceId) => {
    const id = nameUuid(['r', deviceId, 'm', '0', '1']);
    expect(alertIdOf({ ruleId: 'r', deviceId, metric: 'm', partition: 0, offset: 1 })).toBe(id);
  },
);
