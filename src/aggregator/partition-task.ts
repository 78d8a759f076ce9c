import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, IngotError } from '../errors.ts';
import type { TransactionLane } from '../kafka/log-port.ts';
import * as events from '../ops/aggregator-events.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import { nextPhase, type PartitionPhase } from './partition-phase.ts';
import { PartitionRun, type PartitionStatus } from './partition-run.ts';
import { restorePartition } from './restore-partition.ts';

// One partition while it is ours: fence, restore, run; after any error all over again, because the truth is in the log.

const BACK_OFF_FIRST_MS = 100;
const BACK_OFF_MAX_MS = 5_000;
const CONFIRM_DEADLINE_MS = 30_000;

/** Errors that another try would only meet again: somebody has to decide something, so the process stops and says what. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'STATE_UNREADABLE',
  'STATE_LOST',
  'STATE_OF_OTHER_GROUP',
  'PARTITIONS_CHANGED',
  'LOG_REPLACED',
  'LOG_TRUNCATED',
  'OFFSET_OUT_OF_RANGE',
  'APPEND_TIME_AHEAD',
  'COMPRESSED_INPUT',
  'CORRUPT_BATCH',
  'TOPIC_MISSING',
  'ILLEGAL_TRANSITION',
]);

export interface PartitionTaskOptions {
  readonly context: AggregatorContext;
  readonly partition: number;
  /** Limits how many partitions restore at once. */
  readonly restoreSlot: <T>(restore: () => Promise<T>) => Promise<T>;
  /** Called when the partition must not go on at all; the process is to stop. */
  readonly onRefused: (error: IngotError) => void;
}

export class PartitionTask {
  readonly partition: number;
  private readonly options: PartitionTaskOptions;
  private readonly stopping = new AbortController();
  private phase: PartitionPhase = 'IDLE';
  private current: PartitionRun | null = null;
  private life: Promise<void> = Promise.resolve();

  constructor(options: PartitionTaskOptions) {
    this.options = options;
    this.partition = options.partition;
  }

  /** C as committed; null while the partition is not running. */
  get committedOffset(): number | null {
    return this.current?.committedOffset ?? null;
  }

  /** null while the partition is not running. */
  status(): PartitionStatus | null {
    return this.current?.status() ?? null;
  }

  start(): void {
    this.life = this.live();
  }

  /** Commits what was folded and gives the partition up. Resolves when nothing of it is left; never rejects. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.current?.requestStop();
    await this.life;
  }

  private to(phase: PartitionPhase): void {
    this.phase = nextPhase(this.phase, phase);
  }

  private async live(): Promise<void> {
    const { signal } = this.stopping;
    let backOffMs = BACK_OFF_FIRST_MS;
    while (!signal.aborted) {
      const lane = this.options.context.openLane(this.partition);
      const error = await this.liveOnce(lane, () => {
        backOffMs = BACK_OFF_FIRST_MS;
      });
      this.current = null;
      await lane.close();
      if (error === null || signal.aborted) break;
      if (error instanceof IngotError && REFUSALS.has(error.code)) {
        this.options.onRefused(error);
        break;
      }
      events.partitionDied(this.partition, error);
      // Who was fenced may have lost the partition: only a group that confirms us lets us fence the next owner.
      if (lane.isFenced(error)) await this.options.context.membership.confirm(CONFIRM_DEADLINE_MS).catch(() => undefined);
      await sleep(backOffMs, undefined, { signal }).catch(() => undefined);
      backOffMs = Math.min(backOffMs * 2, BACK_OFF_MAX_MS);
    }
    if (this.phase !== 'IDLE') this.to('IDLE');
    events.partitionReleased(this.partition);
  }

  /** One life: null when it ended because we were told to stop, else the error it died of. */
  private async liveOnce(lane: TransactionLane, onRunning: () => void): Promise<Error | null> {
    try {
      const run = await this.options.restoreSlot(() => this.fenceAndRestore(lane));
      onRunning();
      if (this.stopping.signal.aborted) run.requestStop();
      await run.run();
      this.to('DRAINING');
      return null;
    } catch (thrown) {
      this.to('DEAD');
      return thrown instanceof Error ? thrown : new Error(String(thrown));
    }
  }

  private async fenceAndRestore(lane: TransactionLane): Promise<PartitionRun> {
    const { context } = this.options;
    const { partition } = this;
    const startedAtMs = performance.now();
    this.to('FENCING');
    const fenceOffset = await lane.fence({ topic: context.topics.state, partition });
    this.to('RESTORING');
    const restored = await restorePartition(context, partition, fenceOffset);
    const onCommitting = (committing: boolean): void => this.to(committing ? 'COMMITTING' : 'RUNNING');
    const run = new PartitionRun({ context, partition, lane, restored, onCommitting });
    if (restored.toJournal === null) this.to('RUNNING');
    else await run.commitRestored(restored.toJournal);
    this.current = run;
    const durationMs = performance.now() - startedAtMs;
    events.partitionRestored({ partition, devices: run.status().devices, nextOffset: restored.position, durationMs });
    return run;
  }
}
