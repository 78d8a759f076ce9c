// When each device measures. The readings of the fleet are spread evenly: reading n of the whole fleet is due n / rate seconds
// after the start, and devices take turns. So a moment follows from (device, tick) alone.

export interface Schedule {
  /** Epoch ms of the first reading of the fleet. */
  readonly startedAtMs: number;
  readonly devices: number;
  /** Readings per second over the whole fleet. */
  readonly ratePerSecond: number;
}

/** Since the start of the run; fractions of a millisecond are kept. */
export function dueAfterMs(schedule: Schedule, device: number, tick: number): number {
  return ((tick * schedule.devices + device) * 1000) / schedule.ratePerSecond;
}

/** Since the device's own first reading. */
export function deviceElapsedMs(schedule: Schedule, tick: number): number {
  return (tick * schedule.devices * 1000) / schedule.ratePerSecond;
}

/** The time that the device gives its reading, whole epoch ms, never after the moment the reading is due. */
export function eventTimeMs(schedule: Schedule, device: number, tick: number): number {
  return schedule.startedAtMs + Math.floor(dueAfterMs(schedule, device, tick));
}

/** How many readings each device makes in a run of this length. */
export function ticksWithin(schedule: Schedule, device: number, durationMs: number): number {
  if (durationMs === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  const readings = (durationMs * schedule.ratePerSecond) / 1000;
  return Math.max(0, Math.ceil((readings - device) / schedule.devices));
}
