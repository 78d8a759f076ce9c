import { admit, expire, fireTimer, hasTimer, isRaised, judge, type Sample, type Transition } from './alert-lifecycle.ts';
import { type AlertSubject, alertRecord, type NameToUuid } from './alert-record.ts';
import { type AlertRule, isSameAlarm } from './alert-rule.ts';
import { AlertState } from './alert-state.ts';
import { type DeviceState, staleDueMs, timerDueMs } from './device-state.ts';
import { byDueTime, compareText, type DueTimer } from './emission-order.ts';
import type { FoldOutbox } from './fold-output.ts';
import { metricValueOf, type Reading } from './reading.ts';
import { endStale, isStale, raiseStale, type StaleTransition, staleEnd, staleRecord } from './stale-alert.ts';

// The alerts of the devices of one partition: docs/FOLD.md, Alerts. When what happens is the fold's business; this judges and writes.

export class PartitionAlerts {
  private readonly origin: { readonly topic: string; readonly partition: number };
  private readonly uuid: NameToUuid;
  private readonly output: FoldOutbox;
  /**
   * What the rule sees of the reading; one for all, because each reading is judged before the next. NaN at first, so that every field has room
   * for a fraction.
   */
  private readonly sample = {
    offset: Number.NaN,
    timeMs: Number.NaN,
    value: Number.NaN,
    heardMs: Number.NaN,
    deviceMaxMs: Number.NaN,
  };

  constructor(options: { topic: string; partition: number; uuid: NameToUuid; output: FoldOutbox }) {
    this.origin = { topic: options.topic, partition: options.partition };
    this.uuid = options.uuid;
    this.output = options.output;
  }

  /** Shows an accepted reading to every rule of the device. */
  judge(device: DeviceState, reading: Reading, offset: number, clockMs: number): void {
    for (const rule of device.rules) {
      if (rule.staleAfterMs !== null) this.endSilence(device, rule, { offset, timeMs: reading.eventTime });
      const value = metricValueOf(reading, rule.metric);
      if (value === null) continue;
      const { sample } = this;
      sample.offset = offset;
      sample.timeMs = reading.eventTime;
      sample.value = value;
      sample.heardMs = clockMs;
      sample.deviceMaxMs = device.maxT;
      this.judgeBy(device, rule, sample);
    }
  }

  private judgeBy(device: DeviceState, rule: AlertRule, sample: Sample): void {
    let alert = device.alertOf(rule.id);
    if (alert === null) {
      alert = new AlertState(rule.id);
      device.addAlert(alert);
    }
    if (!admit(alert, sample)) {
      this.output.notJudged += 1;
      return;
    }
    const transition = judge(rule, alert, sample);
    if (hasTimer(alert)) device.mayHaveTimers = true;
    if (transition !== null) this.write(device, rule, alert, transition);
  }

  private endSilence(device: DeviceState, rule: AlertRule, reading: { offset: number; timeMs: number }): void {
    const alert = device.alertOf(rule.id);
    if (alert !== null && isStale(alert)) this.endStale(device, rule, alert, staleEnd(alert, reading));
  }

  /** The timers of the device that are due by the partition clock. */
  collectDue(device: DeviceState, clockMs: number, into: DueTimer[]): void {
    for (const rule of device.rules) {
      const alert = device.alertOf(rule.id);
      if (alert === null) continue;
      const dueMs = hasTimer(alert) ? timerDueMs(alert, device) : Number.POSITIVE_INFINITY;
      if (dueMs <= clockMs) into.push({ kind: 'alert', dueMs, device, rule, alert });
      const silentMs = staleDueMs(rule, alert, device);
      if (silentMs <= clockMs) into.push({ kind: 'stale', dueMs: silentMs, device, rule, alert });
    }
  }

