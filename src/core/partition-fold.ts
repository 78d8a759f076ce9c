import type { NameToUuid } from './alert-record.ts';
import { unitsOfRules } from './alert-rule.ts';
import { type DeviceProfile, isDisabled, type ProfileChange, rulesOfDevice } from './device-profile.ts';
import { DeviceState, deviceDueMs, forgetDueMs, NO_LABELS, partDueMs } from './device-state.ts';
import { DueQueue } from './due-queue.ts';
import { type DuplicateTable, duplicateTableOf } from './duplicate-table.ts';
import { byDueTimeOfRow, byWindowEnd, compareText, type DuePart, type DueRow, type DueTimer } from './emission-order.ts';
import { FoldOutbox, type FoldOutput } from './fold-output.ts';
import { changesWindows, type FoldSettings, withRuleVersions } from './fold-settings.ts';
import { hasMetric, OpenPart, partRows } from './open-part.ts';
import type { ReadingOutcome } from './outcome.ts';
import { PartitionAlerts, raisedAlertsOf } from './partition-alerts.ts';
import { type Reading, unitOf } from './reading.ts';
import { lastEndPassed, windowStartOf } from './tumbling-window.ts';
import type { ClosedBy, WindowAggregate } from './window-aggregate.ts';

// The fold of one partition: readings, ticks and changes of settings in, rows and alerts out. docs/FOLD.md is its specification, and the
// numbers in the comments are its steps. No wall clock: the only time is in the records and in the ticks.

type Refusal = 'future' | 'ancient' | 'duplicate' | 'state_limit';

export interface PartitionFoldOptions {
  /** Of the readings: goes into alert ids and evidence. */
  readonly topic: string;
  readonly partition: number;
  readonly settings: FoldSettings;
  readonly uuid: NameToUuid;
}

const NO_DEVICES: readonly DeviceState[] = [];

export class PartitionFold {
  private currentSettings: FoldSettings;
  private unitByRuleMetric: ReadonlyMap<string, string>;
  private readonly devices = new Map<string, DeviceState>();
  /** Also of devices that were never heard. */
  private readonly profiles = new Map<string, DeviceProfile>();
  private readonly queue = new DueQueue();
  /** null when duplicates are not looked for. */
  private duplicates: DuplicateTable | null;
  /** P, -1 before the first record. NaN at first: a whole number here would make the engine compile the fold once more when a time comes. */
  private clock = Number.NaN;

  /** Whether a part was begun or closed by the reading that is being folded. */
  private partsChanged = false;

  private readonly output = new FoldOutbox();
  private readonly alerts: PartitionAlerts;

  constructor(options: PartitionFoldOptions) {
    const { topic, partition, uuid } = options;
    this.clock = -1;
    this.alerts = new PartitionAlerts({ topic, partition, uuid, output: this.output });
    this.currentSettings = options.settings;
    this.unitByRuleMetric = unitsOfRules(options.settings.rules);
    this.duplicates = duplicateTableOf(options.settings.duplicateOffsets);
  }

  /** P: the partition clock, epoch ms; -1 before the first record. */
  get clockMs(): number {
    return this.clock;
  }

  get settings(): FoldSettings {
    return this.currentSettings;
  }

  get deviceCount(): number {
    return this.devices.size;
  }

  /** Parts that are open now, over all devices. Counts them: not for the hot path. */
  get openPartCount(): number {
    let count = 0;
    for (const device of this.devices.values()) count += device.openParts.length;
    return count;
  }

  /** Alerts that are raised now, over all devices. Counts them: not for the hot path. */
  get raisedAlertCount(): number {
    let count = 0;
    for (const device of this.devices.values()) count += raisedAlertsOf(device);
    return count;
  }

