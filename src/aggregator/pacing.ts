// When a slice is committed. A transaction costs three requests, the markers of the broker and one record for each device that changed,
// whatever the number of readings; so a slice is as long as whoever waits for it allows.

/** `live` holds while the partition is near the end of the log, `behind` while it catches up. */
export interface CommitPace {
  readonly live: { readonly recordsMax: number; readonly intervalMs: number };
  readonly behind: { readonly recordsMax: number; readonly intervalMs: number };
  /** More than this many records before the end of the log: behind. */
  readonly behindRecords: number;
  /**
   * When more devices than this fall due together by the partition clock, the clock goes there in steps of so many, each a transaction of its
   * own. 5 000 when it is not said.
   */
  readonly dueDevicesMax?: number;
}

export const DEFAULT_PACE: CommitPace = {
  live: { recordsMax: 5_000, intervalMs: 50 },
  behind: { recordsMax: 100_000, intervalMs: 1_000 },
  behindRecords: 5_000,
};

const DUE_DEVICES_MAX = 5_000;

export function dueDevicesMaxOf({ dueDevicesMax = DUE_DEVICES_MAX }: CommitPace): number {
  return dueDevicesMax;
}

/** While a partition catches up its alerts are old news already. */
const OLD_ALERTS_MS = 250;
/** So many times `behindRecords` before the end, an alert is as old as everything else. */
const FAR_BEHIND_FACTOR = 10;
/**
 * A device is written once per slice, which costs several times what folding a reading does. So far behind, a slice with fewer readings than
 * this per device goes on, for so many times the interval.
 */
const READINGS_PER_DEVICE_MIN = 4;
const LONG_SLICE_FACTOR = 5;

/** What a slice holds so far, and what follows it. */
export interface SliceSoFar {
  readonly readings: number;
  /** Devices of which the state will be written. */
  readonly devices: number;
  readonly alerts: number;
  /** Records after it that a committed reader may have by now. */
  readonly lagRecords: number;
}

/** How many readings a slice may hold. */
export function sliceRecordsMax(pace: CommitPace, lagRecords: number): number {
  return lagRecords > pace.behindRecords ? pace.behind.recordsMax : pace.live.recordsMax;
}

/** How long after its first reading a slice is committed, ms. */
export function slicePatienceMs(pace: CommitPace, { readings, devices, alerts, lagRecords }: SliceSoFar): number {
  const { live, behind, behindRecords } = pace;
  if (lagRecords <= behindRecords) {
    // Somebody waits for an alert.
    return alerts > 0 ? 0 : live.intervalMs;
  }
  if (lagRecords <= FAR_BEHIND_FACTOR * behindRecords) return alerts > 0 ? Math.min(OLD_ALERTS_MS, behind.intervalMs) : behind.intervalMs;
  return readings < READINGS_PER_DEVICE_MIN * devices ? LONG_SLICE_FACTOR * behind.intervalMs : behind.intervalMs;
}
