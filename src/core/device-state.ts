import { hasTimer } from './alert-lifecycle.ts';
import type { AlertRule } from './alert-rule.ts';
import type { AlertState } from './alert-state.ts';
import type { FoldSettings } from './fold-settings.ts';
import { forgetAfterMs } from './fold-settings.ts';
import type { OpenPart } from './open-part.ts';
import { plainNumbers } from './plain-numbers.ts';

export const NO_LABELS: Readonly<Record<string, string>> = {};
const NO_RULES: readonly AlertRule[] = [];

// Places of the times.
const MAX_T = 0;
const LAST_HEARD = 1;
const CLOSED_UP_TO = 2;
const QUEUED_DUE = 3;
const NEXT_END = 4;

const NEW = plainNumbers([-1, -1, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);

/**
 * What the fold remembers of one device. Times in epoch ms; -1 where there was none yet. Most devices have one or two open parts and a few
 * alerts, so these hang together in chains, without a collection for each device.
 */
export class DeviceState {
  readonly deviceId: string;
  private readonly times = NEW.slice();
  /** The newest one; the others follow by `next`, in no order that means anything. */
  firstPart: OpenPart | null = null;
  /** Of the rules that have judged it; the others follow by `next`. */
  firstAlert: AlertState | null = null;

  // Not state, but made from settings and profile:
  rules: readonly AlertRule[] = NO_RULES;
  /** Whether one of them raises an alert when the device falls silent. */
  isWatched = false;
  labels: Readonly<Record<string, string>> = NO_LABELS;

  // Not state, but bookkeeping of the fold:
  /** Whether the device is already in the list of devices changed since the last commit. */
  changed = false;
  forgotten = false;
  /** False when no alert of the device has a timer; then nothing has to be looked for with each reading. */
  mayHaveTimers = true;

  constructor(deviceId: string) {
    this.deviceId = deviceId;
  }

  /** Highest event time accepted. */
  get maxT(): number {
    return this.times[MAX_T]!;
  }
  set maxT(timeMs: number) {
    this.times[MAX_T] = timeMs;
  }

  /** The partition clock when the last accepted reading was folded. */
  get lastHeard(): number {
    return this.times[LAST_HEARD]!;
  }
  set lastHeard(timeMs: number) {
    this.times[LAST_HEARD] = timeMs;
  }

  /** Event time up to which the windows were emitted. */
  get closedUpTo(): number {
    return this.times[CLOSED_UP_TO]!;
  }
  set closedUpTo(timeMs: number) {
    this.times[CLOSED_UP_TO] = timeMs;
  }

  /** Bookkeeping: the smallest key with which the device stands in the due queue. */
  get queuedDueMs(): number {
    return this.times[QUEUED_DUE]!;
  }
  set queuedDueMs(timeMs: number) {
    this.times[QUEUED_DUE] = timeMs;
  }

  /** Bookkeeping: while maxT less the grace is below this no window ends by the device's own time. */
  get nextEndMs(): number {
    return this.times[NEXT_END]!;
  }
  set nextEndMs(timeMs: number) {
    this.times[NEXT_END] = timeMs;
  }

  /** All open parts, in a list of its own: not for the hot path. */
  get openParts(): OpenPart[] {
    const parts: OpenPart[] = [];
    for (let part = this.firstPart; part !== null; part = part.next) parts.push(part);
    return parts;
  }

  addPart(part: OpenPart): void {
    part.next = this.firstPart;
    this.firstPart = part;
  }

  removePart(part: OpenPart): void {
    if (this.firstPart === part) {
      this.firstPart = part.next;
    } else {
      let before = this.firstPart;
      while (before !== null && before.next !== part) before = before.next;
      if (before !== null) before.next = part.next;
    }
    part.next = null;
  }

  /** All alert states, in a list of its own: not for the hot path. */
  get alerts(): AlertState[] {
    const alerts: AlertState[] = [];
    for (let alert = this.firstAlert; alert !== null; alert = alert.next) alerts.push(alert);
    return alerts;
  }

  alertOf(ruleId: string): AlertState | null {
    let alert = this.firstAlert;
    while (alert !== null && alert.ruleId !== ruleId) alert = alert.next;
    return alert;
  }

  /** There must be none of the same rule. */
  addAlert(alert: AlertState): void {
    alert.next = this.firstAlert;
    this.firstAlert = alert;
  }

  /** Whether there was one of this rule. */
  removeAlert(ruleId: string): boolean {
    let before: AlertState | null = null;
    let alert = this.firstAlert;
    while (alert !== null && alert.ruleId !== ruleId) {
      before = alert;
      alert = alert.next;
    }
    if (alert === null) return false;
    if (before === null) this.firstAlert = alert.next;
    else before.next = alert.next;
    return true;
  }
}

/** When an open part closes by the partition clock: its device is silent for long enough, or the part is as old as a part may get. */
export function partDueMs(part: OpenPart, device: DeviceState, settings: FoldSettings): number {
  const silent = Math.max(part.end + settings.graceMs, device.lastHeard + settings.idleMs);
  const oldest = part.firstHeard + settings.windowSizeMs + settings.graceMs + settings.idleMs;
  return Math.min(silent, oldest);
}

/** When the timer of an alert elapses, on the partition clock. */
export function timerDueMs(alert: AlertState, device: DeviceState): number {
  return device.lastHeard + Math.max(0, alert.timerAt - device.maxT);
}

/** When the device becomes stale for the rule, on the partition clock; Infinity when it cannot. */
export function staleDueMs(rule: AlertRule, alert: AlertState, device: DeviceState): number {
  if (rule.staleAfterMs === null || alert.staleSince >= 0) return Number.POSITIVE_INFINITY;
  return device.lastHeard + rule.staleAfterMs;
}

/** The first moment of the partition clock at which a device without open parts is forgotten. */
export function forgetDueMs(device: DeviceState, settings: FoldSettings): number {
  return Math.max(device.lastHeard, device.maxT, device.closedUpTo) + forgetAfterMs(settings) + 1;
}

function timersDueMs(device: DeviceState): number {
  let due = Number.POSITIVE_INFINITY;
  for (let alert = device.firstAlert; alert !== null; alert = alert.next) {
    if (hasTimer(alert)) due = Math.min(due, timerDueMs(alert, device));
  }
  device.mayHaveTimers = due !== Number.POSITIVE_INFINITY;
  return due;
}

/** The first moment of the partition clock at which anything happens to the device by itself. */
export function deviceDueMs(device: DeviceState, settings: FoldSettings): number {
  let due = device.firstPart === null ? forgetDueMs(device, settings) : Number.POSITIVE_INFINITY;
  for (let part = device.firstPart; part !== null; part = part.next) due = Math.min(due, partDueMs(part, device, settings));
  if (device.mayHaveTimers) due = Math.min(due, timersDueMs(device));
  if (!device.isWatched) return due;
  for (const rule of device.rules) {
    const alert = rule.staleAfterMs === null ? null : device.alertOf(rule.id);
    if (alert !== null) due = Math.min(due, staleDueMs(rule, alert, device));
  }
  return due;
}
