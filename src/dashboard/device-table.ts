import { COMMON_METRICS, type Reading, unitOf } from '../core/reading.ts';
import type { WindowAggregate } from '../core/window-aggregate.ts';
import { RecentWindows, type ShownWindow } from './recent-windows.ts';
import { shortText } from './short-text.ts';

/** Bounds of the table: what one device may keep, and how many devices there are. */
export interface DeviceTableLimits {
  readonly devicesMax: number;
  readonly valuesPerDeviceMax: number;
  readonly seriesPerDeviceMax: number;
  readonly windowsPerSeries: number;
  /** Nothing heard for so long: the device is silent, and may make room for another one. */
  readonly silentAfterMs: number;
}

export interface MetricValue {
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
}

/** The last windows of a metric, as a line to be drawn. */
export interface Spark {
  readonly metric: string;
  readonly unit: string;
  /** Oldest first; null is a gap. */
  readonly means: readonly (number | null)[];
}

/** One device in the table of the page. Times in epoch ms. */
export interface DeviceRow {
  readonly deviceId: string;
  readonly isSilent: boolean;
  /** When the log took its last reading; null when none came since the page began to read. */
  readonly heardMs: number | null;
  /** What the device's clock said in its last reading. */
  readonly eventTimeMs: number;
  readonly status: string | null;
  /** Of the last reading, common metrics first; the first few. */
  readonly values: readonly MetricValue[];
  readonly spark: Spark | null;
}

export interface MetricSeries {
  readonly metric: string;
  readonly unit: string;
  readonly windows: readonly ShownWindow[];
}

export interface DeviceDetail extends DeviceRow {
  /** Every metric whose windows are kept, the main one first. */
  readonly series: readonly MetricSeries[];
}

interface Series {
  readonly unit: string;
  readonly windows: RecentWindows;
}

interface Device {
  readonly deviceId: string;
  heardMs: number | null;
  eventTimeMs: number;
  status: string | null;
  values: readonly MetricValue[];
  isSilent: boolean;
  readonly series: Map<string, Series>;
}

const VALUES_IN_ROW = 4;
const STATUS_MAX = 80;
const METRIC_NAME_MAX = 64;
/** A longer id cannot come from the bridge; a foreign producer's is not shown, because two could look the same when cut. */
const DEVICE_ID_MAX = 128;
/** The metric that a device is judged by at a glance, when it has it. */
const MAIN_METRIC = 'temperature';

/** What is known of each device, the longest unheard first. A full table only takes a newcomer in the place of a silent device. */
export class DeviceTable {
  readonly #limits: DeviceTableLimits;
  readonly #devices = new Map<string, Device>();
  #changed = new Set<string>();
  #removed = new Set<string>();
  #isCut = false;

  constructor(limits: DeviceTableLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#devices.size;
  }

