// The oracle: one partition folded the naive way. It was written from docs/FOLD.md alone and shares no code with src/; the
// numbers in the comments are the steps of that page. Where the product keeps sums and heaps, this keeps lists and scans them.

import type { ReadingOutcome } from '../../../src/core/outcome.ts';
import type { Reading } from '../../../src/core/reading.ts';
import {
  type AlertPlace,
  type AlertState,
  expire,
  expireStale,
  fireTimer,
  judge,
  newAlertState,
  raiseStale,
  resolveStale,
} from './alert-timeline.ts';
import { rulesOfDevice } from './device-rules.ts';
import type { OracleProfile, OracleRule, OracleSettings, OracleSetup, OracleStep, ProfilesStep, RecordStep } from './fold-steps.ts';
import { byCodeUnit, commonMetricNames, metricValuesOf, unitOfRows } from './metric-values.ts';
import { partitionOfKey } from './murmur2.ts';
import { type OpenPart, rowsOfPart } from './open-part.ts';
import type { AggregateRow, AlertRow, DeadLetter } from './output-rows.ts';
import { firstAppendTime, identityThatCounts } from './replay-claims.ts';
import { type OracleSettingsChange, settingsChange } from './settings-change.ts';

const DAY_MS = 86_400_000;
const OTHER_METRICS_MAX = 1000;
const FORGET_AFTER_WHEN_UNLIMITED_MS = 7 * DAY_MS;

interface Device {
  readonly id: string;
  maxT: number;
  lastHeard: number;
  closedUpTo: number;
  parts: OpenPart[];
  readonly alerts: Map<string, AlertState>;
}

interface AcceptedReading {
  readonly offset: number;
  readonly t: number;
  /** Ordered by metric. */
  readonly values: readonly (readonly [metric: string, value: number])[];
}

interface DueTimer {
  readonly due: number;
  readonly device: Device;
  /** Of the alert. */
  readonly ruleId: string;
  readonly fire: () => void;
}

export interface FoldResult {
  readonly aggregates: readonly AggregateRow[];
  readonly alerts: readonly AlertRow[];
  readonly deadLetters: readonly DeadLetter[];
  readonly outcomes: ReadonlyMap<number, ReadingOutcome>;
  /** The partition clock; -1 before the first record or tick. */
  readonly P: number;
}

export class FoldOracle implements FoldResult {
  readonly aggregates: AggregateRow[] = [];
  readonly alerts: AlertRow[] = [];
  readonly deadLetters: DeadLetter[] = [];
  readonly outcomes = new Map<number, ReadingOutcome>();
  P = -1;
  lateReadings = 0;
  /** How often a rule found a reading too old to judge. */
  notJudged = 0;

  readonly #setup: OracleSetup;
  readonly #scanAlways: boolean;
  #settings: OracleSettings;
  readonly #devices = new Map<string, Device>();
  readonly #profiles = new Map<string, OracleProfile>();
  readonly #identities = new Map<number, { offset: number; appendTime: number }>();
  /** Nothing is due before this moment of P: a lower bound, exact after each scan. */
  #nothingDueBefore = Number.NEGATIVE_INFINITY;

  /** `scanAlways` looks for what is due at every step, instead of only when something can be. */
  constructor(setup: OracleSetup, options: { scanAlways?: boolean } = {}) {
    this.#setup = setup;
    this.#scanAlways = options.scanAlways ?? false;
    this.#settings = setup.settings;
  }

  get deviceCount(): number {
    return this.#devices.size;
  }

  apply(step: OracleStep): void {
    if (step.kind === 'record') this.#record(step);
    else if (step.kind === 'tick') this.#tick(step.P);
    else if (step.kind === 'settings') this.#changeSettings(settingsChange(this.#settings, step.settings));
    else this.#changeProfiles(step);
  }

