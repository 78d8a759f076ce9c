import { type AlertLevel, type AlertRule, misplacedLevel, SEVERITIES, type Severity } from '../../core/alert-rule.ts';
import { type DeviceProfile, type ProfileThreshold, rulesOfDevice } from '../../core/device-profile.ts';
import { profileOfRecord, profileProblem, recordOfProfile } from '../../core/device-profile-record.ts';
import { IngotError } from '../../errors.ts';

// What `ingot devices set` makes of a profile: its flags, one by one.

export interface ProfileEdits {
  /** `site=hall-3` */
  readonly label: readonly string[];
  /** `high-temperature=90`, `high-temperature=90,deadband=3,WARNING=100,CRITICAL=110` */
  readonly threshold: readonly string[];
  /** Ids of rules. */
  readonly disable: readonly string[];
  readonly enable: readonly string[];
  /** A label's name, or a rule's id. */
  readonly unset: readonly string[];
}

export const NO_PROFILE: DeviceProfile = { labels: {}, thresholds: {}, disabledRules: [] };

/** The profile after the edits. IngotError `USAGE` with what is wrong. */
export function editedProfile(deviceId: string, before: DeviceProfile, edits: ProfileEdits): DeviceProfile {
  const labels = new Map(Object.entries(before.labels));
  const thresholds = new Map(Object.entries(before.thresholds));
  const disabled = new Set(before.disabledRules);
  for (const name of edits.unset) {
    const isKnown = [labels.delete(name), thresholds.delete(name), disabled.delete(name)].includes(true);
    if (!isKnown) throw usage(`--unset ${name}: ${deviceId} has no label and no threshold of this name`);
  }
  for (const text of edits.label) {
    const [name, value] = pair(text, '--label', 'site=hall-3');
    labels.set(name, value);
  }
  for (const text of edits.threshold) {
    const [ruleId, value] = pair(text, '--threshold', 'high-temperature=90');
    thresholds.set(ruleId, parseThreshold(ruleId, value));
  }
  for (const ruleId of edits.enable) disabled.delete(ruleId);
  for (const ruleId of edits.disable) disabled.add(ruleId);
  const after = { labels: Object.fromEntries(labels), thresholds: Object.fromEntries(thresholds), disabledRules: [...disabled] };
  const record = recordOfProfile(deviceId, after, 0);
  const problem = profileProblem(record);
  if (problem !== null) throw usage(`The profile of ${deviceId} is not valid: ${problem}`);
  return profileOfRecord(record);
}

function pair(text: string, flag: string, example: string): [string, string] {
  const [, name = '', value = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === '') throw usage(`${flag} ${JSON.stringify(text)}: write it like ${flag} ${example}`);
  return [name, value];
}

/** `90`, then what else differs from the rule: `deadband=3`, `WARNING=100`. */
function parseThreshold(ruleId: string, text: string): ProfileThreshold {
  const [first = '', ...rest] = text.split(',');
  const numberOf = (written: string): number => {
    const value = Number(written);
    if (written.trim() === '' || !Number.isFinite(value)) throw usage(`--threshold ${ruleId}: ${JSON.stringify(written)} is no number`);
    return value;
  };
  let deadband: number | null = null;
  const levels: AlertLevel[] = [];
  for (const word of rest) {
    const [name, value] = pair(word, `--threshold ${ruleId}=${first},`, 'deadband=3 or CRITICAL=110');
    if (name === 'deadband') deadband = numberOf(value);
    else if (isSeverity(name)) levels.push({ threshold: numberOf(value), severity: name });
    else
      throw usage(`--threshold ${ruleId}: after the threshold come deadband=N and levels like CRITICAL=110, not ${JSON.stringify(word)}`);
  }
  return { threshold: numberOf(first), deadband, levels: levels.length === 0 ? null : levels };
}

function isSeverity(text: string): text is Severity {
  return SEVERITIES.some((severity) => severity === text);
}

/** A threshold as `--threshold` takes it. */
export function thresholdText(ruleId: string, { threshold, deadband, levels }: ProfileThreshold): string {
  const band = deadband === null ? '' : `,deadband=${deadband}`;
  return `${ruleId}=${threshold}${band}${(levels ?? []).map((level) => `,${level.severity}=${level.threshold}`).join('')}`;
}

/**
 * What is doubtful about the edited profile beside these rules. A rule may come later, and these need not be the aggregator's: no errors.
 */
export function profileNotes(rules: readonly AlertRule[], after: DeviceProfile, { threshold, disable }: ProfileEdits): string[] {
  const known = rules.map(({ id }) => id);
  const named = [...threshold.map((text) => text.split('=', 1)[0]!), ...disable];
  const unknown = named
    .filter((id) => !known.includes(id))
    .map((id) => `the rules of this configuration are ${known.join(', ') || 'none'}; there is no ${id} among them.`);
  const misplaced = rulesOfDevice(rules, after).flatMap((rule) => {
    const level = named.includes(rule.id) ? misplacedLevel(rule, rule.levels) : 0;
    const { threshold: limit = 0, severity = '' } = rule.levels[level - 2] ?? {};
    return level === 0
      ? []
      : [
          `${rule.id} is ${rule.severity} ${rule.direction} ${rule.threshold} there; ${severity}=${limit} lies no further ${rule.direction} than the level before it, or is not more severe.`,
        ];
  });
  return [...unknown, ...misplaced];
}

function usage(what: string): IngotError {
  return new IngotError('USAGE', `${what}. See 'ingot devices set --help'.`);
}
