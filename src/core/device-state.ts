import { type AlertState, hasTimer } from './alert-lifecycle.ts';
import type { AlertRule } from './alert-rule.ts';
import type { FoldSettings } from './fold-settings.ts';
import { forgetAfterMs } from './fold-settings.ts';
import type { OpenPart } from './open-part.ts';

export const NO_LABELS: Readonly<Record<string, string>> = {};
const NO_RULES: readonly AlertRule[] = [];

/** What the fold remembers of one device. Times in epoch ms; -1 where there was none yet. */
export class DeviceState {
  readonly deviceId: string;
  /** Highest event time accepted. */
  maxT = -1;
  /** The partition clock when the last accepted reading was folded. */
  lastHeard = -1;
  /** Event time up to which the windows were emitted. */
  closedUpTo = -1;
  openParts: OpenPart[] = [];
  /** By rule id. */
  readonly alerts = new Map<string, AlertState>();

  // Not state, but made from settings and profile:
  rules: readonly AlertRule[] = NO_RULES;
  /** Whether one of them raises an alert when the device falls silent. */
  isWatched = false;
  labels: Readonly<Record<string, string>> = NO_LABELS;

  // Not state, but bookkeeping of the fold:
  /** Whether the device is already in the list of devices changed since the last commit. */
  changed = false;
  /** The smallest key with which the device stands in the due queue. */
  queuedDueMs = Number.POSITIVE_INFINITY;
  forgotten = false;
  /** False when no alert of the device has a timer; then nothing has to be looked for with each reading. */
  mayHaveTimers = true;
  /** While maxT less the grace is below this no window ends by the device's own time. */
  nextEndMs = Number.NEGATIVE_INFINITY;

  constructor(deviceId: string) {
    this.deviceId = deviceId;
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
  for (const alert of device.alerts.values()) if (hasTimer(alert)) due = Math.min(due, timerDueMs(alert, device));
  device.mayHaveTimers = due !== Number.POSITIVE_INFINITY;
  return due;
}

/** The first moment of the partition clock at which anything happens to the device by itself. */
export function deviceDueMs(device: DeviceState, settings: FoldSettings): number {
  let due = device.openParts.length === 0 ? forgetDueMs(device, settings) : Number.POSITIVE_INFINITY;
  for (const part of device.openParts) due = Math.min(due, partDueMs(part, device, settings));
  if (device.mayHaveTimers) due = Math.min(due, timersDueMs(device));
  if (!device.isWatched) return due;
  for (const rule of device.rules) {
    const alert = rule.staleAfterMs === null ? undefined : device.alerts.get(rule.id);
    if (alert !== undefined) due = Math.min(due, staleDueMs(rule, alert, device));
  }
  return due;
}
