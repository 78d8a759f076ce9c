import type { AlertRule } from './alert-rule.ts';

/** Everything the fold reads besides records. Immutable; a change is a step of its own in the log's journal. */
export interface FoldSettings {
  readonly windowSizeMs: number;
  readonly graceMs: number;
  readonly idleMs: number;
  /** Readings of one device in one window after which its part closes; 0 = off. */
  readonly batchSize: number;
  readonly skewMs: number;
  /** null = unlimited. */
  readonly pastLimitMs: number | null;
  readonly openPartsPerDeviceMax: number;
  readonly devicesPerPartitionMax: number;
  /** How many offsets back a duplicate is recognised; 0 = not at all. */
  readonly duplicateOffsets: number;
  /** Sorted by id. */
  readonly rules: readonly AlertRule[];
  /** Raised when the code folds the same log to something else than before. */
  readonly foldVersion: number;
}

export const FOLD_VERSION = 1;

const FORGET_WHEN_UNLIMITED_MS = 7 * 86_400_000;

/** How long after its last sign of life a device is forgotten: whatever it says from before that is ancient. */
export function forgetAfterMs(settings: FoldSettings): number {
  return settings.pastLimitMs ?? FORGET_WHEN_UNLIMITED_MS;
}

/** Whether open windows cannot go on under the new settings. */
export function changesWindows(older: FoldSettings, newer: FoldSettings): boolean {
  return older.windowSizeMs !== newer.windowSizeMs || older.graceMs !== newer.graceMs || older.idleMs !== newer.idleMs;
}

/** The new rules, sorted by id, each edited one with its version raised above that of the rule it replaces. */
export function withRuleVersions(older: readonly AlertRule[], newer: readonly AlertRule[]): AlertRule[] {
  return newer
    .map((rule) => {
      const before = older.find((candidate) => candidate.id === rule.id);
      if (before === undefined) return rule;
      return { ...rule, version: isSameContent(before, rule) ? before.version : before.version + 1 };
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function isSameContent(a: AlertRule, b: AlertRule): boolean {
  return canonicalText({ ...a, version: 0 }) === canonicalText({ ...b, version: 0 });
}

/** JSON with sorted keys: equal settings have equal text. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, field]) => `${JSON.stringify(key)}:${canonicalText(field)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}
