import { measure } from './device.ts';
import { deviceName, type SentReading } from './reading.ts';
import { dueTimes, type ReplaySpeed, type SeriesPoint } from './replay.ts';
import { isOnline, type Story } from './scenarios.ts';
import { deviceElapsedMs, dueAfterMs, eventTimeMs, type Schedule, ticksWithin } from './schedule.ts';

// What one device has to say in a run: its readings by number and when each is due. The fleet only keeps a cursor into it.

export interface DeviceFeed {
  readonly device: string;
  /** How many readings there are; may be infinite. */
  readonly length: number;
  /** Ms after the start of the run; never smaller than that of the reading before. */
  dueAfterMs(tick: number): number;
  reading(tick: number): SentReading;
  /** Whether the device has its network that long after the start of the run. */
  isOnline(elapsedMs: number): boolean;
}

export interface SimulatedFleet {
  readonly story: Story;
  readonly schedule: Schedule;
  readonly durationMs: number;
  readonly namePrefix: string;
}

export function simulatedFeeds(fleet: SimulatedFleet): readonly DeviceFeed[] {
  return Array.from({ length: fleet.schedule.devices }, (_, index) => simulatedFeed(fleet, index));
}

function simulatedFeed({ story, schedule, durationMs, namePrefix }: SimulatedFleet, index: number): DeviceFeed {
  const device = deviceName(namePrefix, index);
  return {
    device,
    length: ticksWithin(schedule, index, durationMs),
    dueAfterMs: (tick) => dueAfterMs(schedule, index, tick),
    reading: (tick) => {
      const metrics = measure(story, { device: index, tick, elapsedMs: deviceElapsedMs(schedule, tick) });
      return { device, ts: eventTimeMs(schedule, index, tick), seq: tick, metrics: { ...metrics } };
    },
    // At the end everybody comes back, so that no backlog is left.
    isOnline: (elapsedMs) => elapsedMs >= durationMs || isOnline(story, index, elapsedMs),
  };
}

export interface Replay {
  readonly device: string;
  readonly metric: string;
  readonly points: readonly SeriesPoint[];
  readonly speed: ReplaySpeed;
}

export function replayFeed({ device, metric, points, speed }: Replay): DeviceFeed {
  const due = dueTimes(points, speed);
  return {
    device,
    length: points.length,
    dueAfterMs: (tick) => due[tick] ?? Number.POSITIVE_INFINITY,
    reading: (tick) => {
      const point = points[tick];
      if (point === undefined) throw new RangeError(`the series has ${points.length} readings, not ${tick + 1}`);
      return { device, ts: point.ts, seq: tick, metrics: { [metric]: point.value } };
    },
    isOnline: () => true,
  };
}
