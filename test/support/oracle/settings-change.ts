// What a change of settings means for the state of a partition, worked out by comparing the two settings.

import { isDeepStrictEqual } from 'node:util';
import type { OracleRule, OracleSettings } from './fold-steps.ts';

export interface OracleSettingsChange {
  /** The new settings with the versions of their rules counted up from the old ones. */
  readonly settings: OracleSettings;
  /** Whether open parts close, because windows are cut or closed differently from now on. */
  readonly closesParts: boolean;
  /** Rules of the old settings of which the new ones have none with the same id, metric and direction. */
  readonly orphanedRuleIds: ReadonlySet<string>;
}

export function settingsChange(before: OracleSettings, after: OracleSettings): OracleSettingsChange {
  const isSameRule = (a: OracleRule, b: OracleRule) => a.id === b.id && a.metric === b.metric && a.direction === b.direction;
  return {
    settings: { ...after, rules: after.rules.map((rule) => versioned(rule, before.rules)) },
    closesParts: before.windowMs !== after.windowMs || before.graceMs !== after.graceMs || before.idleMs !== after.idleMs,
    orphanedRuleIds: new Set(before.rules.filter((old) => !after.rules.some((rule) => isSameRule(old, rule))).map((rule) => rule.id)),
  };
}

/** The version goes up by one when the content under the same id is another. */
function versioned(rule: OracleRule, before: readonly OracleRule[]): OracleRule {
  const old = before.find(({ id }) => id === rule.id);
  if (!old) return rule;
  const isUnchanged = isDeepStrictEqual({ ...rule, version: old.version }, { ...old });
  return { ...rule, version: isUnchanged ? old.version : old.version + 1 };
}