  #tick(P: number): void {
    this.P = Math.max(this.P, P);
    this.#atDueTimes(() => undefined);
  }

  #record(record: RecordStep): void {
    if (this.outcomes.has(record.offset)) throw new Error(`offset ${record.offset} was folded before`);
    this.P = Math.max(this.P, record.appendTime); // 1
    const outcome = this.#check(record); // 2
    this.outcomes.set(record.offset, outcome);
    if (outcome !== 'counted' && outcome !== 'not_aggregatable') {
      if (outcome !== 'duplicate') this.deadLetters.push({ offset: record.offset, reason: outcome });
      this.#atDueTimes(() => undefined); // 4 and 7
      return;
    }
    const reading = record.reading!;
    const values = metricValuesOf(reading);
    const device = this.#deviceOf(reading.deviceId);
    device.lastHeard = this.P; // 3
    this.#atDueTimes(() => {
      device.maxT = Math.max(device.maxT, reading.eventTime); // 5
      if (outcome === 'counted') this.#aggregate(device, { offset: record.offset, t: reading.eventTime, values });
      this.#judge(device, { offset: record.offset, t: reading.eventTime, values });
      this.#closeByDeviceTime(device); // 6
      this.#nothingDueBefore = Math.min(this.#nothingDueBefore, this.#nextDueOf(device));
    });
  }

  /** Step 2, and the entry into the table of identities. */
  #check(record: RecordStep): ReadingOutcome {
    const { reading, offset, appendTime, key } = record;
    const settings = this.#settings;
    if (reading === null || !isReadable(reading)) return 'undecodable';
    if (key === null || key !== reading.deviceId) return 'misrouted';
    if (partitionOfKey(key, this.#setup.partitionCount) !== this.#setup.partition) return 'misrouted';
    const identity = identityThatCounts(record, reading.identity);
    const earlier = this.#identities.get(identity);
    if (identity !== 0) this.#identities.set(identity, { offset, appendTime });
    if (reading.eventTime > appendTime + settings.skewMs) return 'future';
    if (settings.pastLimitMs !== null && reading.eventTime < firstAppendTime(record) - settings.pastLimitMs) return 'ancient';
    if (earlier && earlier.offset >= offset - settings.duplicateOffsets && earlier.appendTime >= appendTime - DAY_MS) return 'duplicate';
    if (!this.#devices.has(reading.deviceId) && this.#devices.size >= settings.maxDevices) return 'state_limit';
    return reading.aggregatable ? 'counted' : 'not_aggregatable';
  }

  #deviceOf(id: string): Device {
    let device = this.#devices.get(id);
    if (!device) {
      device = { id, maxT: -1, lastHeard: this.P, closedUpTo: -1, parts: [], alerts: new Map() };
      this.#devices.set(id, device);
    }
    return device;
  }

  /** Steps 4 and 7 with what lies between them. Both are left out when nothing can be due at P. */
  #atDueTimes(between: () => void): void {
    const scan = this.#scanAlways || this.P >= this.#nothingDueBefore;
    if (scan) this.#closeWhatIsDue();
    between();
    if (scan) {
      this.#forget();
      this.#nothingDueBefore = Number.POSITIVE_INFINITY;
      for (const device of this.#devices.values()) this.#nothingDueBefore = Math.min(this.#nothingDueBefore, this.#nextDueOf(device));
    }
  }

  #partDue(device: Device, part: OpenPart): number {
    const { windowMs, graceMs, idleMs } = this.#settings;
    return Math.min(Math.max(part.end + graceMs, device.lastHeard + idleMs), part.firstHeard + windowMs + graceMs + idleMs);
  }

  #timerDue(device: Device, timerAt: number): number {
    return device.lastHeard + Math.max(0, timerAt - device.maxT);
  }

  #forgetDue(device: Device): number {
    const forgetAfterMs = this.#settings.pastLimitMs ?? FORGET_AFTER_WHEN_UNLIMITED_MS;
    return Math.max(device.lastHeard, device.maxT, device.closedUpTo) + forgetAfterMs;
  }

  #nextDueOf(device: Device): number {
    const dues = device.parts.map((part) => this.#partDue(device, part));
    for (const { due } of this.#timersOf(device)) dues.push(due);
    if (device.parts.length === 0) dues.push(this.#forgetDue(device));
    return Math.min(...dues);
  }

  /** Step 4. */
  #closeWhatIsDue(): void {
    const closing: { due: number; device: Device; part: OpenPart }[] = [];
    const timers: DueTimer[] = [];
    for (const device of this.#devices.values()) {
      for (const part of device.parts) closing.push({ due: this.#partDue(device, part), device, part });
      timers.push(...this.#timersOf(device));
    }
    const rows: { due: number; row: AggregateRow }[] = [];
    for (const { due, device, part } of closing.filter((entry) => entry.due <= this.P)) {
      device.parts = device.parts.filter((open) => open !== part);
      if (!part.late) device.closedUpTo = Math.max(device.closedUpTo, part.end);
      for (const row of this.#rows(device, part, 'IDLE')) rows.push({ due, row });
    }
    rows.sort((a, b) => a.due - b.due || byDeviceMetricPart(a.row, b.row));
    this.aggregates.push(...rows.map(({ row }) => row));
    timers
      .filter((timer) => timer.due <= this.P)
      .sort((a, b) => a.due - b.due || byCodeUnit(a.device.id, b.device.id) || byCodeUnit(a.ruleId, b.ruleId))
      .forEach(({ fire }) => {
        fire();
      });
  }

  /** Of both kinds, due by P. */
  #timersOf(device: Device): DueTimer[] {
    return this.#rulesOf(device).flatMap((rule) => {
      const state = device.alerts.get(rule.id);
      if (!state) return [];
      const place = this.#placeOf(device, rule);
      const timers: DueTimer[] = [];
      if (state.timerAt !== null) {
        timers.push({ due: this.#timerDue(device, state.timerAt), device, ruleId: rule.id, fire: () => fireTimer(state, place) });
      }
      if (rule.staleAfterMs !== null && state.stale === null) {
        const due = device.lastHeard + rule.staleAfterMs;
        timers.push({ due, device, ruleId: `${rule.id}:stale`, fire: () => raiseStale(state, place, device) });
      }
      return timers;
    });
  }

  /** Step 5, the aggregates. */
  #aggregate(device: Device, { offset, t, values }: AcceptedReading): void {
    if (values.length === 0) return;
    const { windowMs, maxOpenParts, batchSize } = this.#settings;
    const start = Math.floor(t / windowMs) * windowMs;
    const end = start + windowMs;
    const late = end <= device.closedUpTo;
    if (late) this.lateReadings += 1;
    let part = device.parts.find((open) => open.start === start && open.end === end);
    if (!part) {
      if (device.parts.length >= maxOpenParts) {
        const oldest = [...device.parts].sort((a, b) => a.start - b.start || a.part - b.part)[0];
        if (oldest) this.#close(device, oldest, 'COUNT');
      }
      part = { start, end, part: offset, firstHeard: this.P, late, readings: [], otherMetrics: new Set() };
      device.parts.push(part);
    }
    part.readings.push({ t, values });
    for (const [metric] of values) if (!commonMetricNames.includes(metric)) part.otherMetrics.add(metric);
    const isFull = part.otherMetrics.size >= OTHER_METRICS_MAX;
    if ((batchSize > 0 && part.readings.length >= batchSize) || isFull) this.#close(device, part, 'COUNT');
  }

  /** Step 5, the alerts. */
  #judge(device: Device, { offset, t, values }: AcceptedReading): void {
    const valueByMetric = new Map(values);
    for (const rule of this.#rulesOf(device)) {
      const known = device.alerts.get(rule.id);
      if (known) resolveStale(known, this.#placeOf(device, rule), { offset, t });
      const value = valueByMetric.get(rule.metric);
      if (value === undefined) continue;
      const state = device.alerts.get(rule.id) ?? newAlertState();
      device.alerts.set(rule.id, state);
      const seen = { offset, t, value, maxT: device.maxT, partitionClock: this.P };
      if (!judge(state, seen, this.#placeOf(device, rule))) this.notJudged += 1;
    }
  }

  /** Step 6. */
  #closeByDeviceTime(device: Device): void {
    const { windowMs, graceMs } = this.#settings;
    const closing = device.parts.filter((part) => !part.late && part.end + graceMs <= device.maxT);
    for (const part of closing.sort((a, b) => a.end - b.end)) this.#close(device, part, 'TIME');
    device.closedUpTo = Math.max(device.closedUpTo, Math.floor((device.maxT - graceMs) / windowMs) * windowMs);
    const timers = this.#rulesOf(device)
      .map((rule) => ({ rule, state: device.alerts.get(rule.id) }))
      .filter((timer): timer is { rule: OracleRule; state: AlertState } => timer.state !== undefined && timer.state.timerAt !== null)
      .filter(({ state }) => state.timerAt! <= device.maxT)
      .sort((a, b) => a.state.timerAt! - b.state.timerAt! || byCodeUnit(a.rule.id, b.rule.id));
    for (const { rule, state } of timers) fireTimer(state, this.#placeOf(device, rule));
  }

  /** Step 7. */
  #forget(): void {
    const forgotten = [...this.#devices.values()]
      .filter((device) => device.parts.length === 0 && this.P > this.#forgetDue(device))
      .sort((a, b) => this.#forgetDue(a) - this.#forgetDue(b) || byCodeUnit(a.id, b.id));
    for (const device of forgotten) {
      for (const rule of this.#rulesOf(device)) {
        const state = device.alerts.get(rule.id);
        if (state) expire(state, this.#placeOf(device, rule));
      }
      this.#devices.delete(device.id);
    }
  }

  /** "Change of settings". What it writes is written by the settings before it. */
  #changeSettings(change: OracleSettingsChange): void {
    const devices = [...this.#devices.values()].sort((a, b) => byCodeUnit(a.id, b.id));
    if (change.closesParts) {
      const rows = devices.flatMap((device) => device.parts.flatMap((part) => this.#rows(device, part, 'COUNT')));
      rows.sort((a, b) => a.windowEnd - b.windowEnd || byDeviceMetricPart(a, b));
      this.aggregates.push(...rows);
      for (const device of devices) device.parts = [];
    }
    for (const device of devices) {
      for (const rule of this.#rulesOf(device)) {
        const state = device.alerts.get(rule.id);
        if (!state) continue;
        const place = this.#placeOf(device, rule);
        if (change.orphanedRuleIds.has(rule.id)) {
          expire(state, place);
          device.alerts.delete(rule.id);
        } else if (change.settings.rules.find(({ id }) => id === rule.id)!.staleAfterMs === null) {
          expireStale(state, place);
        }
      }
    }
    this.#settings = change.settings;
    this.#nothingDueBefore = Number.NEGATIVE_INFINITY;
  }

  /** "Profiles". */
  #changeProfiles({ changes }: ProfilesStep): void {
    for (const [deviceId, profile] of changes) {
      const device = this.#devices.get(deviceId);
      // Those that were disabled before have no state.
      const rules = device ? this.#rulesOf(device).filter(({ id }) => profile?.disabledRules.includes(id)) : [];
      for (const rule of rules) {
        const state = device!.alerts.get(rule.id);
        if (state) expire(state, this.#placeOf(device!, rule));
        device!.alerts.delete(rule.id);
      }
      if (profile) this.#profiles.set(deviceId, profile);
      else this.#profiles.delete(deviceId);
    }
    this.#nothingDueBefore = Number.NEGATIVE_INFINITY;
  }

  #close(device: Device, part: OpenPart, closedBy: AggregateRow['closedBy']): void {
    device.parts = device.parts.filter((open) => open !== part);
    this.aggregates.push(...this.#rows(device, part, closedBy));
  }

  #rows(device: Device, part: OpenPart, closedBy: AggregateRow['closedBy']): AggregateRow[] {
    const { rules } = this.#settings;
    const labels = this.#labelsOf(device);
    return rowsOfPart(device.id, part, { closedBy: part.late ? 'LATE' : closedBy, unitOf: (metric) => unitOfRows(metric, rules), labels });
  }

  /** In the order of their ids. */
  #rulesOf(device: Device): OracleRule[] {
    return rulesOfDevice(this.#settings.rules, this.#profiles.get(device.id));
  }

  #labelsOf(device: Device): Readonly<Record<string, string>> {
    return this.#profiles.get(device.id)?.labels ?? {};
  }

  #placeOf(device: Device, rule: OracleRule): AlertPlace {
    const { partition, readingsTopic = 'telemetry.readings' } = this.#setup;
    const deviceLabels = this.#labelsOf(device);
    return { deviceId: device.id, rule, deviceLabels, partition, readingsTopic, emit: (row) => this.alerts.push(row) };
  }
}

function isReadable(reading: Reading): boolean {
  const { deviceId, eventTime } = reading;
  // A field and an entry of `metrics` may have one name: both must be bounded, although only one of them counts.
  const values = [...Object.values(reading), ...Object.values(reading.metrics)].filter((value) => typeof value === 'number');
  const isBounded = values.every((value) => Math.abs(value) <= 1e100);
  return isBounded && /^[-A-Za-z0-9._:]{1,128}$/.test(deviceId) && !Number.isNaN(new Date(eventTime).getTime());
}

function byDeviceMetricPart(a: AggregateRow, b: AggregateRow): number {
  return byCodeUnit(a.deviceId, b.deviceId) || byCodeUnit(a.metric, b.metric) || a.part - b.part;
}

/** Folds a whole partition. */
export function foldAll(setup: OracleSetup, steps: Iterable<OracleStep>, options: { scanAlways?: boolean } = {}): FoldOracle {
  const oracle = new FoldOracle(setup, options);
  for (const step of steps) oracle.apply(step);
  return oracle;
}
