import type { Alert, AlertSubject, NameToUuid } from './alert-record.ts';
import { type AlertRule, clearThresholdOf } from './alert-rule.ts';
import type { AlertState } from './alert-state.ts';
import type { DeviceState } from './device-state.ts';

// The second alert of a rule with `staleAfter`: the device that it watches says nothing any more. It has a rule id of its own, which no rule
// can have, so that whoever follows alerts by device and rule sees two.

/** A step of a stale alert that has to be written. `offset` is the reading that ended the silence, null otherwise. */
export interface StaleTransition {
  readonly kind: 'RAISED' | 'RESOLVED' | 'EXPIRED';
  readonly at: number;
  readonly offset: number | null;
}

export function staleRuleId(rule: AlertRule): string {
  return `${rule.id}:stale`;
}

export function isStale(alert: AlertState): boolean {
  return alert.staleSince >= 0;
}

/** Raises the stale alert of a device that was silent for long enough. */
export function raiseStale(rule: AlertRule, alert: AlertState, device: Pick<DeviceState, 'maxT' | 'lastHeard'>): StaleTransition {
  alert.staleSince = device.maxT + rule.staleAfterMs!;
  alert.staleHeard = device.lastHeard;
  return { kind: 'RAISED', at: alert.staleSince, offset: null };
}

/** Where a raised stale alert ends, and `endStale` has to follow: at a reading of the device, or because device or rule are gone. */
export function staleEnd(alert: AlertState, reading: { offset: number; timeMs: number } | null): StaleTransition {
  if (reading === null) return { kind: 'EXPIRED', at: alert.staleSince, offset: null };
  return { kind: 'RESOLVED', at: Math.max(reading.timeMs, alert.staleSince), offset: reading.offset };
}

export function endStale(alert: AlertState): void {
  alert.staleSince = -1;
  alert.staleHeard = -1;
}

/** The record to write; before `endStale`, because it tells since when. */
export function staleRecord(
  rule: AlertRule,
  alert: AlertState,
  subject: AlertSubject,
  step: { transition: StaleTransition; uuid: NameToUuid },
): Alert {
  const { transition, uuid } = step;
  const { deviceId, topic, partition } = subject;
  const ruleId = staleRuleId(rule);
  const ended = transition.kind !== 'RAISED';
  return {
    alertId: uuid([ruleId, deviceId, rule.metric, String(partition), String(alert.staleHeard)]),
    fingerprint: uuid([ruleId, deviceId, rule.metric]),
    ruleId,
    ruleVersion: rule.version,
    deviceId,
    metric: rule.metric,
    severity: rule.severity,
    state: ended ? 'RESOLVED' : 'STALE',
    transition: transition.kind,
    value: null,
    peakValue: null,
    threshold: rule.threshold,
    clearThreshold: clearThresholdOf(rule),
    unit: rule.unit,
    raisedAt: alert.staleSince,
    transitionAt: transition.at,
    resolvedAt: ended ? transition.at : null,
    transitionNumber: ended ? 2 : 1,
    sampleCount: 0,
    suppressed: false,
    acknowledgedBy: null,
    summary: summaryOf(transition, rule),
    labels: { ...rule.labels, ...subject.labels },
    evidence: transition.offset === null ? [] : [{ topic, partition, offset: transition.offset }],
  };
}

function summaryOf({ kind }: StaleTransition, rule: AlertRule): string {
  switch (kind) {
    case 'RAISED':
      return `nothing was heard of the device for ${rule.staleAfterMs! / 1000} s`;
    case 'RESOLVED':
      return 'the device is heard again';
    case 'EXPIRED':
      return 'the silence is no longer watched: the rule or the device is gone';
  }
}
