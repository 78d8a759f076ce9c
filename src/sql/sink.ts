import { setTimeout as sleep } from 'node:timers/promises';
import type { Alert } from '../core/alert-record.ts';
import type { WindowAggregate } from '../core/window-aggregate.ts';
import { IngotError } from '../errors.ts';
import type { FetchLoop, GroupMembership, LogAdmin } from '../kafka/log-port.ts';
import { sinkOffsetsNotCommitted } from '../ops/sink-events.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import { migrate } from './migrations.ts';
import { PartitionReader } from './partition-reader.ts';
import { createRowWriter } from './row-writer.ts';
import type { SinkContext, SinkSource } from './sink-ports.ts';
import type { SqlDatabase } from './sql-database.ts';

// The page: aggregates and alerts, each with a group of its own, become rows. Each partition of ours is read from the position in the
// database (partition-reader.ts), all of them write through one door (row-writer.ts), and rows and positions change in one
// transaction (write-slices.ts). So a restart goes on exactly there, and nothing is written twice.

const OFFSET_COMMIT_INTERVAL_MS = 2_000;
/** How long the start waits for the database. Once started, the sink waits for it for ever. */
const START_DEADLINE_MS = 30_000;
const START_RETRY_MS = 1_000;

export interface SinkOptions {
  readonly database: SqlDatabase;
  readonly admin: Pick<LogAdmin, 'watermarks'>;
  readonly fetchLoop: FetchLoop;
  readonly aggregates: SinkInput<WindowAggregate>;
  readonly alerts: SinkInput<Alert>;
  readonly acceptLoss: boolean;
  /** Hears whether the database takes rows: null when it does. */
  readonly onDatabase: (error: Error | null) => void;
}

export interface SinkInput<Value> {
  readonly topic: string;
  readonly decoder: ValueDecoder<Value>;
  readonly membership: GroupMembership;
}

export interface Sink {
  /** Makes the tables and joins the groups. Rejects with the database's IngotErrors. */
  start(): Promise<void>;
  /** Writes what is under way and leaves the groups. Resolves within about the deadline; the database stays open. */
  stop(deadlineMs: number): Promise<void>;
  /** Resolves with the error that made the sink give up; pending while it is well. */
  readonly failed: Promise<Error>;
}

export function createSink(options: SinkOptions): Sink {
  const { database, admin, fetchLoop, acceptLoss } = options;
  const writer = createRowWriter(database, options.onDatabase);
  const context: SinkContext = { database, writer, admin, fetchLoop, acceptLoss };
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  const topics = [
    new SinkTopic(context, { ...options.aggregates, place: (records) => ({ aggregates: records, alerts: [] }) }, fail),
    new SinkTopic(context, { ...options.alerts, place: (records) => ({ aggregates: [], alerts: records }) }, fail),
  ];
  return {
    failed,
    async start() {
      await migratePatiently(database, options.onDatabase);
      await Promise.all(topics.map((topic) => topic.start()));
    },
    async stop(deadlineMs) {
      const deadline = new Promise<void>((resolve) => setTimeout(resolve, deadlineMs).unref());
      for (const topic of topics) topic.stopReading();
      await Promise.race([Promise.all([writer.close(), ...topics.map((topic) => topic.released())]), deadline]);
      await Promise.all(topics.map((topic) => topic.leave(Math.min(deadlineMs, 5_000))));
    },
  };
}

/** Makes the tables; a database that does not answer yet is waited for. */
async function migratePatiently(database: SqlDatabase, onDatabase: SinkOptions['onDatabase']): Promise<void> {
  const deadlineAtMs = performance.now() + START_DEADLINE_MS;
  for (;;) {
    try {
      await migrate(database);
      return onDatabase(null);
    } catch (error) {
      if (!(error instanceof IngotError) || !error.canRetry || performance.now() > deadlineAtMs) throw error;
      onDatabase(error);
      await sleep(START_RETRY_MS);
    }
  }
}

/** The partitions of one topic that are ours. */
class SinkTopic<Value> {
  readonly #context: SinkContext;
  readonly #source: SinkSource<Value>;
  readonly #fail: (error: Error) => void;
  readonly #readers = new Map<number, PartitionReader<Value>>();
  readonly #lives = new Map<number, Promise<void>>();
  #offsetTimer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(context: SinkContext, source: SinkSource<Value>, fail: (error: Error) => void) {
    this.#context = context;
    this.#source = source;
    this.#fail = fail;
  }

  async start(): Promise<void> {
    await this.#source.membership.start({ onAssigned: (partitions) => this.#onAssigned(partitions), onFailed: this.#fail });
    this.#scheduleOffsetCommit();
  }

  stopReading(): void {
    this.#isStopped = true;
    clearTimeout(this.#offsetTimer);
    for (const reader of this.#readers.values()) reader.stop();
  }

  async released(): Promise<void> {
    await Promise.all(this.#lives.values());
  }

  async leave(deadlineMs: number): Promise<void> {
    await this.#commitOffsets();
    await this.#source.membership.stop(deadlineMs);
  }

  #onAssigned(partitions: readonly number[]): void {
    if (this.#isStopped) return;
    for (const [partition, reader] of this.#readers) {
      if (partitions.includes(partition)) continue;
      this.#readers.delete(partition);
      reader.stop();
    }
    for (const partition of partitions) if (!this.#readers.has(partition)) this.#read(partition);
  }

  #read(partition: number): void {
    const reader = new PartitionReader(this.#context, this.#source, partition);
    this.#readers.set(partition, reader);
    // A partition that left and came back at once: its earlier reader may still have a slice at the writer.
    const earlier = this.#lives.get(partition) ?? Promise.resolve();
    const life = earlier.then(() => reader.run()).catch(this.#fail);
    this.#lives.set(partition, life);
  }

  async #commitOffsets(): Promise<void> {
    const offsets = new Map<number, number>();
    for (const [partition, { writtenOffset }] of this.#readers) if (writtenOffset !== null) offsets.set(partition, writtenOffset);
    if (offsets.size > 0) await this.#source.membership.commitOffsets(offsets).catch(sinkOffsetsNotCommitted);
  }

  #scheduleOffsetCommit(): void {
    this.#offsetTimer = setTimeout(() => {
      void this.#commitOffsets().then(() => {
        if (!this.#isStopped) this.#scheduleOffsetCommit();
      });
    }, OFFSET_COMMIT_INTERVAL_MS);
  }
}
