import type { IngotError } from '../errors.ts';
import * as events from '../ops/aggregator-events.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import type { PartitionStatus } from './partition-run.ts';
import { PartitionTask } from './partition-task.ts';

// The page: the group says which partitions are ours, each of them lives by itself, and what they have committed is told to the group so
// that lag tools see it. What a partition does with its readings: partition-run.ts folds and commits, core/partition-fold.ts decides.

const OFFSET_COMMIT_INTERVAL_MS = 2_000;
const RESTORES_AT_ONCE = 3;

export interface Aggregator {
  /** Joins the group; resolves when the first assignment can come. */
  start(): Promise<void>;
  /** Commits what was folded, leaves the group. Resolves within about the deadline. */
  stop(deadlineMs: number): Promise<void>;
  /** Resolves with the error that made the aggregator give up; pending while it is well. */
  readonly failed: Promise<Error>;
  /** Every partition that is ours; null while it is being restored. */
  partitions(): ReadonlyMap<number, PartitionStatus | null>;
  /** C as committed, of every partition that is ours and folding. */
  positions(): ReadonlyMap<number, number>;
}

export function createAggregator(context: AggregatorContext): Aggregator {
  const tasks = new Map<number, PartitionTask>();
  const leaving = new Set<Promise<void>>();
  const restoreSlot = limitConcurrency(RESTORES_AT_ONCE);
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  let offsetTimer: NodeJS.Timeout | undefined;

  function onAssigned(partitions: readonly number[]): void {
    const assigned = new Set(partitions);
    for (const [partition, task] of tasks) {
      if (assigned.has(partition)) continue;
      tasks.delete(partition);
      release(task);
    }
    for (const partition of assigned) if (!tasks.has(partition)) begin(partition);
  }

  function begin(partition: number): void {
    const onRefused = (error: IngotError): void => fail(error);
    const task = new PartitionTask({ context, partition, restoreSlot, onRefused });
    tasks.set(partition, task);
    task.start();
  }

  function release(task: PartitionTask): void {
    const left = task.stop().finally(() => leaving.delete(left));
    leaving.add(left);
  }

  async function commitOffsets(): Promise<void> {
    const offsets = positions();
    if (offsets.size > 0) await context.membership.commitOffsets(offsets).catch(events.offsetCommitFailed);
  }

  function positions(): Map<number, number> {
    const offsets = new Map<number, number>();
    for (const [partition, task] of tasks) if (task.committedOffset !== null) offsets.set(partition, task.committedOffset);
    return offsets;
  }

  function scheduleOffsetCommit(): void {
    offsetTimer = setTimeout(() => {
      void commitOffsets().then(scheduleOffsetCommit);
    }, OFFSET_COMMIT_INTERVAL_MS);
  }

  return {
    failed,
    positions,
    partitions: () => new Map([...tasks].map(([partition, task]) => [partition, task.status()])),
    async start() {
      await context.membership.start({ onAssigned, onFailed: fail });
      scheduleOffsetCommit();
    },
    async stop(deadlineMs) {
      clearTimeout(offsetTimer);
      const deadline = new Promise<void>((resolve) => setTimeout(resolve, deadlineMs).unref());
      for (const task of tasks.values()) release(task);
      await Promise.race([Promise.all(leaving), deadline]);
      await context.membership.stop(Math.min(deadlineMs, 5_000));
    },
  };
}

/** Runs at most `limit` of the given works at once; the others wait in line. */
function limitConcurrency(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let active = 0;
  return async (work) => {
    if (active >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
    active += 1;
    try {
      return await work();
    } finally {
      active -= 1;
      waiting.shift()?.();
    }
  };
}
