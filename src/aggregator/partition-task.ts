import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, IngotError } from '../errors.ts';
import type { FetchLoop, TransactionLane } from '../kafka/log-port.ts';
import * as events from '../ops/aggregator-events.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import { nextPhase, type PartitionPhase } from './partition-phase.ts';
import { PartitionRun, type PartitionStatus } from './partition-run.ts';
import { restorePartition } from './restore-partition.ts';
import type { Slot } from './slots.ts';

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

/** So many restores in a row may find that retention has deleted what they were about to read: each new one looks where the log begins now. */
const OVERTAKEN_RESTORES_MAX = 5;

export interface PartitionTaskOptions {
  readonly context: AggregatorContext;
  readonly partition: number;
  /** Limit how many partitions fence at once, and how many restore. */
  readonly slots: { readonly fence: Slot; readonly restore: Slot };
  /** Called when the partition must not go on at all; the process is to stop. */
  readonly onRefused: (error: IngotError) => void;
}

export class PartitionTask {
  readonly partition: number;
  private readonly options: PartitionTaskOptions;
  private readonly stopping = new AbortController();
  private phase: PartitionPhase = 'IDLE';
  private lane: TransactionLane | null = null;
  private current: PartitionRun | null = null;
  /** C at the end, when that was in good order. */
  private drainedOffset: number | null = null;
  /** Back to the first with each commit, not with each restore: a commit may fail every time. */
  private backOffMs = BACK_OFF_FIRST_MS;
  private overtakenRestores = 0;
  private life: Promise<void> = Promise.resolve();

  constructor(options: PartitionTaskOptions) {
    this.options = options;
    this.partition = options.partition;
  }

  /** C as committed; null while the partition is not running, and after an end in doubt. */
  get committedOffset(): number | null {
    return this.current?.committedOffset ?? this.drainedOffset;
  }

  /** null while the partition is not running. */
  status(): PartitionStatus | null {
    return this.current?.status() ?? null;
  }

  /** `after` is the earlier life of this partition in this process, if it has not ended yet. */
  start(after: Promise<void> = Promise.resolve()): void {
    this.life = after.then(() => this.live());
  }

  /** Commits what was folded and gives the partition up. Resolves when nothing of it is left; never rejects. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.current?.requestStop();
    // Nothing is folded yet: whatever the lane is doing need not come to its end.
    if (this.current === null) await this.lane?.close();
    await this.life;
  }

  private to(phase: PartitionPhase): void {
    this.phase = nextPhase(this.phase, phase);
  }

  private async live(): Promise<void> {
    const { signal } = this.stopping;
    const { context } = this.options;
    while (!signal.aborted) {
      this.lane = context.openLane(this.partition);
      const error = await this.liveOnce(this.lane);
      this.current = null;
      await this.lane.close();
      if (error === null || signal.aborted) break;
      if (error instanceof IngotError && REFUSALS.has(error.code)) {
        this.options.onRefused(error);
        break;
      }
      events.partitionDied(this.partition, error);
      // Who failed, or stood still for too long, may have lost the partition: only a group that confirms us lets us fence the next owner.
      do {
        await sleep(this.backOffMs, undefined, { signal }).catch(() => undefined);
        this.backOffMs = Math.min(this.backOffMs * 2, BACK_OFF_MAX_MS);
      } while (!signal.aborted && !(await this.isConfirmed()));
    }
    if (this.phase !== 'IDLE') this.to('IDLE');
    events.partitionReleased(this.partition);
  }

  /** Whether the group still counts us as a member; false also when told to stop meanwhile. */
  private async isConfirmed(): Promise<boolean> {
    const { signal } = this.stopping;
    const { promise: stopped, resolve } = Promise.withResolvers<boolean>();
    const onStop = (): void => resolve(false);
    signal.addEventListener('abort', onStop, { once: true });
    const confirmed = this.options.context.membership.confirm(CONFIRM_DEADLINE_MS).then(
      () => true,
      () => false,
    );
    const isConfirmed = await Promise.race([confirmed, stopped]);
    signal.removeEventListener('abort', onStop);
    return isConfirmed;
  }

  /** One life: null when it ended because we were told to stop, else the error it died of. */
  private async liveOnce(lane: TransactionLane): Promise<Error | null> {
    const { signal } = this.stopping;
    try {
      const { slots } = this.options;
      const startedAtMs = performance.now();
      // Whoever waited in line until it was told to stop has nothing to do with the partition any more, least of all to fence it.
      const fenceOffset = await slots.fence(async () => (signal.aborted ? null : await this.fence(lane)));
      if (fenceOffset === null) return null;
      const run = await slots.restore(async () => (signal.aborted ? null : await this.restore(lane, { fenceOffset, startedAtMs })));
      if (run === null) {
        this.to('DEAD');
        return null;
      }
      if (signal.aborted) run.requestStop();
      await run.run();
      this.to('DRAINING');
      this.drainedOffset = run.committedOffset;
      return null;
    } catch (thrown) {
      this.to('DEAD');
      return thrown instanceof Error ? thrown : new Error(String(thrown));
    }
  }

  private async fence(lane: TransactionLane): Promise<number> {
    this.to('FENCING');
    const fenceOffset = await lane.fence({ topic: this.options.context.topics.state, partition: this.partition });
    this.to('RESTORING');
    return fenceOffset;
  }

  private async restore(
    lane: TransactionLane,
    { fenceOffset, startedAtMs }: { fenceOffset: number; startedAtMs: number },
  ): Promise<PartitionRun> {
    const { partition } = this;
    const { signal } = this.stopping;
    const context = { ...this.options.context, restore: closedBy(signal, this.options.context.restore) };
    const restored = await restorePartition(context, partition, fenceOffset).catch((error: unknown) => {
      throw this.asRetryable(error);
    });
    this.overtakenRestores = 0;
    const onCommitting = (committing: boolean): void => {
      this.to(committing ? 'COMMITTING' : 'RUNNING');
      if (!committing) this.backOffMs = BACK_OFF_FIRST_MS;
    };
    const run = new PartitionRun({ context, partition, lane, restored, onCommitting });
    await run.commitRestored(restored);
    if (this.phase === 'RESTORING') this.to('RUNNING');
    this.current = run;
    const durationMs = performance.now() - startedAtMs;
    events.partitionRestored({ partition, devices: run.status().devices, nextOffset: restored.position, durationMs });
    return run;
  }

  /** What a restore died of; no refusal when the log's start has moved between the question for it and the fetch from there. */
  private asRetryable(error: unknown): unknown {
    if (!(error instanceof IngotError && error.code === 'OFFSET_OUT_OF_RANGE')) return error;
    this.overtakenRestores += 1;
    if (this.overtakenRestores > OVERTAKEN_RESTORES_MAX) return error;
    return new Error(`${error.message}: it has changed since the restore began`, { cause: error });
  }
}

/** The loop, with cursors that the signal closes: a restore may wait for long for a log that is away. */
function closedBy(signal: AbortSignal, loop: FetchLoop): FetchLoop {
  return {
    open(at, offset) {
      const cursor = loop.open(at, offset);
      const close = (): void => cursor.close();
      signal.addEventListener('abort', close, { once: true });
      if (signal.aborted) close();
      return {
        next: () => cursor.next(),
        close() {
          signal.removeEventListener('abort', close);
          close();
        },
      };
    },
    close: () => loop.close(),
  };
}
