import type { AlertRule } from './alert-rule.ts';
import type { AlertState } from './alert-state.ts';
import type { DeviceState } from './device-state.ts';
import type { OpenPart } from './open-part.ts';
import { staleRuleId } from './stale-alert.ts';
import type { WindowAggregate } from './window-aggregate.ts';

// In which order things that come due together are written: docs/FOLD.md. Text is compared by code unit, so that every machine agrees.

export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export interface DuePart {
  readonly dueMs: number;
  readonly device: DeviceState;
  readonly part: OpenPart;
}

export interface DueTimer {
  /** Whether the rule's alert is due, or its stale alert. */
  readonly kind: 'alert' | 'stale';
  readonly dueMs: number;
  readonly device: DeviceState;
  readonly rule: AlertRule;
  readonly alert: AlertState;
}

export interface DueRow {
  readonly dueMs: number;
  readonly row: WindowAggregate;
}

export function byDueTime(a: DueTimer, b: DueTimer): number {
  return a.dueMs - b.dueMs || compareText(a.device.deviceId, b.device.deviceId) || compareText(alertRuleId(a), alertRuleId(b));
}

function alertRuleId({ kind, rule }: DueTimer): string {
  return kind === 'alert' ? rule.id : staleRuleId(rule);
}

export function byDueTimeOfRow(a: DueRow, b: DueRow): number {
  return (
    a.dueMs - b.dueMs || compareText(a.row.deviceId, b.row.deviceId) || compareText(a.row.metric, b.row.metric) || a.row.part - b.row.part
  );
}

export function byWindowEnd(a: WindowAggregate, b: WindowAggregate): number {
  return a.windowEnd - b.windowEnd || compareText(a.deviceId, b.deviceId) || compareText(a.metric, b.metric) || a.part - b.part;
}
