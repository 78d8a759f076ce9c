import { BATCH_HEADER_BYTES } from '../../src/core/batch-layout.ts';
import { IngotError } from '../../src/errors.ts';
import type {
  EncodedRecords,
  FetchLoop,
  GroupMembership,
  LogAdmin,
  LogClient,
  ProduceLane,
  TopicDescription,
  TopicPartition,
  TopicSpec,
  TransactionLane,
} from '../../src/kafka/log-port.ts';
import { MemoryFetchLoop, type MemoryFetchOptions } from './memory-log-fetch.ts';
import { MemoryGroup, MemoryMembership } from './memory-log-group.ts';
import { MemoryProduceLane, MemoryTransactionLane } from './memory-log-lanes.ts';
import { MemoryPartition, type Producer } from './memory-log-partition.ts';

// A log in memory with the semantics of Kafka that Ingot relies on: bytes by the core codec, transactions with epochs, fencing,
// markers and a last stable offset, retention, groups. test/contract/log-contract.ts runs against it and against the real broker.
// Faults are scripted: a queue per lane, taken one at a time.

/** What becomes of the next commit: the caller sees a rejection each time, and cannot tell these apart. */
export type CommitFault =
  /** It was committed, only the answer was lost. */
  | 'committed'
  /** The coordinator aborted it. */
  | 'aborted'
  /** It was neither committed nor aborted: open until the next fence, and readers of committed records wait before it. */
  | 'left-open'
  /** Another owner of the transactional id came first. */
  | 'fenced';

/** What becomes of the next send: with its acknowledgement lost, a lane sends again, and the records are there twice. */
export type ProduceFault = 'acknowledgement-lost';

export interface MemoryLogOptions {
  /** The clock of appending, epoch ms. */
  readonly nowMs?: () => number;
  /** The clock of `sentAtMs`. */
  readonly monotonicMs?: () => number;
  /** Long polls end at once when nothing is there, for tests with clocks of their own. */
  readonly isPollInstant?: boolean;
}

interface Topic {
  readonly spec: TopicSpec;
  readonly partitions: readonly MemoryPartition[];
}

interface TransactionalId {
  producer: Producer;
  readonly touched: Set<MemoryPartition>;
}

const DEFAULT_MAX_MESSAGE_BYTES = 1_048_588;

export class MemoryLog {
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly isPollInstant: boolean;
  readonly #topics = new Map<string, Topic>();
  readonly #groups = new Map<string, MemoryGroup>();
  readonly #transactionalIds = new Map<string, TransactionalId>();
  readonly #commitFaults = new Map<string, (CommitFault | null)[]>();
  readonly #produceFaults = new Map<string, ProduceFault[]>();
  #nextProducerId = 1000;
  #outage: { readonly over: Promise<void>; readonly end: () => void } | null = null;

  constructor(options: MemoryLogOptions = {}) {
    this.nowMs = options.nowMs ?? Date.now;
    this.monotonicMs = options.monotonicMs ?? (() => performance.now());
    this.isPollInstant = options.isPollInstant ?? false;
  }

  /** A process's view of the log. */
  client(clientId = 'test'): LogClient {
    return new MemoryLogClient(this, clientId);
  }

  createTopic(spec: TopicSpec): void {
    const isAppendTime = spec.configs['message.timestamp.type'] === 'LogAppendTime';
    const partitions = Array.from({ length: spec.partitions }, () => new MemoryPartition({ isAppendTime, nowMs: this.nowMs }));
    this.#topics.set(spec.name, { spec, partitions });
  }

