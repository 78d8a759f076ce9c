import { type AlertRule, clearThresholdOf, isBreach, isClear } from './alert-rule.ts';

// The life of one alert of one device under one rule:
//
//            breach                  held for `for`                 clear
//   NORMAL ─────────▶ PENDING ─────────────────────▶ FIRING ─────────────────▶ RECOVERING
//     ▲                  │ no breach                   ▲  ▲        not clear       │  │
//     ├──────────────────┘                    for = 0 ─┘  └────────────────────────┘  │ clear for `offDelay`
//     └───────────────────────────────────────────────────────────────────────────────┘
//
// Only RAISED (into FIRING) and RESOLVED or EXPIRED (back to NORMAL) are written; PENDING and RECOVERING are internal.

export type AlertPhase = 'NORMAL' | 'PENDING' | 'FIRING' | 'RECOVERING';

/** When the last judged reading is older than this on the partition clock, a reading with an earlier event time restarts the alert's timeline. */
const TIMELINE_RESTART_MS = 5 * 60_000;

/** What is remembered of one rule for one device. Times in epoch ms. */
export interface AlertState {
  phase: AlertPhase;
  /** Event time of the last judged reading, and the partition clock then. */
  lastJudged: number;
  judgedHeard: number;
  lastValue: number;
  /** Of the episode; meaningless in NORMAL. */
  raisedAt: number;
  firstBreachOffset: number;
  recoveringSince: number;
  /** On the device's clock; meaningful in PENDING and RECOVERING. */
  timerAt: number;
  peak: number;
  sampleCount: number;
}

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

/** A step that has to be written. `offset` is the reading that caused it, null when a timer or a removal did. */
export interface Transition {
  readonly kind: 'RAISED' | 'RESOLVED' | 'EXPIRED';
  readonly at: number;
  readonly value: number | null;
  readonly offset: number | null;
}

/** One value as a rule sees it. */
export interface Sample {
  readonly offset: number;
  readonly timeMs: number;
  readonly value: number;
  /** The partition clock P. */
  readonly heardMs: number;
  /** The device's maxT, this reading included. */
  readonly deviceMaxMs: number;
}

export function newAlertState(): AlertState {
  return {
    phase: 'NORMAL',
    lastJudged: -1,
    judgedHeard: -1,
    lastValue: 0,
    raisedAt: 0,
    firstBreachOffset: 0,
    recoveringSince: 0,
    timerAt: 0,
    peak: 0,
    sampleCount: 0,
  };
}

export function hasTimer(state: AlertState): boolean {
  return state.phase === 'PENDING' || state.phase === 'RECOVERING';
}

export function isRaised(state: AlertState): boolean {
  return state.phase === 'FIRING' || state.phase === 'RECOVERING';
}

/**
 * Whether this reading may be judged: alerts judge in event-time order. A clock that was set back must not blind a device, so after
 * five minutes without a judged reading the timeline restarts, and what was counted on the old one begins anew.
 */
export function admit(state: AlertState, sample: Sample): boolean {
  if (sample.timeMs >= state.lastJudged) return true;
  if (sample.heardMs - state.judgedHeard <= TIMELINE_RESTART_MS) return false;
  if (state.phase === 'PENDING') state.phase = 'NORMAL';
  if (state.phase === 'RECOVERING') state.phase = 'FIRING';
  return true;
}

/** Judges an admitted reading: moves the state on and returns what has to be written, if anything. */
export function judge(rule: AlertRule, state: AlertState, sample: Sample): Transition | null {
  state.lastJudged = sample.timeMs;
  state.judgedHeard = sample.heardMs;
  state.lastValue = sample.value;
  if (state.phase === 'NORMAL') return isBreach(rule, sample.value) ? begin(rule, state, sample) : null;
  if (state.phase === 'PENDING' && !isBreach(rule, sample.value)) {
    state.phase = 'NORMAL';
    return null;
  }
  state.sampleCount += 1;
  state.peak = rule.direction === 'above' ? Math.max(state.peak, sample.value) : Math.min(state.peak, sample.value);
  if (state.phase === 'PENDING') {
    return sample.timeMs - state.raisedAt >= rule.forMs ? raise(state, sample.timeMs, sample.offset) : null;
  }
  if (!isClear(rule, sample.value)) {
    state.phase = 'FIRING';
    return null;
  }
  if (state.phase === 'FIRING') {
    if (rule.offDelayMs === 0) return resolve(state, sample.timeMs, sample.offset);
    state.phase = 'RECOVERING';
    state.recoveringSince = sample.timeMs;
    state.timerAt = Math.max(sample.timeMs, sample.deviceMaxMs) + rule.offDelayMs;
    return null;
  }
  return sample.timeMs - state.recoveringSince >= rule.offDelayMs ? resolve(state, sample.timeMs, sample.offset) : null;
}

