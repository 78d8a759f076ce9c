import { type AlertRule, breachedLevel, heldLevel, isBreach, isClear } from './alert-rule.ts';
import type { AlertState } from './alert-state.ts';

// The life of one alert of one device under one rule:
//
//            breach                  held for `for`                 clear
//   NORMAL ─────────▶ PENDING ─────────────────────▶ FIRING ─────────────────▶ RECOVERING
//     ▲                  │ no breach                   ▲  ▲        not clear       │  │
//     ├──────────────────┘                    for = 0 ─┘  └────────────────────────┘  │ clear for `offDelay`
//     └───────────────────────────────────────────────────────────────────────────────┘
//
// Written are RAISED (into FIRING), RESOLVED and EXPIRED (back to NORMAL), and in between ESCALATED and DEESCALATED, when the value climbs or
// descends the rule's ladder of severities: it is one alert all the time. PENDING and RECOVERING are internal.

/** When the last judged reading is older than this on the partition clock, a reading with an earlier event time restarts the alert's timeline. */
const TIMELINE_RESTART_MS = 5 * 60_000;

/** A step that has to be written. `offset` is the reading that caused it, null when a timer or a removal did. */
export interface Transition {
  readonly kind: 'RAISED' | 'ESCALATED' | 'DEESCALATED' | 'RESOLVED' | 'EXPIRED';
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
    return sample.timeMs - state.raisedAt >= rule.forMs ? raise(rule, state, { at: sample.timeMs, offset: sample.offset }) : null;
  }
  if (!isClear(rule, sample.value)) {
    state.phase = 'FIRING';
    return stepTo(state, Math.max(breachedLevel(rule, sample.value), heldLevel(rule, state.level, sample.value)), sample);
  }
  if (state.phase === 'FIRING') {
    if (rule.offDelayMs === 0) return resolve(state, sample.timeMs, sample.offset);
    state.phase = 'RECOVERING';
    state.recoveringSince = sample.timeMs;
    state.timerAt = Math.max(sample.timeMs, sample.deviceMaxMs) + rule.offDelayMs;
    return stepTo(state, 1, sample);
  }
  return sample.timeMs - state.recoveringSince >= rule.offDelayMs ? resolve(state, sample.timeMs, sample.offset) : null;
}

function begin(rule: AlertRule, state: AlertState, sample: Sample): Transition | null {
  state.raisedAt = sample.timeMs;
  state.firstBreachOffset = sample.offset;
  state.peak = sample.value;
  state.sampleCount = 1;
  state.transitions = 0;
  if (rule.forMs === 0) return raise(rule, state, { at: sample.timeMs, offset: sample.offset });
  state.phase = 'PENDING';
  state.timerAt = Math.max(sample.timeMs, sample.deviceMaxMs) + rule.forMs;
  return null;
}

/** Up or down the ladder; null when the alert stands there already. */
function stepTo(state: AlertState, level: number, sample: Sample): Transition | null {
  if (level === state.level) return null;
  const kind = level > state.level ? 'ESCALATED' : 'DEESCALATED';
  state.level = level;
  state.transitions += 1;
  return { kind, at: sample.timeMs, value: sample.value, offset: sample.offset };
}

/** What the elapsed timer of a PENDING or RECOVERING alert does. */
export function fireTimer(rule: AlertRule, state: AlertState): Transition {
  const at = state.timerAt;
  return state.phase === 'PENDING' ? raise(rule, state, { at, offset: null }) : resolve(state, at, null);
}

/** Ends the alert because its rule or its device is gone; null when nothing was raised. */
export function expire(state: AlertState): Transition | null {
  const raised = isRaised(state);
  state.phase = 'NORMAL';
  if (!raised) return null;
  state.transitions += 1;
  return { kind: 'EXPIRED', at: Math.max(state.lastJudged, state.raisedAt), value: null, offset: null };
}

function raise(rule: AlertRule, state: AlertState, by: { at: number; offset: number | null }): Transition {
  state.phase = 'FIRING';
  state.level = breachedLevel(rule, state.lastValue);
  state.transitions += 1;
  return { kind: 'RAISED', at: by.at, value: state.lastValue, offset: by.offset };
}

function resolve(state: AlertState, at: number, offset: number | null): Transition {
  state.phase = 'NORMAL';
  state.transitions += 1;
  return { kind: 'RESOLVED', at, value: state.lastValue, offset };
}