  topic(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  requireTopic(name: string): Topic {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new IngotError('TOPIC_MISSING', `there is no topic ${name}`);
    return topic;
  }

  partition(at: TopicPartition): MemoryPartition {
    const partition = this.requireTopic(at.topic).partitions[at.partition];
    if (partition === undefined) throw new Error(`there is no partition ${at.topic}-${at.partition}`);
    return partition;
  }

  group(groupId: string, partitions: number): MemoryGroup {
    const group = this.#groups.get(groupId) ?? new MemoryGroup(partitions);
    this.#groups.set(groupId, group);
    return group;
  }

  /** What becomes of the next commits of this transactional id, in order: null, and whatever comes after the list, succeeds. */
  scriptCommits(transactionalId: string, faults: readonly (CommitFault | null)[]): void {
    this.#commitFaults.set(transactionalId, [...faults]);
  }

  scriptSends(laneName: string, faults: readonly ProduceFault[]): void {
    this.#produceFaults.set(laneName, [...faults]);
  }

  takeCommitFault(transactionalId: string): CommitFault | null {
    return this.#commitFaults.get(transactionalId)?.shift() ?? null;
  }

  takeProduceFault(laneName: string): ProduceFault | null {
    return this.#produceFaults.get(laneName)?.shift() ?? null;
  }

  /** From now on nothing can be written, until `endOutage`. */
  beginOutage(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#outage ??= { over: promise, end: resolve };
  }

  endOutage(): void {
    this.#outage?.end();
    this.#outage = null;
  }

  /** Resolves when the log can be written, or when the signal says that nobody waits any more. */
  async reachable(signal: AbortSignal | null): Promise<void> {
    await Promise.resolve();
    if (this.#outage === null) return;
    const aborted = new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([this.#outage.over, aborted]);
  }

  /** What InitProducerId does: aborts what is open, and raises the epoch, which fences every earlier owner. */
  initProducer(transactionalId: string): Producer {
    const known = this.#transactionalIds.get(transactionalId);
    if (known === undefined) {
      const producer = { producerId: this.#nextProducerId++, epoch: 0 };
      this.#transactionalIds.set(transactionalId, { producer, touched: new Set() });
      return producer;
    }
    this.endTransaction(transactionalId, 'abort');
    known.producer = { producerId: known.producer.producerId, epoch: known.producer.epoch + 1 };
    return known.producer;
  }

  /** What the coordinator does with a transaction that has been open for too long. Its owner is fenced. */
  expireTransaction(transactionalId: string): void {
    this.initProducer(transactionalId);
  }

  appendInTransaction(transactionalId: string, producer: Producer, batch: EncodedRecords): number {
    const current = this.#transactionalIds.get(transactionalId);
    if (current?.producer !== producer) throw Object.assign(new Error('an old producer epoch'), { code: 47 });
    const partition = this.partition(batch);
    current.touched.add(partition);
    return partition.append(batch, producer);
  }

  endTransaction(transactionalId: string, kind: 'commit' | 'abort'): void {
    const current = this.#transactionalIds.get(transactionalId);
    if (current === undefined) return;
    for (const partition of current.touched) partition.endTransaction(current.producer, kind);
    current.touched.clear();
  }

  /** IngotError `RECORD_TOO_LARGE` when the topic does not take a batch of that size. */
  requireSize(batch: EncodedRecords): void {
    const { topic, partition, count, records } = batch;
    const limit = Number(this.requireTopic(topic).spec.configs['max.message.bytes'] ?? DEFAULT_MAX_MESSAGE_BYTES);
    if (records.length + BATCH_HEADER_BYTES <= limit) return;
    throw new IngotError('RECORD_TOO_LARGE', `${topic}-${partition}: ${records.length} bytes are more than ${limit}`, {
      details: { topicPartition: { topic, partition }, count },
    });
  }
}

class MemoryLogClient implements LogClient {
  readonly #log: MemoryLog;
  readonly #clientId: string;
  readonly #ends = new Set<() => Promise<void>>();

  constructor(log: MemoryLog, clientId: string) {
    this.#log = log;
    this.#clientId = clientId;
  }

  produceLane(options: { name: string }): ProduceLane {
    const lane = new MemoryProduceLane(this.#log, options.name);
    this.#ends.add(() => lane.close(0));
    return lane;
  }

  transactionLane(options: { transactionalId: string }): TransactionLane {
    const lane = new MemoryTransactionLane(this.#log, options.transactionalId);
    this.#ends.add(() => lane.close());
    return lane;
  }

  fetchLoop(options: MemoryFetchOptions): FetchLoop {
    const loop = new MemoryFetchLoop(this.#log, options);
    this.#ends.add(() => loop.close());
    return loop;
  }

  membership(options: { groupId: string; topic: string; evictOwnClientId: boolean }): GroupMembership {
    const group = () => this.#log.group(options.groupId, this.#log.requireTopic(options.topic).partitions.length);
    const membership = new MemoryMembership(group, { ...options, clientId: this.#clientId });
    this.#ends.add(() => membership.stop(0));
    return membership;
  }

  admin(): LogAdmin {
    return new MemoryLogAdmin(this.#log);
  }

  async close(): Promise<void> {
    const ends = [...this.#ends];
    this.#ends.clear();
    await Promise.all(ends.map((end) => end()));
  }
}

class MemoryLogAdmin implements LogAdmin {
  readonly #log: MemoryLog;

  constructor(log: MemoryLog) {
    this.#log = log;
  }

  async watermarks(topic: string) {
    return this.#log.requireTopic(topic).partitions.map(({ logStartOffset, highWatermark }) => ({ logStartOffset, highWatermark }));
  }

  async offsetsAtTime(topic: string, timestampMs: number): Promise<readonly number[]> {
    return this.#log.requireTopic(topic).partitions.map((partition) => partition.offsetAtTime(timestampMs));
  }

  async committedOffsets(groupId: string, topic: string): Promise<readonly (number | null)[]> {
    const { partitions } = this.#log.requireTopic(topic);
    const offsets = this.#log.group(groupId, partitions.length).offsets.get(topic);
    return partitions.map((_, partition) => offsets?.get(partition) ?? null);
  }

  async describeTopics(names: readonly string[]): Promise<readonly TopicDescription[]> {
    return names.flatMap((name) => {
      const spec = this.#log.topic(name)?.spec;
      return spec === undefined ? [] : [{ ...spec, configs: new Map(Object.entries(spec.configs)) }];
    });
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<readonly string[]> {
    const missing = specs.filter((spec) => this.#log.topic(spec.name) === undefined);
    for (const spec of missing) this.#log.createTopic(spec);
    return missing.map((spec) => spec.name);
  }

  async close(): Promise<void> {}
}
