import type { Alert } from '../core/alert-record.ts';
import type { Reading } from '../core/reading.ts';
import type { WindowAggregate } from '../core/window-aggregate.ts';
import { AlertBook, type AlertBookLimits, type AlertsView, type ShownAlert } from './alert-book.ts';
import { type DeviceDetail, type DeviceRow, DeviceTable, type DeviceTableLimits } from './device-table.ts';

// What the page shows, made from what the topics say. Pure: time is passed in, everything is bounded.

export type FiringSummary = ReturnType<AlertBook['firingSummaryOf']>;

export interface PageRow extends DeviceRow {
  /** Alerts of the device that fire; null when none does. */
  readonly firing: FiringSummary;
}

export interface PageDetail extends DeviceDetail {
  readonly firing: FiringSummary;
  readonly alerts: { readonly firing: readonly ShownAlert[]; readonly recent: readonly ShownAlert[] };
}

/** The figures above the table. */
export interface PageCounts {
  readonly devices: number;
  readonly silent: number;
  readonly firing: number;
  /** Readings seen since the page began to read; it counts what it shows, the ledger counts what was done. */
  readonly readingsSeen: number;
  /** Whether the table was full at some time, so that devices are missing in it. */
  readonly isCut: boolean;
}

export interface PageSnapshot {
  readonly counts: PageCounts;
  readonly alerts: AlertsView;
  readonly devices: readonly PageRow[];
}

export interface PageDelta {
  readonly counts: PageCounts;
  /** Null when nothing about the alerts has changed. */
  readonly alerts: AlertsView | null;
  /** Rows that have changed; the others follow in a later delta when there are too many. */
  readonly devices: readonly PageRow[];
  readonly removed: readonly string[];
}

export interface ReadModelLimits extends DeviceTableLimits, AlertBookLimits {
  readonly rowsPerDeltaMax: number;
}

/** A full table takes about 100 MB when every device has six metrics. */
export const DEFAULT_LIMITS = {
  devicesMax: 5_000,
  valuesPerDeviceMax: 16,
  seriesPerDeviceMax: 6,
  windowsPerSeries: 30,
  firingMax: 5_000,
  firingShownMax: 200,
  recentMax: 200,
  rowsPerDeltaMax: 1_000,
} as const;

export class ReadModel {
  readonly #limits: ReadModelLimits;
  readonly #table: DeviceTable;
  readonly #alerts: AlertBook;
  #readingsSeen = 0;
  #alertsChanged = false;

  constructor(limits: ReadModelLimits) {
    this.#limits = limits;
    this.#table = new DeviceTable(limits);
    this.#alerts = new AlertBook(limits);
  }

  /** The times are the records' append times, epoch ms. */
  observeReading(reading: Reading, heardMs: number): void {
    this.#readingsSeen++;
    this.#table.observeReading(reading, heardMs);
  }

  observeAggregate(row: WindowAggregate, writtenMs: number): void {
    this.#table.observeAggregate(row, writtenMs);
  }

  observeAlert(alert: Alert, writtenMs: number): void {
    this.#alerts.observe(alert, writtenMs);
    this.#alertsChanged = true;
    this.#table.touch(alert.deviceId);
  }

  /** Says that alerts raised earlier were not read, so that some that fire may be unknown. */
  markAlertsCut(): void {
    this.#alerts.markCut();
    this.#alertsChanged = true;
  }

  alerts(): AlertsView {
    return this.#alerts.view();
  }

  snapshot(nowMs: number): PageSnapshot {
    const counts = this.#counts(nowMs);
    return { counts, alerts: this.#alerts.view(), devices: this.#table.rows().map((row) => this.#withFiring(row)) };
  }

  /** Null when there is no such device in the table. */
  device(deviceId: string, nowMs: number): PageDetail | null {
    this.#table.silence(nowMs);
    const detail = this.#table.detail(deviceId);
    if (detail === null) return null;
    const alerts = { firing: this.#alerts.firingOf(deviceId), recent: this.#alerts.recentOf(deviceId) };
    return { ...detail, firing: this.#alerts.firingSummaryOf(deviceId), alerts };
  }

  /** What has changed since the last call, for all who look at once. */
  takeDelta(nowMs: number): PageDelta {
    const counts = this.#counts(nowMs);
    const { rows, removed } = this.#table.takeChanges(this.#limits.rowsPerDeltaMax);
    const alerts = this.#alertsChanged ? this.#alerts.view() : null;
    this.#alertsChanged = false;
    return { counts, alerts, devices: rows.map((row) => this.#withFiring(row)), removed };
  }

  /** Nobody looks; the next one begins with a snapshot. */
  forgetChanges(): void {
    this.#table.forgetChanges();
    this.#alertsChanged = false;
  }

  #counts(nowMs: number): PageCounts {
    const silent = this.#table.silence(nowMs);
    return {
      devices: this.#table.size,
      silent,
      firing: this.#alerts.firingCount,
      readingsSeen: this.#readingsSeen,
      isCut: this.#table.isCut,
    };
  }

  #withFiring(row: DeviceRow): PageRow {
    return { ...row, firing: this.#alerts.firingSummaryOf(row.deviceId) };
  }
}