function begin(rule: AlertRule, state: AlertState, sample: Sample): Transition | null {
  state.raisedAt = sample.timeMs;
  state.firstBreachOffset = sample.offset;
  state.peak = sample.value;
  state.sampleCount = 1;
  if (rule.forMs === 0) return raise(state, sample.timeMs, sample.offset);
  state.phase = 'PENDING';
  state.timerAt = Math.max(sample.timeMs, sample.deviceMaxMs) + rule.forMs;
  return null;
}

/** What the elapsed timer of a PENDING or RECOVERING alert does. */
export function fireTimer(state: AlertState): Transition {
  return state.phase === 'PENDING' ? raise(state, state.timerAt, null) : resolve(state, state.timerAt, null);
}

/** Ends the alert because its rule or its device is gone; null when nothing was raised. */
export function expire(state: AlertState): Transition | null {
  const raised = isRaised(state);
  state.phase = 'NORMAL';
  return raised ? { kind: 'EXPIRED', at: Math.max(state.lastJudged, state.raisedAt), value: null, offset: null } : null;
}

function raise(state: AlertState, at: number, offset: number | null): Transition {
  state.phase = 'FIRING';
  return { kind: 'RAISED', at, value: state.lastValue, offset };
}

function resolve(state: AlertState, at: number, offset: number | null): Transition {
  state.phase = 'NORMAL';
  return { kind: 'RESOLVED', at, value: state.lastValue, offset };
}

/** Ids that need a hash library: UUIDv5 of the given parts, joined by newlines, in Ingot's namespace. */
export type NameToUuid = (parts: readonly string[]) => string;

/** Whose alert it is, and where its evidence lies. */
export interface AlertSubject {
  readonly deviceId: string;
  readonly topic: string;
  readonly partition: number;
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
  const ended = transition.kind !== 'RAISED';
  const offsets = new Set<number>();
  if (!ended) offsets.add(state.firstBreachOffset);
  if (transition.offset !== null) offsets.add(transition.offset);
  return {
    alertId: uuid([rule.id, deviceId, rule.metric, String(partition), String(state.firstBreachOffset)]),
    fingerprint: uuid([rule.id, deviceId, rule.metric]),
    ruleId: rule.id,
    ruleVersion: rule.version,
    deviceId,
    metric: rule.metric,
    severity: rule.severity,
    state: ended ? 'RESOLVED' : 'FIRING',
    transition: transition.kind,
    value: transition.value,
    peakValue: state.peak,
    threshold: rule.threshold,
    clearThreshold: clearThresholdOf(rule),
    unit: rule.unit,
    raisedAt: state.raisedAt,
    transitionAt: transition.at,
    resolvedAt: ended ? transition.at : null,
    transitionNumber: ended ? 2 : 1,
    sampleCount: state.sampleCount,
    suppressed: false,
    acknowledgedBy: null,
    summary: summaryOf(rule, transition),
    labels: { ...rule.labels },
    evidence: [...offsets].map((offset) => ({ topic, partition, offset })),
  };
}

function summaryOf(rule: AlertRule, transition: Transition): string {
  const unit = rule.unit === '' ? '' : ` ${rule.unit}`;
  const opposite = rule.direction === 'above' ? 'below' : 'above';
  switch (transition.kind) {
    case 'RAISED':
      return `${rule.metric} ${transition.value}${unit} is ${rule.direction} ${rule.threshold}${unit}`;
    case 'RESOLVED':
      return `${rule.metric} ${transition.value}${unit} is back ${opposite} ${clearThresholdOf(rule)}${unit}`;
    case 'EXPIRED':
      return `${rule.metric}: the rule or the device is gone`;
  }
}
