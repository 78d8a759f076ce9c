import { expect, test } from 'vitest';
import { encodeProfile } from '../../src/aggregator/progress.ts';
import { type DeviceProfileRecord, PROFILE_BYTES_MAX, profileOfRecord, profileProblem } from '../../src/core/device-profile-record.ts';
import { TOPICS } from '../../src/kafka/topics.ts';

/** As many profiles as stand in one record of the journal. */
const PROFILES_PER_RECORD = 500;

const recordOf = (labels: Record<string, string>, threshold = 1): DeviceProfileRecord => ({
  deviceId: 'd1',
  labels,
  thresholds: [{ ruleId: 'hot', threshold, deadband: threshold === 0 ? threshold : null, levels: [{ threshold, severity: 'CRITICAL' }] }],
  disabledRules: [],
  updatedAt: 0,
});

/** A number of labels of which each takes about a kilobyte, though it has only 256 characters. */
const largeLabels = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`l${index}`, '🌡'.repeat(256)]));

test('a record of the journal takes 500 of the largest profiles', () => {
  expect(profileProblem(recordOf(largeLabels(30)))).toBe(null);
  expect(profileProblem(recordOf(largeLabels(32)))).toMatch(/^it has 3\d{4} bytes; at most 32000 are allowed$/);
  const keyBytes = 200;
  const limit = Number(TOPICS.aggregatorJournal.configs['max.message.bytes']);
  expect(PROFILES_PER_RECORD * (PROFILE_BYTES_MAX + keyBytes)).toBeLessThan(limit);
});

test('a profile is the same before and after it was in the state', () => {
  const profile = profileOfRecord(recordOf({ site: 'north' }, -0));
  expect(JSON.parse(encodeProfile(profile).toString())).toStrictEqual(profile);
});
