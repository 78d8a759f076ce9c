// What a fold writes, row by row: the field names are exactly those of schemas/window-aggregate.avsc and schemas/alert.avsc
// (test/property/oracle-parts.test.ts compares them), the enums have all their symbols. Times are epoch milliseconds.

import type { ReadingRejectReason } from '../../../src/core/outcome.ts';

export interface AggregateRow {
  deviceId: string;
  metric: string;
  unit: string;
  windowStart: number;
  windowEnd: number;
  part: number;
  count: number;
  min: number;
  max: number;
  mean: number;
  sum: number;
  m2: number;
  first: number;
  firstTime: number;
  last: number;
  lastTime: number;
  closedBy: 'UNKNOWN' | 'TIME' | 'COUNT' | 'IDLE' | 'LATE';
  labels: Record<string, string>;
}

export interface RecordRef {
  topic: string;
  partition: number;
  offset: number;
}

export type AlertTransition =
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

export interface AlertRow {
  alertId: string;
  fingerprint: string;
  ruleId: string;
  ruleVersion: number;
  deviceId: string;
  metric: string;
  severity: string;
  state: 'UNKNOWN' | 'PENDING' | 'FIRING' | 'RESOLVED' | 'STALE';
  transition: AlertTransition;
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
  /** Prose for people: never compared. */
  summary: string;
  labels: Record<string, string>;
  evidence: RecordRef[];
}

export interface DeadLetter {
  offset: number;
  reason: ReadingRejectReason;
}
