import { RecordsEncoder } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import { transactionalIdFenced, transactionCallFailed } from '../ops/kafka-events.ts';
import { ClusterRequests } from './cluster-requests.ts';
import { type CompressionName, codecNamed } from './compression.ts';
import { pause, withDeadline } from './deadline.ts';
import { errorText, isFencedError, KafkaAnswerError } from './kafka-errors.ts';
import { type ClusterHandle, type KafkaAddress, openCluster, type RetrySettings } from './kafkajs-internals.ts';
import type { EncodedRecords, TopicPartition, TransactionLane } from './log-port.ts';
import { type OutgoingBatch, outgoingBatches } from './outgoing-batch.ts';
import { ProducerSession } from './producer-session.ts';
import { TransactionCalls } from './transaction-calls.ts';

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
const BACK_OFF = { firstMs: 2, maxMs: 200, multiplier: 1.5 };
const REPEATS_MAX = 30;
/**
 * In transactions of version 2 it is the broker that waits for those markers, in steps of 20 ms (add.partitions.to.txn.retry.backoff.ms), so
 * after an end nothing is sent for as long as they usually take.
 */
const REST_MS = 4;
/** For metadata, connections and the look-up of the coordinator, which are the library's. */
const CLUSTER_RETRY: RetrySettings = { initialRetryTime: 2, multiplier: 1.5, maxRetryTime: 200, retries: 30 };
/** How long a fence may take: it waits for the coordinator to complete what an earlier owner left open. */
const FENCE_DEADLINE_MS = 30_000;

/** One transactional producer. After any error it is of no use any more: whether the transaction is open, and what is in it, nobody knows. */
export class KafkaTransactionLane implements TransactionLane {
  readonly #options: TransactionLaneOptions;
  readonly #handle: ClusterHandle;
  readonly #cluster: ClusterRequests;
  readonly #calls: TransactionCalls;
  readonly #closing = new AbortController();
  #producer: ProducerSession | null = null;
  /** On the clock of performance.now(). */
  #restUntilMs = 0;
  #state: 'idle' | 'busy' | 'dead' = 'idle';

  constructor(address: KafkaAddress, options: TransactionLaneOptions) {
    this.#options = options;
    const { transactionalId, transactionTimeoutMs: timeoutMs } = options;
    this.#handle = openCluster({ ...address, clientId: `${address.clientId}-${transactionalId}` }, CLUSTER_RETRY);
    this.#cluster = new ClusterRequests(this.#handle);
    this.#calls = new TransactionCalls(this.#cluster, { transactionalId, timeoutMs, backOff: BACK_OFF, repeatsMax: REPEATS_MAX });
  }

  fence(to: TopicPartition): Promise<number> {
    const startedAtMs = performance.now();
    return this.#once('fence', FENCE_DEADLINE_MS, async () => {
      const [written] = await this.#transact([fenceRecord(to)], 'abort');
      const fenceOffset = written!.baseOffset;
      if (fenceOffset < 0) throw new Error('the log does not say where it has put the fence');
      const { transactionalId } = this.#options;
      transactionalIdFenced({ transactionalId, fenceOffset, tookMs: Math.round(performance.now() - startedAtMs) });
      return fenceOffset;
    });
  }

  async commit(batches: readonly EncodedRecords[]): Promise<void> {
    if (batches.every(({ count }) => count === 0)) return;
    // Later the coordinator has aborted it anyway.
    await this.#once('commit', this.#options.transactionTimeoutMs, () => this.#transact(batches, 'commit'));
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

  /** One transaction with these batches, from its beginning to its end. */
  async #transact(batches: readonly EncodedRecords[], end: 'commit' | 'abort'): Promise<OutgoingBatch[]> {
    const outgoing = await outgoingBatches(batches, codecNamed(this.#options.compression ?? 'none'));
    // Later the session looks for what it does not know, as often as it takes.
    if (this.#producer === null) await this.#cluster.learn(outgoing);
    this.#producer ??= await this.#initProducer();
    const session = this.#producer;
    const identity = session.identity!;
    await this.#calls.begin(identity, outgoing);
    const restMs = this.#restUntilMs - performance.now();
    if (restMs > 0) await pause(restMs, this.#closing.signal);
    await session.produce(outgoing);
    const refused = outgoing.find(({ state }) => state === 'refused');
    if (refused !== undefined) throw tooLarge(refused);
    const next = await this.#calls.end(identity, end);
    if (this.#calls.version === 2) {
      session.continueAs(next);
      this.#restUntilMs = performance.now() + REST_MS;
    }
    return outgoing;
  }

  /** What fences: from here on no earlier owner gets anything in. */
  async #initProducer(): Promise<ProducerSession> {
    const identity = await this.#calls.init();
    const { transactionalId } = this.#options;
    const repeating = { backOff: BACK_OFF, repeatsMax: REPEATS_MAX, outlastsOutages: false };
    const addsPartitions = this.#calls.version === 2;
    const options = { name: transactionalId, acks: -1, identity, transactionalId, addsPartitions, ...repeating } as const;
    return new ProducerSession(this.#cluster, options);
  }

  /** Runs one call at a time before its deadline; any error is the lane's end. */
  async #once<T>(call: 'fence' | 'commit', deadlineMs: number, work: () => Promise<T>): Promise<T> {
    const { transactionalId } = this.#options;
    if (this.#state === 'dead') throw this.#closedError();
    if (this.#state === 'busy')
      throw new IngotError('LANE_BUSY', `transaction lane ${transactionalId}: a second call while one was in flight`);
    this.#state = 'busy';
    try {
      const onExpired = () => new Error(`no answer within ${deadlineMs / 1000} s`);
      const result = await withDeadline(work(), { ms: deadlineMs, onExpired, signal: this.#closing.signal });
      this.#state = 'idle';
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

function tooLarge({ topic, partition, payload, answeredCode }: OutgoingBatch): Error {
  const where = `${payload.length} bytes for ${topic}-${partition}`;
  return answeredCode === null ? new Error(`${where} are too large for a request`) : new KafkaAnswerError(answeredCode, where);
}

function fenceRecord(to: TopicPartition): EncodedRecords {
  const encoder = new RecordsEncoder(64);
  const nowMs = Date.now();
  encoder.reset(nowMs);
  encoder.add(Buffer.from(FENCE_KEY), Buffer.alloc(0), nowMs);
  return { ...to, records: encoder.take(), count: 1, baseTimestampMs: nowMs };
}
