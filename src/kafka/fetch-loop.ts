import { IngotError } from '../errors.ts';
import { fetchFailed, offsetOutOfRange, partitionFetchRefused } from '../ops/kafka-events.ts';
import { AnswerPool } from './answer-memory.ts';
import { backOffMs, pause, withDeadline } from './deadline.ts';
import { decodeFetchResponse, type FetchedPartition } from './fetch-response.ts';
import { errorText, isUnknownTopicError, KAFKA_ERROR } from './kafka-errors.ts';
import { type ClusterHandle, type KafkaAddress, openCluster, type RetrySettings, sendFetch } from './kafkajs-internals.ts';
import type { FetchLoop, PartitionCursor, TopicPartition } from './log-port.ts';
import { LoopCursor } from './partition-cursor.ts';
import { type UnpackedAnswer, unpackAnswer } from './unpack-answer.ts';

export interface FetchLoopOptions {
  readonly name: string;
  readonly maxWaitMs: number;
  readonly maxBytesPerPartition: number;
  readonly isolation: 'committed' | 'uncommitted';
  /** Whether the memory of an answer is used again as soon as its last cursor has taken the next one. */
  readonly reusesMemory?: boolean;
  /** How long an offset that the log does not hold is asked for again; 30 s unless a test is in a hurry. */
  readonly outOfRangePatienceMs?: number;
}

const CLUSTER_RETRY: RetrySettings = { initialRetryTime: 50, maxRetryTime: 500, retries: 2 };
const METADATA_DEADLINE_MS = 40_000;
const BACK_OFF = { firstMs: 20, maxMs: 1_000 };
/** An answer pins the whole response in memory until it is taken; responses are kept small for the sake of many partitions. */
const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;
/** The least that a fetch waits while another partition's answer is being worked on: that one will soon want to be in a fetch too. */
const SHORT_WAIT_MS = 5;

/**
 * One fetch under way per broker, for all its partitions that want one. A partition wants the next fetch as soon as its last answer
 * has been taken, so that it is under way while that one is folded.
 */
export class KafkaFetchLoop implements FetchLoop {
  readonly #address: KafkaAddress;
  readonly #options: FetchLoopOptions;
  readonly #closing = new AbortController();
  readonly #answers: AnswerPool | null;
  /** In the order in which they stand in a fetch: Kafka gives the first that has data at least one batch, whatever its size. */
  readonly #cursors = new Set<LoopCursor>();
  readonly #knownTopics = new Set<string>();
  readonly #fetchingFrom = new Set<string>();
  #handle: ClusterHandle | null = null;
  #metadataAreStale = false;
  #preparing = false;
  #failures = 0;
  #isPumpScheduled = false;
  #wakeTimer: NodeJS.Timeout | null = null;
  readonly #handOvers: (() => void)[] = [];

  constructor(address: KafkaAddress, options: FetchLoopOptions) {
    this.#address = { ...address, clientId: `${address.clientId}-${options.name}` };
    this.#options = options;
    this.#answers = options.reusesMemory === true ? new AnswerPool() : null;
  }