  /** Folds one decodable and rightly routed reading. Offsets must grow. `firstAppendTimeMs`: as core/replay-headers.ts has it. */
  reading(offset: number, appendTimeMs: number, reading: Reading, firstAppendTimeMs = appendTimeMs): ReadingOutcome {
    if (appendTimeMs > this.clock) this.clock = appendTimeMs; // 1
    const refused = this.check(offset, appendTimeMs, reading, firstAppendTimeMs); // 2
    if (refused !== null) {
      this.output.outcomes[refused] += 1;
      if (refused !== 'duplicate') this.output.rejected.push({ offset, reason: refused });
      this.advance();
      return refused;
    }
    const device = this.devices.get(reading.deviceId) ?? this.newDevice(reading.deviceId);
    device.lastHeard = this.clock; // 3
    this.output.markChanged(device);
    const due = this.closeDue(); // 4
    this.partsChanged = false;
    const outcome = this.fold(device, offset, reading); // 5
    this.closePassed(device); // 6
    this.forget(due); // 7
    // A reading moves the due time later, except that of a part or a timer that was not there before.
    if (this.partsChanged || device.mayHaveTimers || device.isWatched || device.queuedDueMs === Number.POSITIVE_INFINITY)
      this.queue.ensure(device, deviceDueMs(device, this.currentSettings));
    this.output.outcomes[outcome] += 1;
    return outcome;
  }

  /** Folds a record that is no reading of this partition. */
  reject(offset: number, appendTimeMs: number, reason: 'undecodable' | 'misrouted'): void {
    if (appendTimeMs > this.clock) this.clock = appendTimeMs;
    this.output.outcomes[reason] += 1;
    this.output.rejected.push({ offset, reason });
    this.advance();
  }

  /** Moves the partition clock without a record. */
  tick(clockMs: number): void {
    if (clockMs > this.clock) this.clock = clockMs;
    this.advance();
  }

  /** Whether a tick to clockMs would do anything. */
  hasDueBy(clockMs: number): boolean {
    return this.queue.firstDueMs(1, Math.max(clockMs, this.clock), this.currentSettings).length > 0;
  }

  /** Where to tick on the way to clockMs, so that no more than devicesMax devices are due at once; null when no more are due by then. */
  stepBefore(clockMs: number, devicesMax: number): number | null {
    if (clockMs <= this.clock || this.queue.peekMs() > clockMs) return null;
    const dueMs = this.queue.firstDueMs(devicesMax + 1, clockMs, this.currentSettings);
    const stepMs = dueMs[devicesMax - 1]!;
    // What a change has made overdue cannot be parted: it is due at once wherever the clock goes.
    return dueMs.length > devicesMax && stepMs > this.clock ? stepMs : null;
  }

  /**
   * Applies other settings between two records; edited rules get a higher version. When duplicateOffsets changes the table of
   * identities is empty afterwards: fill it with `restoreIdentity`.
   */
  changeSettings(wanted: FoldSettings): void {
    const older = this.currentSettings;
    const newer = { ...wanted, rules: withRuleVersions(older.rules, wanted.rules) };
    if (changesWindows(older, newer)) this.closeAll();
    this.alerts.dropOrphans(this.devices.values(), { older: older.rules, newer: newer.rules });
    this.currentSettings = newer;
    this.unitByRuleMetric = unitsOfRules(newer.rules);
    if (newer.duplicateOffsets !== older.duplicateOffsets) this.duplicates = duplicateTableOf(newer.duplicateOffsets);
    this.queue.clear();
    for (const device of this.devices.values()) {
      device.queuedDueMs = Number.POSITIVE_INFINITY;
      device.nextEndMs = Number.NEGATIVE_INFINITY;
      this.equip(device);
      this.queue.ensure(device, deviceDueMs(device, newer));
    }
  }

  /** Applies changes of profiles between two records, in their order. */
  changeProfiles(changes: readonly ProfileChange[]): void {
    for (const [deviceId, profile] of changes) {
      const device = this.devices.get(deviceId);
      if (device !== undefined && profile !== null) {
        const disabled = device.rules.filter(({ id }) => isDisabled(profile, id));
        this.alerts.drop(device, disabled);
      }
      this.restoreProfile(deviceId, profile);
      if (device === undefined) continue;
      this.equip(device);
      this.queue.ensure(device, deviceDueMs(device, this.currentSettings));
    }
  }

  /** Hands out and forgets everything since the last call. */
  takeOutput(): FoldOutput {
    return this.output.take();
  }

  /** How many alerts changed state since the last `takeOutput`. */
  get pendingAlerts(): number {
    return this.output.alerts.length;
  }

  /** Of how many devices the state has changed. */
  get pendingDevices(): number {
    return this.output.changedCount;
  }

  /** How many records the next `takeOutput` will come to. */
  get pendingRecords(): number {
    return this.output.records;
  }

  // Restoring

  restoreClock(clockMs: number): void {
    this.clock = clockMs;
  }

