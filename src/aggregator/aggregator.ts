import type { IngotError } from '../errors.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import { createOffsetCommits } from './offset-commits.ts';
import type { PartitionStatus } from './partition-run.ts';
import { PartitionTask } from './partition-task.ts';
import { limitConcurrency, oneAfterAnother } from './slots.ts';

// The page: the group says which partitions are ours, each of them lives by itself, and what they have committed is told to the group so
// that lag tools see it. What a partition does with its readings: partition-run.ts folds and commits, core/partition-fold.ts decides.

const FENCES_AT_ONCE = 3;
/**
 * A restore keeps the one thread busy, its next fetch being under way meanwhile: of several at once the first would be ready when the last
 * one is. Only one that waits for its part of the log lets others in.
 */
const RESTORES = { patienceMs: 500, limit: 3 };

export interface Aggregator {
  /** Joins the group; resolves when the first assignment can come. */
  start(): Promise<void>;
  /** Commits what was folded, leaves the group. Resolves within about the deadline. */
  stop(deadlineMs: number): Promise<void>;
  /** Resolves with the error that made the aggregator give up; pending while it is well. */
  readonly failed: Promise<Error>;
  /** Every partition that is ours; null while it is being restored. */
  partitions(): ReadonlyMap<number, PartitionStatus | null>;
  /** C as committed, of every partition that is ours and folding, or was until it was stopped in good order. */
  positions(): ReadonlyMap<number, number>;
}

export function createAggregator(context: AggregatorContext): Aggregator {
  const tasks = new Map<number, PartitionTask>();
  /** Lives that are coming to their end, by partition; they never reject. */
  const leaving = new Map<number, Promise<void>>();
  const slots = { fence: limitConcurrency(FENCES_AT_ONCE), restore: oneAfterAnother(RESTORES) };
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  const offsetCommits = createOffsetCommits(context.membership, positions);
  let isStopping = false;

  function onAssigned(partitions: readonly number[]): void {
    if (isStopping) return;
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
    const task = new PartitionTask({ context, partition, slots, onRefused });
    tasks.set(partition, task);
    // A partition that left and came back at once: its first life may still be committing, and would be fenced in the middle of it.
    task.start(leaving.get(partition));
  }

  function release(task: PartitionTask): void {
    const { partition } = task;
    const left = task.stop().finally(() => {
      if (leaving.get(partition) === left) leaving.delete(partition);
    });
    leaving.set(partition, left);
  }

  function positions(): Map<number, number> {
    const offsets = new Map<number, number>();
    for (const [partition, task] of tasks) if (task.committedOffset !== null) offsets.set(partition, task.committedOffset);
    return offsets;
  }

  /** Ends all partitions, then tells the group where they ended. */
  async function drain(): Promise<void> {
    for (const task of tasks.values()) release(task);
    await Promise.all(leaving.values());
    await offsetCommits.commitLast();
  }

  return {
    failed,
    positions,
    partitions: () => new Map([...tasks].map(([partition, task]) => [partition, task.status()])),
    async start() {
      await context.membership.start({ onAssigned, onFailed: fail });
      offsetCommits.start();
    },
    async stop(deadlineMs) {
      isStopping = true;
      offsetCommits.stop();
      const { promise: deadline, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, deadlineMs);
      await Promise.race([drain(), deadline]);
      clearTimeout(timer);
      await context.membership.stop(Math.min(deadlineMs, 5_000));
    },
  };
}
