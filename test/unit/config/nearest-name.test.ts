import { expect, test } from 'vitest';
import { editDistance, nearestName } from '../../../src/config/nearest-name.ts';

test.each([
  ['', 'abc', 3],
  ['kafka', 'kafka', 0],
  ['KAFKA_BROKER', 'KAFKA_BROKERS', 1],
  ['KAKFA', 'KAFKA', 1],
  ['kitten', 'sitting', 3],
])('%s -> %s takes %i edits', (left, right, edits) => {
  expect(editDistance(left, right)).toBe(edits);
  expect(editDistance(right, left)).toBe(edits);
});

test('the nearest of several wins, and far ones are not offered', () => {
  const known = ['KAFKA_BROKERS', 'KAFKA_ACKS', 'MQTT_URL'];
  expect(nearestName('KAFKA_BROKER', known)).toBe('KAFKA_BROKERS');
  expect(nearestName('KAFKA_AKCS', known)).toBe('KAFKA_ACKS');
  expect(nearestName('HOME', known)).toBeUndefined();
  expect(nearestName('up', ['us'], 1)).toBe('us');
});
