import { beforeAll, expect, test } from 'vitest';
import { changesOf } from '../../../src/aggregator/restore-profiles.ts';
import type { DeviceProfile } from '../../../src/core/device-profile.ts';
import { configureLog } from '../../../src/ops/log.ts';

beforeAll(() => configureLog({ level: 'silent', format: 'json' }));

const profile = (site: string): DeviceProfile => ({ labels: { site }, thresholds: {}, disabledRules: [] });

test('only what changes something, in the order of device id', () => {
  const known = new Map([
    ['a', profile('1')],
    ['b', profile('1')],
    ['c', profile('1')],
  ]);
  const newest = [
    ['z', null] as const,
    ['c', null] as const,
    ['d', profile('2')] as const,
    ['b', profile('1')] as const,
    ['a', profile('2')] as const,
  ];
  expect(changesOf(known, newest)).toEqual([
    ['a', profile('2')],
    ['c', null],
    ['d', profile('2')],
  ]);
});

test('a partition keeps 100 000 profiles: new ones beyond are left out, changes of known ones are not', () => {
  const known = new Map(Array.from({ length: 99_999 }, (_, index) => [`k${index}`, profile('1')]));
  const newest = [['k5', profile('2')] as const, ['x1', profile('1')] as const, ['x2', profile('1')] as const];
  expect(changesOf(known, newest).map(([deviceId]) => deviceId)).toEqual(['k5', 'x1']);
  expect(changesOf(known, [...newest, ['k7', null]]).map(([deviceId]) => deviceId)).toEqual(['k5', 'k7', 'x1', 'x2']);
});
