// The life of the alerts of one device and one rule, as docs/FOLD.md "Alerts" tells it, clause by clause.

import { breachedLevel, breaches, clearThresholdOf, heldLevel, isClearOf, levelAt } from './device-rules.ts';
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
  /** L, while it is raised. */
  level: number;
  /** Of the last transition that was written. */
  transitionNumber: number;
  /** The stale alert of the rule, while it is raised. */
  stale: { readonly raisedAt: number; readonly staleHeard: number } | null;
}

/** Which device and rule a state belongs to, and where transitions go. */
export interface AlertPlace {
  readonly deviceId: string;
  /** As the device has it. */
  readonly rule: OracleRule;
  /** Of the device's profile. */
  readonly deviceLabels: Readonly<Record<string, string>>;
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
    level: 1,
    transitionNumber: 0,
    stale: null,
  };
}

const isBreach = (rule: OracleRule, value: number): boolean => breaches(rule, levelAt(rule, 1), value);
const isClear = (rule: OracleRule, value: number): boolean => isClearOf(rule, levelAt(rule, 1), value);

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
  const by = { at: reading.t, causedBy: reading.offset };
  count(state, reading, rule);
  if (!isClear(rule, reading.value)) {
    if (state.phase === 'RECOVERING') enter(state, 'FIRING');
    stepTo(state, Math.max(breachedLevel(rule, reading.value), heldLevel(rule, reading.value, state.level)), { by, place });
    return;
  }
  if (state.phase === 'RECOVERING') {
    if (reading.t - state.recoveringSince >= rule.offDelayMs) resolve(state, place, by);
  } else if (rule.offDelayMs === 0) {
    resolve(state, place, by);
  } else {
    state.recoveringSince = reading.t;
    enter(state, 'RECOVERING', Math.max(reading.t, reading.maxT) + rule.offDelayMs);
    if (state.level > 1) stepTo(state, 1, { by, place });
  }
}

function stepTo(state: AlertState, level: number, { by, place }: { by: Cause; place: AlertPlace }): void {
  if (level === state.level) return;
  const transition = level > state.level ? 'ESCALATED' : 'DEESCALATED';
  state.level = level;
  emit(state, place, { transition, transitionAt: by.at, evidence: evidenceOf(by, place) });
}

/** The timer of PENDING or RECOVERING runs out. */
export function fireTimer(state: AlertState, place: AlertPlace): void {
  const at = state.timerAt!;
  if (state.phase === 'PENDING') raise(state, place, { at, completedBy: null });
  else resolve(state, place, { at, causedBy: null });
}

/** The device is forgotten, or the rule is gone or disabled: what is raised ends; everything else is silently dropped. */
export function expire(state: AlertState, place: AlertPlace): void {
  if (state.phase === 'FIRING' || state.phase === 'RECOVERING') {
    const at = Math.max(state.lastJudged, state.raisedAt);
    state.level = 1;
    emit(state, place, { state: 'RESOLVED', transition: 'EXPIRED', value: null, transitionAt: at, resolvedAt: at });
    enter(state, 'NORMAL');
  }
  expireStale(state, place);
}

/** The stale timer fires. */
export function raiseStale(state: AlertState, place: AlertPlace, device: { maxT: number; lastHeard: number }): void {
  state.stale = { raisedAt: device.maxT + place.rule.staleAfterMs!, staleHeard: device.lastHeard };
  place.emit(staleRow(state.stale, place));
}

/** A reading of the device was accepted. */
export function resolveStale(state: AlertState, place: AlertPlace, reading: { offset: number; t: number }): void {
  if (state.stale === null) return;
  const at = Math.max(reading.t, state.stale.raisedAt);
  const evidence = [refTo(reading.offset, place)];
  place.emit({ ...endOfStale(state.stale, place), transition: 'RESOLVED', transitionAt: at, resolvedAt: at, evidence });
  state.stale = null;
}