  /** Before the devices. */
  restoreProfile(deviceId: string, profile: DeviceProfile | null): void {
    if (profile === null) this.profiles.delete(deviceId);
    else this.profiles.set(deviceId, profile);
  }

  restoreDevice(device: DeviceState): void {
    this.devices.set(device.deviceId, device);
    this.equip(device);
    this.queue.ensure(device, deviceDueMs(device, this.currentSettings));
  }

  /** Enters the identity of a record that lies before the restored position. */
  restoreIdentity(identity: number, offset: number, appendTimeMs: number): void {
    if (identity !== 0) this.duplicates?.isDuplicate(identity, offset, appendTimeMs);
  }

  /** Every profile by device id, in no particular order. */
  get allProfiles(): ReadonlyMap<string, DeviceProfile> {
    return this.profiles;
  }

  /** Every device, in no particular order. */
  allDevices(): Iterable<DeviceState> {
    return this.devices.values();
  }

  // The steps

  private check(offset: number, appendTimeMs: number, reading: Reading, firstAppendTimeMs: number): Refusal | null {
    const { skewMs, pastLimitMs, devicesPerPartitionMax } = this.currentSettings;
    const duplicate = reading.identity !== 0 && this.duplicates?.isDuplicate(reading.identity, offset, appendTimeMs) === true;
    if (reading.eventTime > appendTimeMs + skewMs) return 'future';
    if (pastLimitMs !== null && reading.eventTime < firstAppendTimeMs - pastLimitMs) return 'ancient';
    if (duplicate) return 'duplicate';
    if (this.devices.size >= devicesPerPartitionMax && !this.devices.has(reading.deviceId)) return 'state_limit';
    return null;
  }

  private newDevice(deviceId: string): DeviceState {
    const device = new DeviceState(deviceId);
    this.devices.set(deviceId, device);
    this.equip(device);
    return device;
  }

  /** Gives the device its rules and labels. */
  private equip(device: DeviceState): void {
    const profile = this.profiles.get(device.deviceId) ?? null;
    device.rules = rulesOfDevice(this.currentSettings.rules, profile);
    device.isWatched = device.rules.some((rule) => rule.staleAfterMs !== null);
    device.labels = profile?.labels ?? NO_LABELS;
  }

  /** 4 and 7, without a reading between them. */
  private advance(): void {
    this.forget(this.closeDue());
  }

  /** 4: what is due by P, over all devices. Returns the devices that were due, which step 7 looks at. */
  private closeDue(): readonly DeviceState[] {
    const { queue, clock, currentSettings: settings } = this;
    if (queue.peekMs() > clock) return NO_DEVICES;
    const dueDevices: DeviceState[] = [];
    while (queue.peekMs() <= clock) {
      const device = queue.take()!;
      const dueMs = deviceDueMs(device, settings);
      if (dueMs > clock) queue.ensure(device, dueMs);
      else dueDevices.push(device);
    }
    const parts: DuePart[] = [];
    const timers: DueTimer[] = [];
    for (const device of dueDevices) {
      for (let part = device.firstPart; part !== null; part = part.next) {
        const dueMs = partDueMs(part, device, settings);
        if (dueMs <= clock) parts.push({ dueMs, device, part });
      }
      this.alerts.collectDue(device, clock, timers);
    }
    this.closeDueParts(parts);
    this.alerts.fire(timers);
    return dueDevices;
  }

  private closeDueParts(due: readonly DuePart[]): void {
    const rows: DueRow[] = [];
    for (const { dueMs, device, part } of due) {
      if (!part.late) device.closedUpTo = Math.max(device.closedUpTo, part.end);
      for (const row of this.close(device, part, 'IDLE')) rows.push({ dueMs, row });
    }
    rows.sort(byDueTimeOfRow);
    for (const { row } of rows) this.output.aggregates.push(row);
  }

  /** 5: into the windows, then before the rules. */
  private fold(device: DeviceState, offset: number, reading: Reading): 'counted' | 'not_aggregatable' {
    if (reading.eventTime > device.maxT) device.maxT = reading.eventTime;
    if (reading.aggregatable && hasMetric(reading)) this.aggregate(device, offset, reading);
    this.alerts.judge(device, reading, offset, this.clock);
    return reading.aggregatable ? 'counted' : 'not_aggregatable';
  }

