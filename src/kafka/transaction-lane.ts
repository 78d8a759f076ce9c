import type { Producer, Transaction } from 'kafkajs';
import { RecordsEncoder } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import { transactionalIdFenced, transactionCallFailed } from '../ops/kafka-events.ts';
import { type CompressionName, compressionType } from './compression.ts';
import { withDeadline } from './deadline.ts';
import { errorText, isFencedError } from './kafka-errors.ts';
import {
  type ClusterHandle,
  createProducerOn,
  type KafkaAddress,
  openCluster,
  type RetrySettings,
  rememberCoordinators,
} from './kafkajs-internals.ts';
import type { EncodedRecords, TopicPartition, TransactionLane } from './log-port.ts';
import { asTopicMessages } from './pre-encoded-messages.ts';
import { type AnsweredPartition, leaderOf, planCalls, requireAllAnswered, UnknownLeaderError } from './send-plan.ts';

export interface TransactionLaneOptions {
  readonly transactionalId: string;
  readonly transactionTimeoutMs: number;
  readonly compression?: CompressionName;
}

/** The key of the record that a fence writes and aborts; no device id begins with `$`. */
export const FENCE_KEY = '$fence';

/**
 * While the markers of one transaction are being written, the first call of the next one is answered CONCURRENT_TRANSACTIONS. With
 * the library's 300 ms that wait is what a transaction takes; from 2 ms on it is 4-14 ms.
 */
const RETRY: RetrySettings = { initialRetryTime: 2, multiplier: 1.5, maxRetryTime: 200, retries: 30 };
/** How long a fence may take: it waits for the coordinator to complete what an earlier owner left open. */
const FENCE_DEADLINE_MS = 30_000;

/** One transactional producer. After any error it is of no use any more: the library's state machine stays where it was. */
export class KafkaTransactionLane implements TransactionLane {
  readonly #options: TransactionLaneOptions;
  readonly #handle: ClusterHandle;
  readonly #producer: Producer;
  readonly #closing = new AbortController();
  #state: 'idle' | 'connected' | 'busy' | 'dead' = 'idle';

  constructor(address: KafkaAddress, options: TransactionLaneOptions) {
    this.#options = options;
    this.#handle = openCluster({ ...address, clientId: `${address.clientId}-${options.transactionalId}` }, RETRY);
    rememberCoordinators(this.#handle);
    const { transactionalId, transactionTimeoutMs: transactionTimeout } = options;
    // Not idempotent: that would take a second producer id, from the controller, which nothing uses.
    this.#producer = createProducerOn(this.#handle, { idempotent: false, retry: RETRY, transactionalId, transactionTimeout });
  }

  fence(to: TopicPartition): Promise<number> {
    const startedAtMs = performance.now();
    return this.#once('fence', FENCE_DEADLINE_MS, async () => {
      const transaction = await this.#begin();
      const [answered] = await this.#send(transaction, [fenceRecord(to)]);
      await transaction.abort();
      const fenceOffset = Number(answered?.baseOffset);
      const { transactionalId } = this.#options;
      transactionalIdFenced({ transactionalId, fenceOffset, tookMs: Math.round(performance.now() - startedAtMs) });
      return fenceOffset;
    });
  }

  async commit(batches: readonly EncodedRecords[]): Promise<void> {
    const filled = batches.filter((batch) => batch.count > 0);
    if (filled.length === 0) return;
    // Later the coordinator has aborted it anyway.
    await this.#once('commit', this.#options.transactionTimeoutMs, async () => {
      const transaction = await this.#begin();
      await this.#send(transaction, filled);
      await transaction.commit();
    });
  }

  isFenced(error: unknown): boolean {
    return isFencedError(error);
  }

  get isClosed(): boolean {
    return this.#state === 'dead';
  }

  async close(): Promise<void> {
    const reason = this.#closedError();
    this.#state = 'dead';
    this.#closing.abort(reason);
    this.#handle.destroy(reason);
  }

  async #begin(): Promise<Transaction> {
    // InitProducerId, which is what fences, is lazy: the library sends it with the first transaction.
    return await this.#producer.transaction();
  }

  /** One leader after the other: with several in one call, a request may still be pending while we abort. */
  async #send(transaction: Transaction, batches: readonly EncodedRecords[]): Promise<AnsweredPartition[]> {
    const { cluster } = this.#handle;
    await cluster.addMultipleTargetTopics([...new Set(batches.map((batch) => batch.topic))]);
    const calls = await this.#plan(batches);
    const compression = compressionType(this.#options.compression ?? 'none');
    const answered: AnsweredPartition[] = [];
    for (const call of calls) {
      const rows: AnsweredPartition[] = await transaction.sendBatch({ acks: -1, compression, topicMessages: asTopicMessages(call) });
      requireAllAnswered(call, rows);
      answered.push(...rows);
    }
    return answered;
  }

  async #plan(batches: readonly EncodedRecords[]): Promise<EncodedRecords[][]> {
    const { cluster } = this.#handle;
    try {
      return planCalls(batches, (batch) => leaderOf(cluster, batch));
    } catch (error) {
      if (!(error instanceof UnknownLeaderError)) throw error;
      await cluster.refreshMetadata();
      return planCalls(batches, (batch) => leaderOf(cluster, batch));
    }
  }

  /** Runs one call at a time before its deadline; any error is the lane's end. */
  async #once<T>(call: 'fence' | 'commit', deadlineMs: number, work: () => Promise<T>): Promise<T> {
    const { transactionalId } = this.#options;
    if (this.#state === 'dead') throw this.#closedError();
    if (this.#state === 'busy')
      throw new IngotError('LANE_BUSY', `transaction lane ${transactionalId}: a second call while one was in flight`);
    const connect = this.#state === 'idle';
    this.#state = 'busy';
    const connected = async () => {
      if (connect) await this.#producer.connect();
      return await work();
    };
    try {
      const onExpired = () => new Error(`no answer within ${deadlineMs / 1000} s`);
      const result = await withDeadline(connected(), { ms: deadlineMs, onExpired, signal: this.#closing.signal });
      this.#state = 'connected';
      return result;
    } catch (error) {
      this.#state = 'dead';
      this.#handle.destroy(new Error(`transaction lane ${transactionalId} has failed`));
      if (this.#closing.signal.aborted) throw this.#closedError();
      transactionCallFailed({ transactionalId, call, fenced: isFencedError(error), error: errorText(error) });
      throw new IngotError('TRANSACTION_IN_DOUBT', `${call} of ${transactionalId} failed: ${errorText(error)}`, { cause: error });
    }
  }

  #closedError(): IngotError {
    return new IngotError('LANE_CLOSED', `transaction lane ${this.#options.transactionalId} is closed`);
  }
}

function fenceRecord(to: TopicPartition): EncodedRecords {
  const encoder = new RecordsEncoder(64);
  const nowMs = Date.now();
  encoder.reset(nowMs);
  encoder.add(Buffer.from(FENCE_KEY), Buffer.alloc(0), nowMs);
  return { ...to, records: encoder.take(), count: 1, baseTimestampMs: nowMs };
}
