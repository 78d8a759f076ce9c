import type { Producer } from 'kafkajs';
import { IngotError } from '../errors.ts';
import { produceGivenUp, produceRepeated } from '../ops/kafka-events.ts';
import { type CompressionName, compressionType } from './compression.ts';
import { backOffMs, pause, withDeadline } from './deadline.ts';
import { errorText, isTooLargeError } from './kafka-errors.ts';
import { type ClusterHandle, createProducerOn, type KafkaAddress, openCluster, type RetrySettings } from './kafkajs-internals.ts';
import type { EncodedRecords, ProduceLane } from './log-port.ts';
import { asTopicMessages } from './pre-encoded-messages.ts';
import { leaderOf, MAX_CALL_BYTES, planCalls, requireAllAnswered } from './send-plan.ts';

export interface ProduceLaneOptions {
  readonly name: string;
  readonly acks: 'all' | 'leader' | 'none';
  readonly compression?: CompressionName;
}

const ACKS = { all: -1, leader: 1, none: 0 } as const;

/**
 * Inside one producer the library repeats with the same sequence numbers, so that the broker removes duplicates: worth trying for
 * as long as a broker needs to restart. It must be set: the "infinite retries" that the library documents are 5.
 */
const RETRY: RetrySettings = { initialRetryTime: 20, maxRetryTime: 1_000, retries: 15 };
const CLUSTER_RETRY: RetrySettings = { initialRetryTime: 50, maxRetryTime: 500, retries: 3 };
/** A call that takes longer hangs: the library's own limits are 30 s per request. */
const CALL_DEADLINE_MS = 120_000;
const BACK_OFF = { firstMs: 50, maxMs: 2_000 };

interface OpenProducer {
  readonly handle: ClusterHandle;
  readonly producer: Producer;
  /** Of which the library keeps the metadata up to date. */
  readonly topics: Set<string>;
}

/**
 * One producer with one send in flight. After a rejected send the producer is thrown away and the records go to a new one: the library
 * reuses sequence numbers after an error, and the broker would take new records for those it already has. Only a batch that is too large
 * leaves the producer as it was, see `#sendUntilAcknowledged`.
 */
export class KafkaProduceLane implements ProduceLane {
  readonly #address: KafkaAddress;
  readonly #options: ProduceLaneOptions;
  readonly #closing = new AbortController();
  #open: OpenProducer | null = null;
  #sending: Promise<void> | null = null;

  constructor(address: KafkaAddress, options: ProduceLaneOptions) {
    this.#address = { ...address, clientId: `${address.clientId}-${options.name}` };
    this.#options = options;
  }