  private aggregate(device: DeviceState, offset: number, reading: Reading): void {
    const { batchSize } = this.currentSettings;
    const part = openPartOf(device, reading.eventTime) ?? this.beginPart(device, offset, reading.eventTime);
    if (part.end <= device.closedUpTo) this.output.late += 1;
    part.add(reading);
    if ((batchSize > 0 && part.readings >= batchSize) || part.isFull) this.emit(this.close(device, part, 'COUNT'));
  }

  private beginPart(device: DeviceState, offset: number, eventTime: number): OpenPart {
    const { windowSizeMs, openPartsPerDeviceMax } = this.currentSettings;
    const parts = device.firstPart === null ? [] : device.openParts;
    if (parts.length >= openPartsPerDeviceMax) this.emit(this.close(device, oldestOf(parts), 'COUNT'));
    const start = windowStartOf(eventTime, windowSizeMs);
    const end = start + windowSizeMs;
    const part = new OpenPart({ start, end, part: offset, firstHeard: this.clock, late: end <= device.closedUpTo });
    device.addPart(part);
    this.partsChanged = true;
    return part;
  }

  /** 6: what the device's own clock has passed. */
  private closePassed(device: DeviceState): void {
    if (device.maxT - this.currentSettings.graceMs >= device.nextEndMs) this.closeEnded(device);
    this.alerts.firePassed(device);
  }

  private closeEnded(device: DeviceState): void {
    const { windowSizeMs, graceMs } = this.currentSettings;
    const passed = device.maxT - graceMs;
    let closing: OpenPart[] | null = null;
    for (let part = device.firstPart; part !== null; part = part.next) if (!part.late && part.end <= passed) (closing ??= []).push(part);
    if (closing !== null) {
      closing.sort((a, b) => a.end - b.end);
      for (const part of closing) this.emit(this.close(device, part, 'TIME'));
    }
    const lastEnd = lastEndPassed(device.maxT, windowSizeMs, graceMs);
    device.closedUpTo = Math.max(device.closedUpTo, lastEnd);
    // Up to the next end nothing can close here: a part of a window before that would be late, and what is late waits for something else.
    device.nextEndMs = lastEnd + windowSizeMs;
  }

  /** 7: forgets those of the devices that had something due; no other device can have come to that. */
  private forget(due: readonly DeviceState[]): void {
    if (due.length === 0) return;
    const { clock, currentSettings: settings } = this;
    const gone = due.filter((device) => device.firstPart === null && forgetDueMs(device, settings) <= clock);
    gone.sort((a, b) => forgetDueMs(a, settings) - forgetDueMs(b, settings) || compareText(a.deviceId, b.deviceId));
    for (const device of gone) {
      this.alerts.expire(device, device.rules);
      device.forgotten = true;
      this.devices.delete(device.deviceId);
      this.output.forgottenDevices.push(device.deviceId);
    }
    for (const device of due) if (!device.forgotten) this.queue.ensure(device, deviceDueMs(device, settings));
  }

  // Changing settings

  private closeAll(): void {
    const rows: WindowAggregate[] = [];
    for (const device of this.devices.values()) for (const part of device.openParts) rows.push(...this.close(device, part, 'COUNT'));
    rows.sort(byWindowEnd);
    this.emit(rows);
  }

  // Writing

  /** Takes the part out of its device and makes its rows, in the order of metric. */
  private close(device: DeviceState, part: OpenPart, reason: ClosedBy): WindowAggregate[] {
    device.removePart(part);
    this.partsChanged = true;
    this.output.markChanged(device);
    const unit = (metric: string): string => unitOf(metric) || (this.unitByRuleMetric.get(metric) ?? '');
    return partRows(part, { deviceId: device.deviceId, closedBy: part.late ? 'LATE' : reason, unit, labels: device.labels });
  }

  private emit(rows: readonly WindowAggregate[]): void {
    for (const row of rows) this.output.aggregates.push(row);
  }
}

/** All open parts are of windows of the same size, so the one that holds the time is that of the time's window. */
function openPartOf(device: DeviceState, eventTime: number): OpenPart | null {
  for (let part = device.firstPart; part !== null; part = part.next) if (part.start <= eventTime && eventTime < part.end) return part;
  return null;
}

function oldestOf(parts: readonly OpenPart[]): OpenPart {
  return parts.reduce((oldest, part) =>
    part.start < oldest.start || (part.start === oldest.start && part.part < oldest.part) ? part : oldest,
  );
}