  /** Whether a device was left out because the table was full. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** The last one heard counts, whatever its clock says. `heardMs` is the record's append time. */
  observeReading(reading: Reading, heardMs: number): void {
    const device = this.#take(reading.deviceId, heardMs);
    if (device === null) return;
    device.heardMs = Math.max(device.heardMs ?? 0, heardMs);
    device.eventTimeMs = reading.eventTime;
    device.status = reading.status === null ? null : shortText(reading.status, STATUS_MAX);
    device.values = valuesOf(reading, this.#limits.valuesPerDeviceMax);
    device.isSilent = false;
    this.#devices.delete(device.deviceId);
    this.#devices.set(device.deviceId, device);
  }

  /** A window tells of a device that has not spoken since the page began to read, too. */
  observeAggregate(row: WindowAggregate, writtenMs: number): void {
    const device = this.#take(row.deviceId, writtenMs);
    if (device === null) return;
    if (device.heardMs === null) device.eventTimeMs = Math.max(device.eventTimeMs, row.lastTime);
    let series = device.series.get(row.metric);
    if (series === undefined) {
      if (!this.#hasRoomFor(row.metric, device)) return;
      series = { unit: shortText(row.unit, METRIC_NAME_MAX), windows: new RecentWindows(this.#limits.windowsPerSeries) };
      device.series.set(row.metric, series);
    }
    series.windows.add(row);
  }

  /** One place is kept for the main metric, whenever it comes. */
  #hasRoomFor(metric: string, { series }: Device): boolean {
    const isKept = metric === MAIN_METRIC || series.has(MAIN_METRIC);
    return series.size < this.#limits.seriesPerDeviceMax - (isKept ? 0 : 1) && metric.length <= METRIC_NAME_MAX;
  }

  /** Something else about the device changed that its row shows. */
  touch(deviceId: string): void {
    if (this.#devices.has(deviceId)) this.#changed.add(deviceId);
  }

  /** Marks those silent that were not heard for long enough; returns how many are. */
  silence(nowMs: number): number {
    let silent = 0;
    for (const device of this.#devices.values()) {
      const isSilent = device.heardMs === null || nowMs - device.heardMs > this.#limits.silentAfterMs;
      if (isSilent !== device.isSilent) this.#changed.add(device.deviceId);
      device.isSilent = isSilent;
      if (isSilent) silent++;
    }
    return silent;
  }

  rows(): DeviceRow[] {
    return [...this.#devices.values()].map(rowOf);
  }

  detail(deviceId: string): DeviceDetail | null {
    const device = this.#devices.get(deviceId);
    if (device === undefined) return null;
    const series = orderedMetrics(device).map((metric) => {
      const { unit, windows } = device.series.get(metric)!;
      return { metric, unit, windows: windows.windows() };
    });
    return { ...rowOf(device), values: device.values, series };
  }

  /** Rows that have changed since they were last taken, those that changed first first; and the ids that are gone. */
  takeChanges(rowsMax: number): { readonly rows: DeviceRow[]; readonly removed: string[] } {
    const rows: DeviceRow[] = [];
    for (const deviceId of this.#changed) {
      if (rows.length >= rowsMax) break;
      this.#changed.delete(deviceId);
      rows.push(rowOf(this.#devices.get(deviceId)!));
    }
    const removed = [...this.#removed];
    this.#removed = new Set();
    return { rows, removed };
  }

  /** Nobody looks: what has changed needs not be remembered. */
  forgetChanges(): void {
    this.#changed = new Set();
    this.#removed = new Set();
  }

  #take(deviceId: string, atMs: number): Device | null {
    const known = this.#devices.get(deviceId);
    if (known !== undefined) {
      this.#changed.add(deviceId);
      return known;
    }
    if (deviceId.length > DEVICE_ID_MAX || !this.#hasRoom(atMs)) {
      this.#isCut = true;
      return null;
    }
    const device: Device = { deviceId, heardMs: null, eventTimeMs: 0, status: null, values: [], isSilent: true, series: new Map() };
    this.#devices.set(deviceId, device);
    this.#changed.add(deviceId);
    this.#removed.delete(deviceId);
    return device;
  }

  /** Only the longest unheard device is looked at, so that a flood of new ids costs nothing. */
  #hasRoom(atMs: number): boolean {
    if (this.#devices.size < this.#limits.devicesMax) return true;
    const oldest = this.#devices.values().next().value!;
    if (atMs - (oldest.heardMs ?? oldest.eventTimeMs) <= this.#limits.silentAfterMs) return false;
    this.#devices.delete(oldest.deviceId);
    this.#changed.delete(oldest.deviceId);
    if (this.#removed.size < this.#limits.devicesMax) this.#removed.add(oldest.deviceId);
    return true;
  }
}

function rowOf(device: Device): DeviceRow {
  const { deviceId, isSilent, heardMs, eventTimeMs, status, values } = device;
  return { deviceId, isSilent, heardMs, eventTimeMs, status, values: values.slice(0, VALUES_IN_ROW), spark: sparkOf(device) };
}

/** The metrics with windows: the main one, then as the device says them, then the others. */
function orderedMetrics({ series, values }: Device): readonly string[] {
  const order = new Set([MAIN_METRIC, ...values.map((value) => value.metric), ...series.keys()]);
  return [...order].filter((metric) => series.has(metric));
}

function sparkOf(device: Device): Spark | null {
  const { series } = device;
  const metric = orderedMetrics(device)[0];
  if (metric === undefined) return null;
  const { unit, windows } = series.get(metric)!;
  return { metric, unit, means: windows.means() };
}

function valuesOf(reading: Reading, valuesMax: number): MetricValue[] {
  const values: MetricValue[] = [];
  for (const { name } of COMMON_METRICS) {
    const value = reading[name];
    if (value !== null) values.push({ metric: name, unit: unitOf(name), value });
  }
  for (const [name, value] of Object.entries(reading.metrics)) {
    if (values.length >= valuesMax) break;
    values.push({ metric: shortText(name, METRIC_NAME_MAX), unit: '', value });
  }
  return values.slice(0, valuesMax);
}
