// The life of the alerts of one device and one rule, as docs/FOLD.md "Alerts" tells it, clause by clause.

import type { OracleRule } from './fold-steps.ts';
import type { AlertRow, RecordRef } from './output-rows.ts';
import { alertIdOf, fingerprintOf } from './uuid-v5.ts';

/** After this much partition time without a judged reading, an older one restarts the timeline: the device's clock was set back. */
const TIMELINE_RESTART_MS = 5 * 60_000;

export interface AlertState {
  phase: 'NORMAL' | 'PENDING' | 'FIRING' | 'RECOVERING';
  lastJudged: number;
  judgedHeard: number;
  lastValue: number;
  raisedAt: number;
  firstBreachOffset: number;
  peak: number;
  sampleCount: number;
  recoveringSince: number;
  /** Device time at which PENDING or RECOVERING ends by itself; null in the other phases. */
  timerAt: number | null;
}

/** Which device and rule a state belongs to, and where transitions go. */
export interface AlertPlace {
  readonly deviceId: string;
  readonly rule: OracleRule;
  readonly partition: number;
  readonly readingsTopic: string;
  readonly emit: (row: AlertRow) => void;
}

/** A reading as a rule sees it. */
export interface JudgedReading {
  readonly offset: number;
  readonly t: number;
  readonly value: number;
  /** The device's highest event time, this reading included. */
  readonly maxT: number;
  readonly partitionClock: number;
}

export function newAlertState(): AlertState {
  return {
    phase: 'NORMAL',
    lastJudged: Number.NEGATIVE_INFINITY,
    judgedHeard: Number.NEGATIVE_INFINITY,
    lastValue: Number.NaN,
    raisedAt: Number.NaN,
    firstBreachOffset: Number.NaN,
    peak: Number.NaN,
    sampleCount: 0,
    recoveringSince: Number.NaN,
    timerAt: null,
  };
}

function isBreach(rule: OracleRule, value: number): boolean {
  return rule.direction === 'above' ? value > rule.threshold : value < rule.threshold;
}

function clearThresholdOf(rule: OracleRule): number {
  return rule.direction === 'above' ? rule.threshold - rule.deadband : rule.threshold + rule.deadband;
}

function isClear(rule: OracleRule, value: number): boolean {
  if (rule.deadband === 0) return !isBreach(rule, value);
  return rule.direction === 'above' ? value < clearThresholdOf(rule) : value > clearThresholdOf(rule);
}

/** Lets the rule judge a reading. Returns false when the reading is too old to be judged. */
export function judge(state: AlertState, reading: JudgedReading, place: AlertPlace): boolean {
  if (reading.t < state.lastJudged) {
    if (reading.partitionClock - state.judgedHeard <= TIMELINE_RESTART_MS) return false;
    if (state.phase === 'PENDING') enter(state, 'NORMAL');
    if (state.phase === 'RECOVERING') enter(state, 'FIRING');
  }
  state.lastJudged = reading.t;
  state.judgedHeard = reading.partitionClock;
  state.lastValue = reading.value;
  if (state.phase === 'NORMAL') judgeNormal(state, reading, place);
  else if (state.phase === 'PENDING') judgePending(state, reading, place);
  else judgeRaised(state, reading, place);
  return true;
}

function judgeNormal(state: AlertState, reading: JudgedReading, place: AlertPlace): void {
  if (!isBreach(place.rule, reading.value)) return;
  state.raisedAt = reading.t;
  state.firstBreachOffset = reading.offset;
  state.peak = reading.value;
  state.sampleCount = 1;
  if (place.rule.forMs === 0) raise(state, place, { at: reading.t, completedBy: reading.offset });
  else enter(state, 'PENDING', reading.maxT + place.rule.forMs);
}

function judgePending(state: AlertState, reading: JudgedReading, place: AlertPlace): void {
  if (!isBreach(place.rule, reading.value)) {
    enter(state, 'NORMAL');
    return;
  }
  count(state, reading, place.rule);
  if (reading.t - state.raisedAt >= place.rule.forMs) raise(state, place, { at: reading.t, completedBy: reading.offset });
}