  async send(batches: readonly EncodedRecords[]): Promise<void> {
    if (this.#closing.signal.aborted) throw this.#closedError();
    if (this.#sending !== null) throw new IngotError('LANE_BUSY', `lane ${this.#options.name}: send was called while one was in flight`);
    const sending = this.#sendUntilAcknowledged(batches);
    this.#sending = sending;
    try {
      await sending;
    } finally {
      this.#sending = null;
    }
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  async close(deadlineMs: number): Promise<void> {
    const sending = this.#sending;
    if (sending !== null) {
      const expired = () => new Error('the deadline for closing is over');
      await withDeadline(sending, { ms: deadlineMs, onExpired: expired }).catch(() => undefined);
    }
    this.#closing.abort(this.#closedError());
    this.#discardProducer(this.#closedError());
    await sending?.catch(() => undefined);
  }

  async #sendUntilAcknowledged(batches: readonly EncodedRecords[]): Promise<void> {
    const pending = new Set(batches.filter((batch) => batch.count > 0));
    let oneByOne = false;
    for (let attempt = 1; pending.size > 0; attempt++) {
      let refusal: Refusal | null = null;
      try {
        refusal = await this.#sendPending(pending, oneByOne);
      } catch (error) {
        const isClosing = this.#closing.signal.aborted;
        if (isTooLargeError(error) && !isClosing) {
          // The answer does not tell which partition: each is sent alone. By the same producer and with the same sequence numbers, so that the
          // broker knows those again that it has appended; with fewer acks than all there are none, and those are there twice.
          oneByOne = true;
          continue;
        }
        this.#discardProducer(new Error('the producer is replaced after a rejected send'));
        if (isClosing) throw this.#closedError();
        const retryInMs = backOffMs(attempt, BACK_OFF);
        produceRepeated({ lane: this.#options.name, attempt, retryInMs, error: errorText(error) });
        await pause(retryInMs, this.#closing.signal);
      }
      if (refusal !== null) {
        // The producer stays: everything that was appended is acknowledged, so no sequence number is used for something else.
        const error = tooLarge(
          refusal,
          batches.flatMap((batch, at) => (pending.has(batch) ? [at] : [])),
        );
        produceGivenUp({ lane: this.#options.name, reason: errorText(error) });
        throw error;
      }
    }
  }

  /**
   * Sends what is left, one leader after the other, and removes from `pending` what was acknowledged. What is too large alone stays, and what
   * lies behind it for the same partition, whose order must not change; resolves with the first of those.
   */
  async #sendPending(pending: Set<EncodedRecords>, oneByOne: boolean): Promise<Refusal | null> {
    const { handle, producer, topics } = this.#open ?? (await this.#openProducer());
    const newTopics = [...pending].map(({ topic }) => topic).filter((topic) => !topics.has(topic));
    if (newTopics.length > 0) {
      await this.#beforeDeadline(handle.cluster.addMultipleTargetTopics(newTopics));
      for (const topic of newTopics) topics.add(topic);
    }
    const planned = planCalls([...pending], (batch) => leaderOf(handle.cluster, batch));
    const calls = oneByOne ? planned.flat().map((batch) => [batch]) : planned;
    const refusals = new Map<string, Refusal>();
    for (const all of calls) {
      const call = all.filter((batch) => !refusals.has(partitionName(batch)));
      const refusal = call.length === 0 ? null : await this.#sendCall(producer, call);
      if (refusal === null) for (const batch of call) pending.delete(batch);
      else refusals.set(partitionName(refusal.batch), refusal);
    }
    const [first] = refusals.values();
    return first ?? null;
  }

  /** Resolves with a refusal when the call is of one batch and that is too large. */
  async #sendCall(producer: Producer, call: readonly EncodedRecords[]): Promise<Refusal | null> {
    const only = call.length === 1 ? call[0]! : null;
    if (only !== null && only.records.length > MAX_CALL_BYTES) return { batch: only, cause: null };
    const acks = ACKS[this.#options.acks];
    const compression = compressionType(this.#options.compression ?? 'none');
    try {
      const answered = await this.#beforeDeadline(producer.sendBatch({ acks, compression, topicMessages: asTopicMessages(call) }));
      if (acks !== ACKS.none) requireAllAnswered(call, answered);
      return null;
    } catch (error) {
      if (only !== null && isTooLargeError(error)) return { batch: only, cause: error };
      throw error;
    }
  }

  async #openProducer(): Promise<OpenProducer> {
    const handle = openCluster(this.#address, CLUSTER_RETRY);
    // Idempotence needs acks=all; with less the user has chosen speed over certainty.
    const producer = createProducerOn(handle, { idempotent: this.#options.acks === 'all', retry: RETRY });
    const open = { handle, producer, topics: new Set<string>() };
    this.#open = open;
    await this.#beforeDeadline(producer.connect());
    return open;
  }

  #beforeDeadline<T>(work: Promise<T>): Promise<T> {
    const onExpired = () => new Error(`Kafka did not answer within ${CALL_DEADLINE_MS / 1000} s`);
    return withDeadline(work, { ms: CALL_DEADLINE_MS, onExpired, signal: this.#closing.signal });
  }

  #discardProducer(reason: Error): void {
    this.#open?.handle.destroy(reason);
    this.#open = null;
  }

  #closedError(): IngotError {
    return new IngotError('LANE_CLOSED', `lane ${this.#options.name} is closed`);
  }
}

/** A batch that is too large alone, and the broker's error. */
interface Refusal {
  readonly batch: EncodedRecords;
  readonly cause: unknown;
}

function partitionName({ topic, partition }: EncodedRecords): string {
  return `${topic}-${partition}`;
}

/** pending: the places of the batches that were not appended, in the order of `send`. */
function tooLarge({ batch, cause }: Refusal, pending: readonly number[]): IngotError {
  const { topic, partition, count } = batch;
  const what = count === 1 ? 'a record' : `a batch of ${count} records`;
  return new IngotError('RECORD_TOO_LARGE', `${what} of ${batch.records.length} bytes is larger than ${topic}-${partition} accepts`, {
    cause,
    details: { topicPartition: { topic, partition }, count, pending },
  });
}
