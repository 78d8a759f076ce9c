import type { FoldSettings } from '../../src/core/fold-settings.ts';
import { AggregatorWorld, type WorldOptions } from './aggregator-world.ts';
import { inVirtualTime, type VirtualClock } from './virtual-clock.ts';

// What most tests of the aggregator in virtual time have in common: settings that nothing depends on, and a world of one partition.

export const PLAIN_SETTINGS: FoldSettings = {
  windowSizeMs: 60_000,
  graceMs: 10_000,
  idleMs: 30_000,
  batchSize: 0,
  skewMs: 60_000,
  pastLimitMs: null,
  openPartsPerDeviceMax: 10,
  devicesPerPartitionMax: 10,
  duplicateOffsets: 100,
  rules: [],
  foldVersion: 1,
};
/** The start of a window. */
export const START_MS = Date.UTC(2026, 0, 1);

const PACE = { recordsMax: 1_000, intervalMs: 50 };
const PLAIN_WORLD: WorldOptions = {
  partitions: 1,
  busyPartition: 0,
  pace: { live: PACE, behind: PACE, behindRecords: 5_000 },
  fetchBytes: 10_000,
  longPollMs: 1_000,
  latenciesMs: [2],
};

export function plainWorld(clock: VirtualClock, options: Partial<WorldOptions> = {}): AggregatorWorld {
  return new AggregatorWorld(clock, { ...PLAIN_WORLD, ...options });
}

/** Plays a scene; whatever it has started is killed at its end. */
export function playScene<Result>(
  options: Partial<WorldOptions>,
  scene: (world: AggregatorWorld, clock: VirtualClock) => Promise<Result>,
): Promise<Result> {
  return inVirtualTime(async (clock) => {
    const world = plainWorld(clock, options);
    const result = await scene(world, clock);
    for (const process of world.processes) process.kill();
    return result;
  });
}