  /** Fires collected timers, of any devices, in the order of the specification. */
  fire(timers: DueTimer[]): void {
    timers.sort(byDueTime);
    for (const { kind, device, rule, alert } of timers) {
      if (kind === 'alert') this.write(device, rule, alert, fireTimer(rule, alert));
      else this.writeStale(device, rule, alert, raiseStale(rule, alert, device));
    }
  }

  /** Fires the timers that the device's own time has passed. */
  firePassed(device: DeviceState): void {
    if (!device.mayHaveTimers) return;
    let passed: { rule: AlertRule; alert: AlertState }[] | null = null;
    for (const rule of device.rules) {
      const alert = device.alertOf(rule.id);
      if (alert !== null && hasTimer(alert) && alert.timerAt <= device.maxT) (passed ??= []).push({ rule, alert });
    }
    if (passed === null) return;
    passed.sort((a, b) => a.alert.timerAt - b.alert.timerAt || compareText(a.rule.id, b.rule.id));
    for (const { rule, alert } of passed) this.write(device, rule, alert, fireTimer(rule, alert));
  }

  /** Ends what is raised under these rules of the device, in their order. */
  expire(device: DeviceState, rules: readonly AlertRule[]): void {
    for (const rule of rules) {
      const alert = device.alertOf(rule.id);
      if (alert === null) continue;
      const transition = expire(alert);
      if (transition !== null) this.write(device, rule, alert, transition);
      if (isStale(alert)) this.endStale(device, rule, alert, staleEnd(alert, null));
    }
  }

  /** Ends what is raised under these rules of the device, and drops what is remembered of them. */
  drop(device: DeviceState, rules: readonly AlertRule[]): void {
    this.expire(device, rules);
    for (const rule of rules) if (device.removeAlert(rule.id)) this.output.markChanged(device);
  }

  /** What a change of the rules ends: alerts whose rule is gone, and stale alerts that nobody watches for any more. */
  dropOrphans(devices: Iterable<DeviceState>, { older, newer }: { older: readonly AlertRule[]; newer: readonly AlertRule[] }): void {
    const goesOn = (rule: AlertRule): boolean =>
      newer.some((candidate) => isSameAlarm(rule, candidate) && (candidate.staleAfterMs !== null || rule.staleAfterMs === null));
    if (older.every(goesOn)) return;
    for (const device of [...devices].sort((a, b) => compareText(a.deviceId, b.deviceId))) {
      for (const rule of device.rules) {
        const successor = newer.find((candidate) => isSameAlarm(rule, candidate));
        if (successor === undefined) this.drop(device, [rule]);
        else if (successor.staleAfterMs === null) this.unwatch(device, rule);
      }
    }
  }

  private unwatch(device: DeviceState, rule: AlertRule): void {
    const alert = device.alertOf(rule.id);
    if (alert !== null && isStale(alert)) this.endStale(device, rule, alert, staleEnd(alert, null));
  }

  private write(device: DeviceState, rule: AlertRule, alert: AlertState, transition: Transition): void {
    this.output.markChanged(device);
    this.output.alerts.push(alertRecord(rule, alert, this.subjectOf(device), { transition, uuid: this.uuid }));
  }

  private writeStale(device: DeviceState, rule: AlertRule, alert: AlertState, transition: StaleTransition): void {
    this.output.markChanged(device);
    this.output.alerts.push(staleRecord(rule, alert, this.subjectOf(device), { transition, uuid: this.uuid }));
  }

  private endStale(device: DeviceState, rule: AlertRule, alert: AlertState, transition: StaleTransition): void {
    this.writeStale(device, rule, alert, transition);
    endStale(alert);
  }

  private subjectOf(device: DeviceState): AlertSubject {
    return { deviceId: device.deviceId, ...this.origin, labels: device.labels };
  }
}

/** Alerts of the device that are raised now, stale ones too. */
export function raisedAlertsOf(device: DeviceState): number {
  let count = 0;
  for (let alert = device.firstAlert; alert !== null; alert = alert.next) count += (isRaised(alert) ? 1 : 0) + (isStale(alert) ? 1 : 0);
  return count;
}
