import type { Transition } from './alert-lifecycle.ts';
import { type AlertRule, clearThresholdOf, levelOf } from './alert-rule.ts';
import type { AlertState } from './alert-state.ts';

// A transition of an alert as a record of the alerts topic.

export interface RecordRef {
  topic: string;
  partition: number;
  offset: number;
}

/** A record of the alerts topic; the field names are those of schemas/alert.avsc. Times in epoch ms. */
export interface Alert {
  alertId: string;
  fingerprint: string;
  ruleId: string;
  ruleVersion: number;
  deviceId: string;
  metric: string;
  severity: 'UNKNOWN' | 'INFO' | 'WARNING' | 'CRITICAL';
  state: 'UNKNOWN' | 'PENDING' | 'FIRING' | 'RESOLVED' | 'STALE';
  transition:
    | 'UNKNOWN'
    | 'RAISED'
    | 'ESCALATED'
    | 'DEESCALATED'
    | 'REMINDER'
    | 'ACKNOWLEDGED'
    | 'SHELVED'
    | 'UNSHELVED'
    | 'RESOLVED'
    | 'EXPIRED';
  value: number | null;
  peakValue: number | null;
  threshold: number;
  clearThreshold: number;
  unit: string;
  raisedAt: number;
  transitionAt: number;
  resolvedAt: number | null;
  transitionNumber: number;
  sampleCount: number;
  suppressed: boolean;
  acknowledgedBy: string | null;
  summary: string;
  labels: { [name: string]: string };
  evidence: RecordRef[];
}

/** Ids that need a hash library: UUIDv5 of the given parts, joined by newlines, in Ingot's namespace. */
export type NameToUuid = (parts: readonly string[]) => string;

/** Whose alert it is, and where its evidence lies. */
export interface AlertSubject {
  readonly deviceId: string;
  readonly topic: string;
  readonly partition: number;
  /** The device's own; where a rule has the same name, the device's value counts. */
  readonly labels: Readonly<Record<string, string>>;
}

/** The record to write for a transition that judge, fireTimer or expire has just made. */
export function alertRecord(
  rule: AlertRule,
  state: AlertState,
  subject: AlertSubject,
  step: { transition: Transition; uuid: NameToUuid },
): Alert {
  const { transition, uuid } = step;
  const { deviceId, topic, partition } = subject;
  const ended = transition.kind === 'RESOLVED' || transition.kind === 'EXPIRED';
  const { threshold, severity } = levelOf(rule, ended ? 1 : state.level);
  const offsets = new Set<number>();
  if (transition.kind === 'RAISED') offsets.add(state.firstBreachOffset);
  if (transition.offset !== null) offsets.add(transition.offset);
  return {
    alertId: uuid([rule.id, deviceId, rule.metric, String(partition), String(state.firstBreachOffset)]),
    fingerprint: uuid([rule.id, deviceId, rule.metric]),
    ruleId: rule.id,
    ruleVersion: rule.version,
    deviceId,
    metric: rule.metric,
    severity,
    state: ended ? 'RESOLVED' : 'FIRING',
    transition: transition.kind,
    value: transition.value,
    peakValue: state.peak,
    threshold,
    clearThreshold: clearThresholdOf(rule, threshold),
    unit: rule.unit,
    raisedAt: state.raisedAt,
    transitionAt: transition.at,
    resolvedAt: ended ? transition.at : null,
    transitionNumber: state.transitions,
    sampleCount: state.sampleCount,
    suppressed: false,
    acknowledgedBy: null,
    summary: summaryOf(rule, transition, threshold),
    labels: { ...rule.labels, ...subject.labels },
    evidence: [...offsets].map((offset) => ({ topic, partition, offset })),
  };
}

function summaryOf(rule: AlertRule, transition: Transition, threshold: number): string {
  const unit = rule.unit === '' ? '' : ` ${rule.unit}`;
  const opposite = rule.direction === 'above' ? 'below' : 'above';
  switch (transition.kind) {
    case 'RAISED':
    case 'ESCALATED':
      return `${rule.metric} ${transition.value}${unit} is ${rule.direction} ${threshold}${unit}`;
    case 'DEESCALATED':
      return `${rule.metric} ${transition.value}${unit} is back at the level of ${threshold}${unit}`;
    case 'RESOLVED':
      return `${rule.metric} ${transition.value}${unit} is back ${opposite} ${clearThresholdOf(rule)}${unit}`;
    case 'EXPIRED':
      return `${rule.metric}: the rule or the device is gone`;
  }
}