/** FIRING and RECOVERING. */
function judgeRaised(state: AlertState, reading: JudgedReading, place: AlertPlace): void {
  const { rule } = place;
  count(state, reading, rule);
  if (!isClear(rule, reading.value)) {
    if (state.phase === 'RECOVERING') enter(state, 'FIRING');
    return;
  }
  if (state.phase === 'RECOVERING') {
    if (reading.t - state.recoveringSince >= rule.offDelayMs) resolve(state, place, { at: reading.t, causedBy: reading.offset });
  } else if (rule.offDelayMs === 0) {
    resolve(state, place, { at: reading.t, causedBy: reading.offset });
  } else {
    state.recoveringSince = reading.t;
    enter(state, 'RECOVERING', reading.maxT + rule.offDelayMs);
  }
}

/** The timer of PENDING or RECOVERING runs out. */
export function fireTimer(state: AlertState, place: AlertPlace): void {
  const at = state.timerAt!;
  if (state.phase === 'PENDING') raise(state, place, { at, completedBy: null });
  else resolve(state, place, { at, causedBy: null });
}

/** The device is forgotten, or the rule is gone: what is raised ends; everything else is silently dropped. */
export function expire(state: AlertState, place: AlertPlace): void {
  if (state.phase !== 'FIRING' && state.phase !== 'RECOVERING') return;
  const at = Math.max(state.lastJudged, state.raisedAt);
  place.emit({ ...transitionOf(state, place), state: 'RESOLVED', transition: 'EXPIRED', value: null, transitionAt: at, resolvedAt: at });
  enter(state, 'NORMAL');
}

function count(state: AlertState, reading: JudgedReading, rule: OracleRule): void {
  state.sampleCount += 1;
  state.peak = rule.direction === 'above' ? Math.max(state.peak, reading.value) : Math.min(state.peak, reading.value);
}

function enter(state: AlertState, phase: AlertState['phase'], timerAt: number | null = null): void {
  state.phase = phase;
  state.timerAt = timerAt;
}

function raise(state: AlertState, place: AlertPlace, by: { at: number; completedBy: number | null }): void {
  enter(state, 'FIRING');
  const offsets = new Set([state.firstBreachOffset, by.completedBy ?? state.firstBreachOffset]);
  place.emit({
    ...transitionOf(state, place),
    transitionAt: by.at,
    transitionNumber: 1,
    evidence: [...offsets].map((offset) => refTo(offset, place)),
  });
}

function resolve(state: AlertState, place: AlertPlace, by: { at: number; causedBy: number | null }): void {
  enter(state, 'NORMAL');
  place.emit({
    ...transitionOf(state, place),
    state: 'RESOLVED',
    transition: 'RESOLVED',
    transitionAt: by.at,
    resolvedAt: by.at,
    evidence: by.causedBy === null ? [] : [refTo(by.causedBy, place)],
  });
}

function refTo(offset: number, place: AlertPlace): RecordRef {
  return { topic: place.readingsTopic, partition: place.partition, offset };
}

/** A row as it is for the end of an episode without evidence, except for what the kinds of transition set themselves. */
function transitionOf(state: AlertState, place: AlertPlace): AlertRow {
  const { rule, deviceId, partition } = place;
  const about = { ruleId: rule.id, deviceId, metric: rule.metric };
  return {
    alertId: alertIdOf({ ...about, partition, offset: state.firstBreachOffset }),
    fingerprint: fingerprintOf(about),
    ...about,
    ruleVersion: rule.version,
    severity: rule.severity,
    state: 'FIRING',
    transition: 'RAISED',
    value: state.lastValue,
    peakValue: state.peak,
    threshold: rule.threshold,
    clearThreshold: clearThresholdOf(rule),
    unit: rule.unit,
    raisedAt: state.raisedAt,
    transitionAt: state.raisedAt,
    resolvedAt: null,
    transitionNumber: 2,
    sampleCount: state.sampleCount,
    suppressed: false,
    acknowledgedBy: null,
    summary: '',
    labels: { ...rule.labels },
    evidence: [],
  };
}
