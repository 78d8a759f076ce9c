import type { Alert } from '../core/alert-record.ts';
import { shortText } from './short-text.ts';

/** One transition as it is shown: what the topic says, without labels and evidence, its texts cut. Times in epoch ms. */
export type ShownAlert = Pick<
  Alert,
  | 'alertId'
  | 'ruleId'
  | 'deviceId'
  | 'metric'
  | 'unit'
  | 'severity'
  | 'state'
  | 'transition'
  | 'value'
  | 'peakValue'
  | 'threshold'
  | 'raisedAt'
  | 'transitionAt'
  | 'resolvedAt'
  | 'summary'
> & {
  /** When the log took the transition. */
  readonly writtenAt: number;
};

export interface AlertsView {
  /** Worst first, then newest; at most `firingShownMax`. */
  readonly firing: readonly ShownAlert[];
  /** All that fire, shown or not. */
  readonly firingCount: number;
  /** Whether there may be more that fire: raised before what was read, or beyond the bound of the book. */
  readonly isCut: boolean;
  /** The last transitions, newest first. */
  readonly recent: readonly ShownAlert[];
}

export interface AlertBookLimits {
  readonly firingMax: number;
  readonly firingShownMax: number;
  readonly recentMax: number;
}

const TEXT_MAX = 300;

const SEVERITIES = ['UNKNOWN', 'INFO', 'WARNING', 'CRITICAL'] as const satisfies readonly Alert['severity'][];

const rankOf = (alert: ShownAlert) => SEVERITIES.indexOf(alert.severity);

/** Which alerts fire, by device, and what happened last. */
export class AlertBook {
  readonly #limits: AlertBookLimits;
  readonly #firing = new Map<string, ShownAlert>();
  readonly #byDevice = new Map<string, Set<string>>();
  /** Oldest first by the time of writing: partitions are read side by side. */
  readonly #recent: ShownAlert[] = [];
  #isCut = false;

  constructor(limits: AlertBookLimits) {
    this.#limits = limits;
  }

  /** Says that alerts raised earlier were not read. */
  markCut(): void {
    this.#isCut = true;
  }

  /** `writtenAt` is the record's append time. */
  observe(alert: Alert, writtenAt: number): void {
    const shown = shownAlert(alert, writtenAt);
    this.#remember(shown);
    if (alert.transition === 'RESOLVED' || alert.transition === 'EXPIRED') this.#end(shown);
    else if (this.#firing.has(shown.alertId) || this.#firing.size < this.#limits.firingMax) this.#fire(shown);
    else this.#isCut = true;
  }

  get firingCount(): number {
    return this.#firing.size;
  }

  /** Worst first, then newest. */
  firingOf(deviceId: string): ShownAlert[] {
    const ids = this.#byDevice.get(deviceId);
    return ids === undefined ? [] : [...ids].map((id) => this.#firing.get(id)!).sort(worstFirst);
  }

  /** How many fire for the device, and the worst severity; null when none does. */
  firingSummaryOf(deviceId: string): { readonly count: number; readonly severity: Alert['severity'] } | null {
    const ids = this.#byDevice.get(deviceId);
    if (ids === undefined) return null;
    const ranks = [...ids].map((id) => rankOf(this.#firing.get(id)!));
    return { count: ids.size, severity: SEVERITIES[Math.max(...ranks)] ?? 'UNKNOWN' };
  }

  recentOf(deviceId: string): ShownAlert[] {
    return this.#recent.filter((alert) => alert.deviceId === deviceId).reverse();
  }

  view(): AlertsView {
    const firing = [...this.#firing.values()].sort(worstFirst).slice(0, this.#limits.firingShownMax);
    return { firing, firingCount: this.#firing.size, isCut: this.#isCut, recent: this.#recent.toReversed() };
  }

  #fire(alert: ShownAlert): void {
    this.#end(alert);
    this.#firing.set(alert.alertId, alert);
    const ids = this.#byDevice.get(alert.deviceId);
    if (ids === undefined) this.#byDevice.set(alert.deviceId, new Set([alert.alertId]));
    else ids.add(alert.alertId);
  }

  #end({ alertId }: ShownAlert): void {
    const known = this.#firing.get(alertId);
    if (known === undefined) return;
    this.#firing.delete(alertId);
    const ids = this.#byDevice.get(known.deviceId)!;
    ids.delete(alertId);
    if (ids.size === 0) this.#byDevice.delete(known.deviceId);
  }

  #remember(alert: ShownAlert): void {
    let position = this.#recent.length;
    while (position > 0 && this.#recent[position - 1]!.writtenAt > alert.writtenAt) position--;
    this.#recent.splice(position, 0, alert);
    if (this.#recent.length > this.#limits.recentMax) this.#recent.shift();
  }
}

function worstFirst(a: ShownAlert, b: ShownAlert): number {
  return rankOf(b) - rankOf(a) || b.raisedAt - a.raisedAt || (a.alertId < b.alertId ? -1 : 1);
}

function shownAlert(alert: Alert, writtenAt: number): ShownAlert {
  const cut = (text: string) => shortText(text, TEXT_MAX);
  const { severity, state, transition, value, peakValue, threshold, raisedAt, transitionAt, resolvedAt } = alert;
  return {
    alertId: cut(alert.alertId),
    ruleId: cut(alert.ruleId),
    deviceId: cut(alert.deviceId),
    metric: cut(alert.metric),
    unit: cut(alert.unit),
    summary: cut(alert.summary),
    severity,
    state,
    transition,
    value,
    peakValue,
    threshold,
    raisedAt,
    transitionAt,
    resolvedAt,
    writtenAt,
  };
}
