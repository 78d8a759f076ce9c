import { type AlertLevel, SEVERITIES } from './alert-rule.ts';
import type { DeviceProfile, ProfileThreshold } from './device-profile.ts';
import { canonicalText } from './fold-settings.ts';

// A profile as a record of the devices topic (schemas/device-profile.avsc). Anybody may write there, so it is checked when it is read.

export interface DeviceProfileRecord {
  deviceId: string;
  labels: { [name: string]: string };
  thresholds: ThresholdRecord[];
  disabledRules: string[];
  /** Epoch ms. */
  updatedAt: number;
}

export interface ThresholdRecord {
  ruleId: string;
  threshold: number;
  deadband: number | null;
  levels: { threshold: number; severity: string }[] | null;
}

const LABELS_MAX = 32;
const RULES_MAX = 100;
const LEVELS_MAX = 8;
/** In the state and the journal, where 500 of them stand in one record, which must stay below the 16 MiB of those topics. */
export const PROFILE_BYTES_MAX = 32_000;
const utf8 = new TextEncoder();
const LABEL_NAME = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
const LABEL_VALUE = /^[^\p{Cc}]{1,256}$/u;
const RULE_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** What is wrong with the record, in words for its writer; null when nothing is. */
export function profileProblem(record: DeviceProfileRecord): string | null {
  const { labels, thresholds, disabledRules } = record;
  const names = Object.keys(labels);
  if (names.length > LABELS_MAX) return `it has ${names.length} labels; at most ${LABELS_MAX} are allowed`;
  for (const name of names) {
    if (!LABEL_NAME.test(name))
      return `${JSON.stringify(name)} is no name of a label: a letter, then up to 63 letters, digits, '.', '_' or '-'`;
    if (!LABEL_VALUE.test(labels[name]!)) return `the label ${name} must have 1 to 256 characters, none of them a control character`;
  }
  if (thresholds.length > RULES_MAX || disabledRules.length > RULES_MAX) return `it names more than ${RULES_MAX} rules`;
  const ruleIds = thresholds.map(({ ruleId }) => ruleId);
  const badId = [...ruleIds, ...disabledRules].find((id) => !RULE_ID.test(id));
  if (badId !== undefined) return `${JSON.stringify(badId)} is no id of a rule`;
  if (new Set(ruleIds).size < ruleIds.length) return 'it gives two thresholds for one rule';
  return thresholds.map(thresholdProblem).find((problem) => problem !== null) ?? sizeProblem(record);
}

function sizeProblem(record: DeviceProfileRecord): string | null {
  const { length } = utf8.encode(canonicalText(profileOfRecord(record)));
  return length <= PROFILE_BYTES_MAX ? null : `it has ${length} bytes; at most ${PROFILE_BYTES_MAX} are allowed`;
}

function thresholdProblem({ ruleId, threshold, deadband, levels }: ThresholdRecord): string | null {
  if (!Number.isFinite(threshold)) return `the threshold of ${ruleId} is no number`;
  if (deadband !== null && !(Number.isFinite(deadband) && deadband >= 0)) return `the deadband of ${ruleId} is no number of at least 0`;
  if (levels === null) return null;
  if (levels.length > LEVELS_MAX) return `${ruleId} has ${levels.length} levels; at most ${LEVELS_MAX} are allowed`;
  const isLevel = (level: { threshold: number; severity: string }): boolean =>
    Number.isFinite(level.threshold) && SEVERITIES.some((severity) => severity === level.severity);
  return levels.every(isLevel) ? null : `each level of ${ruleId} needs a number and one of ${SEVERITIES.join(', ')}`;
}

/** The profile in a record without problems. Two records that mean the same give equal profiles. */
export function profileOfRecord(record: DeviceProfileRecord): DeviceProfile {
  const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
  return {
    labels: Object.fromEntries(Object.entries(record.labels).sort(byName)),
    thresholds: Object.fromEntries(record.thresholds.map((threshold) => [threshold.ruleId, thresholdOf(threshold)] as const).sort(byName)),
    disabledRules: [...new Set(record.disabledRules)].sort(),
  };
}

function thresholdOf({ threshold, deadband, levels }: ThresholdRecord): ProfileThreshold {
  return {
    // Added to 0, -0 is 0, which is what it would be after the next restart: the state is JSON.
    threshold: threshold + 0,
    deadband: deadband === null ? null : deadband + 0,
    levels: levels?.map((level) => ({ threshold: level.threshold + 0, severity: level.severity }) as AlertLevel) ?? null,
  };
}

export function recordOfProfile(deviceId: string, profile: DeviceProfile, updatedAt: number): DeviceProfileRecord {
  const thresholds = Object.entries(profile.thresholds).map(([ruleId, { threshold, deadband, levels }]) => ({
    ruleId,
    threshold,
    deadband,
    levels: levels?.map((level) => ({ ...level })) ?? null,
  }));
  return { deviceId, labels: { ...profile.labels }, thresholds, disabledRules: [...profile.disabledRules], updatedAt };
}