  open(at: TopicPartition, offset: number): PartitionCursor {
    if (this.#closing.signal.aborted) throw new IngotError('CURSOR_CLOSED', `fetch loop ${this.#options.name} is closed`);
    const cursor = new LoopCursor(at, offset, {
      onWanting: () => this.#schedulePump(),
      onClosed: (closed) => this.#cursors.delete(closed),
      inTurn: (handOver) => this.#inTurn(handOver),
    });
    this.#cursors.add(cursor);
    this.#schedulePump();
    return cursor;
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new Error(`fetch loop ${this.#options.name} is closed`));
    if (this.#wakeTimer !== null) clearTimeout(this.#wakeTimer);
    for (const cursor of [...this.#cursors]) cursor.close();
    this.#handle?.destroy(new Error(`fetch loop ${this.#options.name} is closed`));
    this.#handle = null;
  }

  /** At the end of this turn of the event loop's queue, so that all cursors that were taken from in it share one fetch. */
  #schedulePump(): void {
    if (this.#isPumpScheduled) return;
    this.#isPumpScheduled = true;
    queueMicrotask(() => {
      this.#isPumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#closing.signal.aborted || this.#preparing) return;
    const nowMs = performance.now();
    const wanting = [...this.#cursors].filter((cursor) => cursor.isWanting(nowMs));
    this.#wakeForRefused(nowMs);
    if (wanting.length === 0) return;
    const handle = this.#handle;
    if (handle === null || this.#metadataAreStale || wanting.some((cursor) => !this.#knownTopics.has(cursor.topic))) {
      void this.#prepare();
      return;
    }
    for (const [nodeId, cursors] of Map.groupBy(wanting, (cursor) => this.#leader(handle, cursor))) {
      if (nodeId === null) for (const cursor of cursors) this.#refuse(cursor, KAFKA_ERROR.unknownTopicOrPartition);
      else if (!this.#fetchingFrom.has(nodeId)) void this.#fetch(handle, nodeId, this.#onePerPartition(cursors));
    }
  }

  /**
   * Kafka answers once for a partition that stands in a fetch twice, from one of the two offsets, and who had asked for the other would
   * miss records. So the cursors of one partition take turns: those that are in this fetch go to the end of the line.
   */
  #onePerPartition(cursors: readonly LoopCursor[]): readonly LoopCursor[] {
    const first = new Map<string, LoopCursor>();
    for (const cursor of cursors) {
      const key = `${cursor.topic}-${cursor.partition}`;
      if (!first.has(key)) first.set(key, cursor);
    }
    if (first.size === cursors.length) return cursors;
    for (const cursor of first.values()) {
      this.#cursors.delete(cursor);
      this.#cursors.add(cursor);
    }
    return [...first.values()];
  }

  #leader({ cluster }: ClusterHandle, cursor: LoopCursor): string | null {
    try {
      const [leader] = Object.keys(cluster.findLeaderForPartitions(cursor.topic, [cursor.partition]));
      return leader === undefined || Number(leader) < 0 ? null : leader;
    } catch {
      // The library throws when the metadata name no leader.
      return null;
    }
  }

  async #fetch(handle: ClusterHandle, nodeId: string, cursors: readonly LoopCursor[]): Promise<void> {
    this.#fetchingFrom.add(nodeId);
    for (const cursor of cursors) cursor.fetchStarted();
    const maxWaitMs = this.#waitMs();
    try {
      const broker = await handle.cluster.findBroker({ nodeId });
      const sentAtMs = performance.now();
      const payload = await sendFetch(broker, this.#request(cursors, maxWaitMs));
      const { errorCode, partitions } = decodeFetchResponse(payload);
      if (errorCode !== KAFKA_ERROR.none) throw new Error(`Kafka answered the fetch with error ${errorCode}`);
      this.#failures = 0;
      const unpacked = await Promise.all(partitions.map(unpackAnswer));
      for (const cursor of cursors) cursor.fetchEnded();
      const release = this.#lend(payload, partitions);
      for (const answered of unpacked) this.#takeAnswer(cursors, answered, { sentAtMs, release });
    } catch (error) {
      for (const cursor of cursors) cursor.fetchEnded();
      if (this.#handle === handle && !this.#closing.signal.aborted) this.#dropConnections(error);
    } finally {
      this.#fetchingFrom.delete(nodeId);
      this.#schedulePump();
    }
  }

  /**
   * Whoever gets an answer may well work on it for the whole turn of the event loop. So none is handed over before the next fetch has been sent, and
   * one in each turn: between them the next answer is read from its socket, which holds only a part of it.
   */
  #inTurn(handOver: () => void): void {
    this.#handOvers.push(handOver);
    if (this.#handOvers.length === 1) setImmediate(() => this.#handOverNext());
  }

  #handOverNext(): void {
    this.#handOvers[0]!();
    this.#handOvers.shift();
    if (this.#handOvers.length > 0) setImmediate(() => this.#handOverNext());
  }

  /** What each cursor calls that has done with its part of the answer. Whoever never does leaves the memory to the collector. */
  #lend(payload: Buffer, partitions: readonly FetchedPartition[]): () => void {
    let readers = partitions.filter(({ batches }) => batches.length > 0).length;
    if (readers === 0) this.#answers?.giveBack(payload);
    return () => {
      readers -= 1;
      if (readers === 0) this.#answers?.giveBack(payload);
    };
  }

  /**
   * The full long poll, unless answers lie there untaken: then a share of the time since the youngest of them came, so that waiting
   * for others costs a partition under load at most a quarter of what its own work takes.
   */
  #waitMs(): number {
    const nowMs = performance.now();
    let youngestMs = Number.POSITIVE_INFINITY;
    for (const cursor of this.#cursors) youngestMs = Math.min(youngestMs, cursor.untakenForMs(nowMs) ?? Number.POSITIVE_INFINITY);
    return Math.round(Math.min(this.#options.maxWaitMs, Math.max(SHORT_WAIT_MS, youngestMs / 4)));
  }

  #request(cursors: readonly LoopCursor[], maxWaitTime: number) {
    const maxBytes = this.#options.maxBytesPerPartition;
    const topics = [...Map.groupBy(cursors, (cursor) => cursor.topic)].map(([topic, ofTopic]) => ({
      topic,
      partitions: ofTopic.map(({ partition, position }) => ({ partition, fetchOffset: String(position), maxBytes })),
    }));
    return {
      replicaId: -1 as const,
      maxWaitTime,
      minBytes: 1,
      maxBytes: Math.max(maxBytes, MAX_RESPONSE_BYTES),
      isolationLevel: this.#options.isolation === 'committed' ? (1 as const) : (0 as const),
      topics,
    };
  }

  #takeAnswer(
    cursors: readonly LoopCursor[],
    { answer, failure }: UnpackedAnswer,
    { sentAtMs, release }: { sentAtMs: number; release: () => void },
  ): void {
    const cursor = cursors.find((one) => one.topic === answer.topic && one.partition === answer.partition);
    if (cursor === undefined) return;
    if (answer.errorCode !== KAFKA_ERROR.none) {
      this.#refuse(cursor, answer.errorCode);
      return;
    }
    if (failure !== null) {
      cursor.fail(failure);
      return;
    }
    const hadRecords = cursor.accept(answer, { sentAtMs, maxWaitMs: this.#options.maxWaitMs, release });
    if (hadRecords && this.#cursors.delete(cursor)) this.#cursors.add(cursor);
  }

  #refuse(cursor: LoopCursor, kafkaCode: number): void {
    const { topic, partition, position: offset } = cursor;
    const loop = this.#options.name;
    // Whatever the error, the metadata are fetched anew: the consumer that holds our membership does so only every five minutes.
    this.#metadataAreStale = true;
    if (kafkaCode === KAFKA_ERROR.offsetOutOfRange) {
      if (cursor.refuseOutOfRange(this.#options.outOfRangePatienceMs)) offsetOutOfRange({ loop, topic, partition, offset });
    } else {
      const { attempt, retryInMs } = cursor.refuse();
      partitionFetchRefused({ loop, topic, partition, kafkaCode, attempt, retryInMs });
    }
    this.#schedulePump();
  }

  /** After a failed request everything about the cluster is fetched anew, by new connections. */
  #dropConnections(error: unknown): void {
    this.#handle?.destroy(new Error('the connection is replaced after a failed fetch'));
    this.#handle = null;
    this.#knownTopics.clear();
    this.#failures++;
    fetchFailed({ loop: this.#options.name, attempt: this.#failures, retryInMs: this.#retryInMs(), error: errorText(error) });
  }

  #retryInMs(): number {
    return Math.min(BACK_OFF.maxMs, BACK_OFF.firstMs * 2 ** Math.min(this.#failures - 1, 10));
  }

  /** Connects, and learns of topics and leaders, until that has worked for each topic that is there. */
  async #prepare(): Promise<void> {
    this.#preparing = true;
    const { signal } = this.#closing;
    if (this.#failures > 0) await pause(backOffMs(this.#failures, BACK_OFF), signal);
    try {
      if (!signal.aborted) await this.#learnTopics();
    } catch (error) {
      if (!signal.aborted) this.#dropConnections(error);
    }
    this.#preparing = false;
    this.#schedulePump();
  }

  async #learnTopics(): Promise<void> {
    this.#handle ??= openCluster(this.#address, CLUSTER_RETRY, this.#answers);
    const { cluster } = this.#handle;
    await this.#beforeDeadline(cluster.connect());
    if (this.#metadataAreStale && this.#knownTopics.size > 0) await this.#beforeDeadline(cluster.refreshMetadata());
    this.#metadataAreStale = false;
    const nowMs = performance.now();
    const topics = new Set([...this.#cursors].filter((cursor) => cursor.isWanting(nowMs)).map((cursor) => cursor.topic));
    for (const topic of topics) {
      if (this.#knownTopics.has(topic)) continue;
      try {
        await this.#beforeDeadline(cluster.addMultipleTargetTopics([topic]));
        this.#knownTopics.add(topic);
      } catch (error) {
        if (!isUnknownTopicError(error)) throw error;
        // One missing topic must not keep the others waiting.
        for (const cursor of this.#cursors) if (cursor.topic === topic) this.#refuse(cursor, KAFKA_ERROR.unknownTopicOrPartition);
      }
    }
  }

  #beforeDeadline<T>(work: Promise<T>): Promise<T> {
    const onExpired = () => new Error(`Kafka did not answer within ${METADATA_DEADLINE_MS / 1000} s`);
    return withDeadline(work, { ms: METADATA_DEADLINE_MS, onExpired, signal: this.#closing.signal });
  }

  #wakeForRefused(nowMs: number): void {
    const times = [...this.#cursors].map((cursor) => cursor.wantsAtMs(nowMs)).filter((time) => time !== null);
    if (this.#wakeTimer !== null) clearTimeout(this.#wakeTimer);
    this.#wakeTimer = times.length === 0 ? null : setTimeout(() => this.#schedulePump(), Math.min(...times) - nowMs + 1);
  }
}
