import { RecordsEncoder } from '../../src/core/record-batch.ts';
import { IngotError } from '../../src/errors.ts';
import type { EncodedRecords, ProduceLane, TopicPartition, TransactionLane } from '../../src/kafka/log-port.ts';
import { FENCE_KEY } from '../../src/kafka/transaction-lane.ts';
import type { MemoryLog } from './memory-log.ts';
import type { Producer } from './memory-log-partition.ts';

// The producers of the in-memory log.

export class MemoryProduceLane implements ProduceLane {
  readonly #log: MemoryLog;
  readonly #name: string;
  readonly #closing = new AbortController();
  #sending: Promise<void> | null = null;

  constructor(log: MemoryLog, name: string) {
    this.#log = log;
    this.#name = name;
  }

  async send(batches: readonly EncodedRecords[]): Promise<void> {
    if (this.#closing.signal.aborted) throw this.#closedError();
    if (this.#sending !== null) throw new IngotError('LANE_BUSY', `lane ${this.#name}: send was called while one was in flight`);
    this.#sending = this.#append(batches);
    try {
      await this.#sending;
    } finally {
      this.#sending = null;
    }
  }

  async close(deadlineMs: number): Promise<void> {
    const timer = setTimeout(() => this.#closing.abort(), deadlineMs);
    await this.#sending?.catch(() => undefined);
    clearTimeout(timer);
    this.#closing.abort();
  }

  async #append(batches: readonly EncodedRecords[]): Promise<void> {
    await this.#log.reachable(this.#closing.signal);
    if (this.#closing.signal.aborted) throw this.#closedError();
    const filled = batches.filter((batch) => batch.count > 0);
    const refused = this.#refused(filled);
    // An acknowledgement that is lost on its way makes a lane send again: at least once.
    const times = this.#log.takeProduceFault(this.#name) === 'acknowledgement-lost' ? 2 : 1;
    const taken = filled.filter((batch) => !refused.has(batch));
    for (let time = 0; time < times; time++) for (const batch of taken) this.#log.partition(batch).append(batch, null);
    const [first] = refused.values();
    if (first === undefined) return;
    const pending = batches.flatMap((batch, at) => (refused.has(batch) ? [at] : []));
    throw new IngotError('RECORD_TOO_LARGE', first.message, { details: { ...first.details, pending } });
  }

  /** What is too large, and what lies behind that for the same partition. */
  #refused(batches: readonly EncodedRecords[]): Map<EncodedRecords, IngotError> {
    const refused = new Map<EncodedRecords, IngotError>();
    const ofPartition = new Map<string, IngotError>();
    for (const batch of batches) {
      const partition = `${batch.topic}-${batch.partition}`;
      try {
        this.#log.requireSize(batch);
      } catch (error) {
        if (!ofPartition.has(partition)) ofPartition.set(partition, error as IngotError);
      }
      const refusal = ofPartition.get(partition);
      if (refusal !== undefined) refused.set(batch, refusal);
    }
    return refused;
  }

  #closedError(): IngotError {
    return new IngotError('LANE_CLOSED', `lane ${this.#name} is closed`);
  }
}

export class MemoryTransactionLane implements TransactionLane {
  readonly #log: MemoryLog;
  readonly #transactionalId: string;
  readonly #closing = new AbortController();
  #producer: Producer | null = null;
  #state: 'usable' | 'busy' | 'dead' = 'usable';

  constructor(log: MemoryLog, transactionalId: string) {
    this.#log = log;
    this.#transactionalId = transactionalId;
  }

  async fence(to: TopicPartition): Promise<number> {
    return await this.#once('fence', () => {
      const producer = this.#log.initProducer(this.#transactionalId);
      this.#producer = producer;
      const encoder = new RecordsEncoder(64);
      encoder.reset(0);
      encoder.add(Buffer.from(FENCE_KEY), Buffer.alloc(0), 0);
      const batch = { ...to, records: encoder.take(), count: 1, baseTimestampMs: 0 };
      const offset = this.#log.appendInTransaction(this.#transactionalId, producer, batch);
      this.#log.endTransaction(this.#transactionalId, 'abort');
      return offset;
    });
  }

  async commit(batches: readonly EncodedRecords[]): Promise<void> {
    const filled = batches.filter((batch) => batch.count > 0);
    if (filled.length === 0) return;
    await this.#once('commit', () => {
      const id = this.#transactionalId;
      this.#producer ??= this.#log.initProducer(id);
      const fault = this.#log.takeCommitFault(id);
      if (fault === 'fenced') this.#log.initProducer(id);
      for (const batch of filled) this.#log.requireSize(batch);
      for (const batch of filled) this.#log.appendInTransaction(id, this.#producer, batch);
      if (fault !== 'left-open') this.#log.endTransaction(id, fault === 'aborted' ? 'abort' : 'commit');
      if (fault !== null) throw new Error(`scripted fault: ${fault}`);
    });
  }

  isFenced(error: unknown): boolean {
    return error instanceof IngotError && (error.cause as { code?: unknown } | undefined)?.code === 47;
  }

  async close(): Promise<void> {
    this.#state = 'dead';
    this.#closing.abort();
  }

  async #once<T>(call: string, work: () => T): Promise<T> {
    const name = `transaction lane ${this.#transactionalId}`;
    if (this.#state === 'dead') throw new IngotError('LANE_CLOSED', `${name} is closed`);
    if (this.#state === 'busy') throw new IngotError('LANE_BUSY', `${name}: a second call while one was in flight`);
    this.#state = 'busy';
    try {
      await this.#log.reachable(this.#closing.signal);
      if (this.#isDead()) throw new Error('closed meanwhile');
      const result = work();
      await Promise.resolve();
      if (this.#isDead()) throw new Error('closed meanwhile');
      this.#state = 'usable';
      return result;
    } catch (error) {
      this.#state = 'dead';
      throw new IngotError('TRANSACTION_IN_DOUBT', `${call} of ${this.#transactionalId} failed: ${String(error)}`, { cause: error });
    }
  }

  #isDead(): boolean {
    return this.#state === 'dead';
  }
}
