import { IngotError } from '../errors.ts';
import { produceGivenUp, produceRepeated } from '../ops/kafka-events.ts';
import { ClusterRequests } from './cluster-requests.ts';
import { type CompressionName, codecNamed } from './compression.ts';
import { backOffMs, pause, withDeadline } from './deadline.ts';
import { errorText, KafkaAnswerError } from './kafka-errors.ts';
import { type ClusterHandle, type KafkaAddress, openCluster, type RetrySettings } from './kafkajs-internals.ts';
import type { EncodedRecords, ProduceLane } from './log-port.ts';
import { type OutgoingBatch, outgoingBatches } from './outgoing-batch.ts';
import { NO_IDENTITY } from './producer-identity.ts';
import { ProducerSession } from './producer-session.ts';

export interface ProduceLaneOptions {
  readonly name: string;
  readonly acks: 'all' | 'leader' | 'none';
  readonly compression?: CompressionName;
}

const ACKS = { all: -1, leader: 1, none: 0 } as const;

/**
 * Inside one producer the same is sent again with the same sequence numbers, so that the broker removes duplicates: worth trying for as
 * long as a broker needs to restart.
 */
const REPEATS_MAX = 15;
const REPEAT_BACK_OFF = { firstMs: 20, maxMs: 1_000 };
/** For metadata and connections, which are the library's. */
const CLUSTER_RETRY: RetrySettings = { initialRetryTime: 50, maxRetryTime: 500, retries: 3 };
/** A send that takes longer with one producer hangs: the time limit of a request is 30 s. */
const CALL_DEADLINE_MS = 120_000;
/** How often that is looked at: a timer for each of a hundred sends a second would cost more than it tells. */
const WATCH_INTERVAL_MS = 5_000;
/** Between one producer and the next. */
const BACK_OFF = { firstMs: 50, maxMs: 2_000 };

interface OpenProducer {
  readonly handle: ClusterHandle;
  readonly session: ProducerSession;
  readonly watch: NodeJS.Timeout;
}

/**
 * One producer with one send in flight. After an error that did not pass the producer is thrown away and the records that are not
 * acknowledged go to a new one: whether they are in the log nobody knows, so their sequence numbers may not be used for others.
 */
export class KafkaProduceLane implements ProduceLane {
  readonly #address: KafkaAddress;
  readonly #options: ProduceLaneOptions;
  readonly #closing = new AbortController();
  #open: OpenProducer | null = null;
  /** performance.now() when the producer that is open was given something to send. */
  #sendingSinceMs: number | null = null;
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
    const outgoing = await outgoingBatches(batches, codecNamed(this.#options.compression ?? 'none'));
    if (outgoing.length === 0) return;
    for (let attempt = 1; ; attempt++) {
      if (this.#closing.signal.aborted) throw this.#closedError();
      this.#open ??= this.#openProducer();
      try {
        this.#sendingSinceMs = performance.now();
        await this.#open.session.produce(outgoing);
        break;
      } catch (error) {
        this.#discardProducer(new Error('the producer is replaced after a rejected send'));
        if (this.#closing.signal.aborted) throw this.#closedError();
        const retryInMs = backOffMs(attempt, BACK_OFF);
        produceRepeated({ lane: this.#options.name, attempt, retryInMs, error: errorText(error) });
        await pause(retryInMs, this.#closing.signal);
      } finally {
        this.#sendingSinceMs = null;
      }
    }
    const refused = outgoing.find(({ state }) => state === 'refused');
    if (refused !== undefined) this.#refuse(refused, outgoing);
  }

  /** Everything else was appended, but for what lies behind it for its partition. */
  #refuse(refused: OutgoingBatch, outgoing: readonly OutgoingBatch[]): never {
    // In most cases the producer stays: everything that was appended is acknowledged, so no sequence number is used for something else.
    if (this.#open?.session.isSpent === true) this.#discardProducer(new Error('the producer is replaced after a refusal'));
    const pending = outgoing.filter(({ state }) => state !== 'acknowledged').map(({ place }) => place);
    const error = tooLarge(refused, pending);
    produceGivenUp({ lane: this.#options.name, reason: errorText(error) });
    throw error;
  }

  #openProducer(): OpenProducer {
    const { name, acks } = this.#options;
    const handle = openCluster(this.#address, CLUSTER_RETRY);
    const session = new ProducerSession(new ClusterRequests(handle), {
      name,
      acks: ACKS[acks],
      // Idempotence needs acks=all; with less the user has chosen speed over certainty.
      identity: acks === 'all' ? null : NO_IDENTITY,
      repeatsMax: REPEATS_MAX,
      // A new producer could not tell what the broker has from before.
      outlastsOutages: true,
      backOff: REPEAT_BACK_OFF,
    });
    const watch = setInterval(() => this.#breakWhenHanging(handle), WATCH_INTERVAL_MS).unref();
    return { handle, session, watch };
  }

  /** Broken connections reject whatever is waited for, so the send goes on with a new producer. */
  #breakWhenHanging(handle: ClusterHandle): void {
    if (this.#sendingSinceMs === null || performance.now() - this.#sendingSinceMs < CALL_DEADLINE_MS) return;
    handle.destroy(new Error(`Kafka did not answer within ${CALL_DEADLINE_MS / 1000} s`));
  }

  #discardProducer(reason: Error): void {
    if (this.#open === null) return;
    clearInterval(this.#open.watch);
    this.#open.handle.destroy(reason);
    this.#open = null;
  }

  #closedError(): IngotError {
    return new IngotError('LANE_CLOSED', `lane ${this.#options.name} is closed`);
  }
}

/** pending: the places of the batches that were not appended, in the order of `send`. */
function tooLarge({ source, answeredCode }: OutgoingBatch, pending: readonly number[]): IngotError {
  const { topic, partition, count, records } = source;
  const what = count === 1 ? 'a record' : `a batch of ${count} records`;
  return new IngotError('RECORD_TOO_LARGE', `${what} of ${records.length} bytes is larger than ${topic}-${partition} accepts`, {
    cause: answeredCode === null ? null : new KafkaAnswerError(answeredCode, `${topic}-${partition}`),
    details: { topicPartition: { topic, partition }, count, pending },
  });
}
