import type { AlertLevel, AlertRule } from './alert-rule.ts';

// What a device has of its own: labels, and thresholds that differ from those of the rules (docs/FOLD.md, Profiles).

export interface DeviceProfile {
  /** On everything that is written of the device. */
  readonly labels: Readonly<Record<string, string>>;
  /** By rule id. */
  readonly thresholds: Readonly<Record<string, ProfileThreshold>>;
  /** Ids of rules that do not judge the device. */
  readonly disabledRules: readonly string[];
}

export interface ProfileThreshold {
  readonly threshold: number;
  /** null = that of the rule. */
  readonly deadband: number | null;
  /** null = those of the rule, as far from the threshold as they are there. */
  readonly levels: readonly AlertLevel[] | null;
}

/** A device and what its profile is from now on; null takes it away. */
export type ProfileChange = readonly [deviceId: string, profile: DeviceProfile | null];

/** The rules as they hold for a device: the given list itself when the profile changes none of them. */
export function rulesOfDevice(rules: readonly AlertRule[], profile: DeviceProfile | null): readonly AlertRule[] {
  if (profile === null || !rules.some(({ id }) => isDisabled(profile, id) || Object.hasOwn(profile.thresholds, id))) return rules;
  return rules
    .filter(({ id }) => !isDisabled(profile, id))
    .map((rule) => (Object.hasOwn(profile.thresholds, rule.id) ? withThreshold(rule, profile.thresholds[rule.id]!) : rule));
}

export function isDisabled(profile: DeviceProfile, ruleId: string): boolean {
  return profile.disabledRules.includes(ruleId);
}

function withThreshold(rule: AlertRule, { threshold, deadband, levels }: ProfileThreshold): AlertRule {
  const moved = rule.levels.map((level) => ({ ...level, threshold: threshold + (level.threshold - rule.threshold) }));
  return { ...rule, threshold, deadband: deadband ?? rule.deadband, levels: levels ?? moved };
}
