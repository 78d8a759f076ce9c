// The narrow contract between Ingot and the log. Everything Ingot does with Kafka goes through these interfaces; the contract
// suite in test/contract runs against the real broker and against the in-memory log of test/support.
//
// Words: a *record* is key, value, headers and a timestamp; *encoded records* are records in the wire form of record batch v2
// without the 61-byte batch header (core/record-batch.ts makes and reads them); an *offset* is a safe integer.

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Records for one partition, already in wire form. `records` is not copied: it must stay as it is until the call has settled. */
export interface EncodedRecords extends TopicPartition {
  readonly records: Buffer;
  readonly count: number;
  /** The timestamp that the records' deltas count from, epoch ms. */
  readonly baseTimestampMs: number;
}

/**
 * Appends at least once. One call may be in flight: a second one throws, because concurrent sends on one idempotent producer
 * lose acknowledged records.
 */
export interface ProduceLane {
  /**
   * Resolves when the log has acknowledged everything. Transient errors are retried inside for as long as the lane is open,
   * each time with a fresh producer, so records may be appended twice but are never dropped.
   * Rejects with IngotError `RECORD_TOO_LARGE` when everything has been appended except batches that are too large, and what lies behind them
   * for the same partition: its `details.pending` are their places in `batches`, `details.topicPartition` is that of the first. Or with
   * `LANE_CLOSED`.
   */
  send(batches: readonly EncodedRecords[]): Promise<void>;
  /** Waits for the call in flight until the deadline, then breaks it. Never hangs. */
  close(deadlineMs: number): Promise<void>;
}

/** Appends exactly once, in transactions, under one transactional id. Not for concurrent use. */
export interface TransactionLane {
  /**
   * Shuts every earlier owner of the transactional id out and completes or aborts what it left open; then writes one record with
   * the key `$fence` and aborts. Resolves with that record's offset: everything committed before lies below it.
   */
  fence(to: TopicPartition): Promise<number>;
  /**
   * Commits everything, or nothing. Any rejection means that the outcome is unknown: the lane is dead, close it, make a new
   * one, fence, and read what was committed.
   */
  commit(batches: readonly EncodedRecords[]): Promise<void>;
  /** Whether an error of this lane says that another owner has fenced us (or that our own transaction expired). */
  isFenced(error: unknown): boolean;
  /** Drops the producer at once; what is open is left to the next fence. Never rejects, never hangs. */
  close(): Promise<void>;
}

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

/** One answer of the log for one partition: raw record batches, to be read with core/record-batch.ts. */
export interface Fetched extends TopicPartition {
  /** The offset asked for. The first batch may begin before it. */
  readonly fetchOffset: number;
  /** Whole record batches, one after the other; a truncated last one is cut off. Valid until the next call of `next`. */
  readonly batches: Buffer;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly abortedTransactions: readonly AbortedTransaction[];
  /** performance.now() when the request was sent. */
  readonly sentAtMs: number;
}

/** Reads one partition from an offset on, read_committed. */
export interface PartitionCursor {
  /**
   * The next answer, empty when nothing came within the loop's long poll. The following fetch is already under way when this
   * resolves, from the end of the batches given. Transient errors are retried inside with back-off.
   * Rejects with IngotError: `OFFSET_OUT_OF_RANGE` (after 30 s of retries), `CURSOR_CLOSED`.
   */
  next(): Promise<Fetched>;
  close(): void;
}

/** One fetch loop per process: one multi-partition fetch per broker for all its cursors. */
export interface FetchLoop {
  open(at: TopicPartition, offset: number): PartitionCursor;
  close(): Promise<void>;
}

/** Which partitions of one topic are ours. Kafka's group protocol decides; safety never depends on it. */
export interface GroupMembership {
  /**
   * Joins. `onAssigned` is called synchronously at every (re)assignment with all partitions that are ours now; `onFailed` when
   * the membership has ended for good.
   */
  start(on: { onAssigned: (partitions: readonly number[]) => void; onFailed: (error: Error) => void }): Promise<void>;
  /** Resolves after the group has confirmed us once more (heartbeat or re-join): needed before fencing again after being fenced. */
  confirm(deadlineMs: number): Promise<void>;
  /** Commits offsets for lag tools and the first start. A rejection is not an error of the data path. */
  commitOffsets(offsets: ReadonlyMap<number, number>): Promise<void>;
  stop(deadlineMs: number): Promise<void>;
}

export interface Watermarks {
  readonly logStartOffset: number;
  readonly highWatermark: number;
}

export interface TopicDescription {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly configs: ReadonlyMap<string, string>;
}

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly configs: Readonly<Record<string, string>>;
}

/** Questions to the log that are not on the data path. Every call has a deadline. */
export interface LogAdmin {
  /** One entry per partition, in order. IngotError `TOPIC_MISSING` when there is no such topic. */
  watermarks(topic: string): Promise<readonly Watermarks[]>;
  /**
   * Per partition the offset of the first record appended at or after `timestampMs` (epoch ms), the high watermark where there is none.
   * IngotError `TOPIC_MISSING` when there is no such topic.
   */
  offsetsAtTime(topic: string, timestampMs: number): Promise<readonly number[]>;
  /** Committed offset per partition; null where the group has none. */
  committedOffsets(groupId: string, topic: string): Promise<readonly (number | null)[]>;
  /** Descriptions of those of the named topics that exist. */
  describeTopics(names: readonly string[]): Promise<readonly TopicDescription[]>;
  /** Creates those that do not exist; returns the names created. */
  createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The log as a whole: makes the parts. */
export interface LogClient {
  produceLane(options: { name: string; acks: 'all' | 'leader' | 'none' }): ProduceLane;
  transactionLane(options: { transactionalId: string; transactionTimeoutMs: number }): TransactionLane;
  /** reusesMemory: what an answer holds is overwritten after the next call of `next`. Without it a slip of the reader does no harm. */
  fetchLoop(options: {
    name: string;
    maxWaitMs: number;
    maxBytesPerPartition: number;
    isolation: 'committed' | 'uncommitted';
    reusesMemory?: boolean;
  }): FetchLoop;
  membership(options: { groupId: string; topic: string; sessionTimeoutMs: number; evictOwnClientId: boolean }): GroupMembership;
  admin(): LogAdmin;
  close(): Promise<void>;
}
