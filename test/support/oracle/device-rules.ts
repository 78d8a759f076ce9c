// The rules as one device has them, and the levels of a rule: docs/FOLD.md "Profiles" and "Levels".

import type { OracleLevel, OracleProfile, OracleRule } from './fold-steps.ts';
import { byCodeUnit } from './metric-values.ts';

/** Those that are not disabled, with the thresholds of the profile, in the order of their ids. */
export function rulesOfDevice(rules: readonly OracleRule[], profile: OracleProfile | undefined): OracleRule[] {
  return rules
    .filter(({ id }) => !profile?.disabledRules.includes(id))
    .map((rule) => withProfile(rule, profile))
    .sort((a, b) => byCodeUnit(a.id, b.id));
}

function withProfile(rule: OracleRule, profile: OracleProfile | undefined): OracleRule {
  if (!profile || !Object.hasOwn(profile.thresholds, rule.id)) return rule;
  const { threshold, deadband, levels } = profile.thresholds[rule.id]!;
  const moved = rule.levels.map((level) => ({ ...level, threshold: threshold + (level.threshold - rule.threshold) }));
  return { ...rule, threshold, deadband: deadband ?? rule.deadband, levels: levels ?? moved };
}

/** Level 1 first. */
export function levelsOf(rule: OracleRule): OracleLevel[] {
  return [{ threshold: rule.threshold, severity: rule.severity }, ...rule.levels];
}

/** Levels are numbered from 1; a level beyond the last one is the last one. */
export function levelAt(rule: OracleRule, number: number): OracleLevel {
  const levels = levelsOf(rule);
  return levels[Math.min(number, levels.length) - 1]!;
}

export function breaches(rule: OracleRule, { threshold }: OracleLevel, value: number): boolean {
  return rule.direction === 'above' ? value > threshold : value < threshold;
}

export function clearThresholdOf(rule: OracleRule, { threshold }: OracleLevel): number {
  return rule.direction === 'above' ? threshold - rule.deadband : threshold + rule.deadband;
}

export function isClearOf(rule: OracleRule, level: OracleLevel, value: number): boolean {
  if (rule.deadband === 0) return !breaches(rule, level, value);
  return rule.direction === 'above' ? value < clearThresholdOf(rule, level) : value > clearThresholdOf(rule, level);
}

/** The highest level that the value breaches, 1 when there is none. */
export function breachedLevel(rule: OracleRule, value: number): number {
  return (
    1 +
    Math.max(
      0,
      levelsOf(rule).findLastIndex((level) => breaches(rule, level, value)),
    )
  );
}

/** The highest level up to the given one of which the value is not clear, 1 when there is none. */
export function heldLevel(rule: OracleRule, value: number, upTo: number): number {
  const levels = levelsOf(rule).slice(0, upTo);
  return (
    1 +
    Math.max(
      0,
      levels.findLastIndex((level) => !isClearOf(rule, level, value)),
    )
  );
}