export function expireStale(state: AlertState, place: AlertPlace): void {
  if (state.stale === null) return;
  const { raisedAt: at } = state.stale;
  place.emit({ ...endOfStale(state.stale, place), transition: 'EXPIRED', transitionAt: at, resolvedAt: at });
  state.stale = null;
}

function count(state: AlertState, reading: JudgedReading, rule: OracleRule): void {
  state.sampleCount += 1;
  state.peak = rule.direction === 'above' ? Math.max(state.peak, reading.value) : Math.min(state.peak, reading.value);
}

function enter(state: AlertState, phase: AlertState['phase'], timerAt: number | null = null): void {
  state.phase = phase;
  state.timerAt = timerAt;
}

/** When a transition happens, and the reading that caused it; null when a timer did. */
interface Cause {
  readonly at: number;
  readonly causedBy: number | null;
}

function raise(state: AlertState, place: AlertPlace, by: { at: number; completedBy: number | null }): void {
  enter(state, 'FIRING');
  state.level = breachedLevel(place.rule, state.lastValue);
  state.transitionNumber = 0;
  const offsets = new Set([state.firstBreachOffset, by.completedBy ?? state.firstBreachOffset]);
  emit(state, place, { transitionAt: by.at, evidence: [...offsets].map((offset) => refTo(offset, place)) });
}

function resolve(state: AlertState, place: AlertPlace, by: Cause): void {
  enter(state, 'NORMAL');
  state.level = 1;
  const evidence = evidenceOf(by, place);
  emit(state, place, { state: 'RESOLVED', transition: 'RESOLVED', transitionAt: by.at, resolvedAt: by.at, evidence });
}

function evidenceOf({ causedBy }: Cause, place: AlertPlace): RecordRef[] {
  return causedBy === null ? [] : [refTo(causedBy, place)];
}

function refTo(offset: number, place: AlertPlace): RecordRef {
  return { topic: place.readingsTopic, partition: place.partition, offset };
}

/** Writes a transition: RAISED, except for what is given. */
function emit(state: AlertState, place: AlertPlace, given: Partial<AlertRow>): void {
  state.transitionNumber += 1;
  place.emit({
    ...rowOf(place, { ruleId: place.rule.id, of: state.firstBreachOffset, level: state.level }),
    state: 'FIRING',
    value: state.lastValue,
    peakValue: state.peak,
    raisedAt: state.raisedAt,
    transitionNumber: state.transitionNumber,
    sampleCount: state.sampleCount,
    ...given,
  });
}

function staleRow({ raisedAt, staleHeard }: NonNullable<AlertState['stale']>, place: AlertPlace): AlertRow {
  const row = rowOf(place, { ruleId: `${place.rule.id}:stale`, of: staleHeard, level: 1 });
  return { ...row, state: 'STALE', raisedAt, transitionAt: raisedAt };
}

function endOfStale(stale: NonNullable<AlertState['stale']>, place: AlertPlace): AlertRow {
  return { ...staleRow(stale, place), state: 'RESOLVED', transitionNumber: 2 };
}

/** What all transitions have in common; `of` is the number in the alert's id. */
function rowOf(place: AlertPlace, { ruleId, of, level: number }: { ruleId: string; of: number; level: number }): AlertRow {
  const { rule, deviceId, partition, deviceLabels } = place;
  const about = { ruleId, deviceId, metric: rule.metric };
  const level = levelAt(rule, number);
  return {
    alertId: alertIdOf({ ...about, partition, offset: of }),
    fingerprint: fingerprintOf(about),
    ...about,
    ruleVersion: rule.version,
    severity: level.severity,
    state: 'UNKNOWN',
    transition: 'RAISED',
    value: null,
    peakValue: null,
    threshold: level.threshold,
    clearThreshold: clearThresholdOf(rule, level),
    unit: rule.unit,
    raisedAt: Number.NaN,
    transitionAt: Number.NaN,
    resolvedAt: null,
    transitionNumber: 1,
    sampleCount: 0,
    suppressed: false,
    acknowledgedBy: null,
    summary: '',
    labels: { ...rule.labels, ...deviceLabels },
    evidence: [],
  };
}
