import { requestRepeated } from '../ops/kafka-events.ts';
import type { ClusterRequests } from './cluster-requests.ts';
import { type BackOff, backOffMs, pause } from './deadline.ts';
import { errorText, KAFKA_ERROR, KafkaAnswerError, mayPass } from './kafka-errors.ts';
import type { Broker } from './kafkajs-internals.ts';
import { initProducerIdRequest, type ProducerIdentity, readInitProducerIdAnswer } from './producer-identity.ts';
import type { EncodedRequest } from './request-channel.ts';
import { addPartitionsRequest, endRequest, readAddPartitionsAnswer, readEndAnswer } from './transaction-requests.ts';
import { apiVersionsRequest, readApiVersionsAnswer, type TransactionVersion } from './transaction-version.ts';

// What a transactional producer asks of its coordinator, beside the Produce requests: who it is, how transactions are spoken, which partitions
// a transaction of version 1 writes to, and its end.

/**
 * Answers after which the same is asked again, since nothing was done: the markers of the transaction before are still being written, the
 * coordinator is starting or has moved, or has not heard of a new topic yet.
 */
const REPEATED_CODES: readonly number[] = [
  KAFKA_ERROR.concurrentTransactions,
  KAFKA_ERROR.coordinatorLoading,
  KAFKA_ERROR.coordinatorNotAvailable,
  KAFKA_ERROR.notCoordinator,
  KAFKA_ERROR.unknownTopicOrPartition,
];
/** From here on the broker answers first and the client has to wait; before, the broker waited itself. */
const FIRST_VERSION_THAT_THROTTLES_US = 1;

export interface TransactionCallsOptions {
  readonly transactionalId: string;
  /** After so long without an end the coordinator aborts. */
  readonly timeoutMs: number;
  readonly backOff: BackOff;
  readonly repeatsMax: number;
}

interface CoordinatorCall<Answer> {
  readonly apiName: string;
  readonly encode: (broker: Broker) => EncodedRequest;
  readonly read: (answer: Buffer, apiVersion: number) => Answer;
  /** Whether it may be sent again when nobody knows what became of it. */
  readonly isSafeTwice: boolean;
}

interface CoordinatorAnswer {
  readonly code: number;
  readonly throttleTimeMs: number;
}

export class TransactionCalls {
  readonly #cluster: ClusterRequests;
  readonly #options: TransactionCallsOptions;
  #version: TransactionVersion = 1;
  /** The connection on which the version was last asked for. */
  #askedOn: object | null = null;

  constructor(cluster: ClusterRequests, options: TransactionCallsOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** How transactions are spoken, as it was when `init` was called. */
  get version(): TransactionVersion {
    return this.#version;
  }

  /** Shuts earlier owners of the transactional id out; waits for the coordinator to end what they have left open. */
  async init(): Promise<ProducerIdentity> {
    this.#version = await this.#askVersion();
    const { transactionalId: id, timeoutMs } = this.#options;
    const { identity } = await this.#untilTaken({
      apiName: 'InitProducerId',
      encode: (broker) => initProducerIdRequest(broker, { id, timeoutMs }),
      read: readInitProducerIdAnswer,
      isSafeTwice: false,
    });
    return identity;
  }

  /**
   * Begins a transaction that writes to these partitions. Rejects when the cluster speaks of transactions in another way since: the epochs of
   * the one and the other do not follow upon each other, so whoever goes on has to fence first.
   */
  async begin(identity: ProducerIdentity, partitions: readonly { topic: string; partition: number }[]): Promise<void> {
    const version = await this.#currentVersion();
    if (version !== this.#version) throw new Error(`transactions were of version ${this.#version} and are now of version ${version}`);
    if (version === 2) return;
    const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
    const topics = [...byTopic].map(([topic, of]) => ({ topic, partitions: [...new Set(of.map(({ partition }) => partition))] }));
    const { transactionalId } = this.#options;
    await this.#untilTaken({
      apiName: 'AddPartitionsToTxn',
      encode: (broker) => addPartitionsRequest(broker, { transactionalId, identity }, topics),
      read: readAddPartitionsAnswer,
      isSafeTwice: true,
    });
  }

  /**
   * Commits or aborts; resolves with who writes the next transaction. A rejection says nothing about whether it did. In version 2 the
   * coordinator knows an end again that it has done already, by its epoch; in version 1 nothing tells it from that of the next transaction.
   */
  async end(identity: ProducerIdentity, how: 'commit' | 'abort'): Promise<ProducerIdentity> {
    const version = this.#version;
    const { transactionalId } = this.#options;
    const { next } = await this.#untilTaken({
      apiName: 'EndTxn',
      encode: (broker) => endRequest(broker, { transactionalId, identity }, { how, version }),
      read: readEndAnswer,
      isSafeTwice: version === 2,
    });
    return next ?? identity;
  }

  /** On each new connection to the coordinator the answer may be another one. */
  async #currentVersion(): Promise<TransactionVersion> {
    const { coordinatorConnection } = this.#cluster;
    const isAsked = coordinatorConnection !== null && coordinatorConnection === this.#askedOn;
    return isAsked ? this.#version : await this.#askVersion();
  }

  async #askVersion(): Promise<TransactionVersion> {
    const { version } = await this.#untilTaken({
      apiName: 'ApiVersions',
      encode: (broker) => {
        this.#askedOn = this.#cluster.coordinatorConnection;
        return apiVersionsRequest(broker);
      },
      read: readApiVersionsAnswer,
      isSafeTwice: true,
    });
    return version;
  }

  /** Asks the coordinator until it has done it; resolves with its answer. */
  async #untilTaken<Answer extends CoordinatorAnswer>(call: CoordinatorCall<Answer>): Promise<Answer> {
    const { transactionalId: sender, backOff, repeatsMax } = this.#options;
    for (let repeats = 0; ; repeats++) {
      const isLast = repeats >= repeatsMax || this.#cluster.ended.aborted;
      const retryInMs = backOffMs(repeats + 1, backOff);
      try {
        const answer = await this.#ask(call);
        const { code } = answer;
        if (code === KAFKA_ERROR.none) return answer;
        // A wait that belongs to most transactions under load: no error is made for it.
        if (code !== KAFKA_ERROR.concurrentTransactions || isLast) throw new KafkaAnswerError(code, call.apiName);
      } catch (error) {
        if (isLast || !mayAskAgain(error, call)) throw error;
        this.#cluster.forgetWhoLeads();
        requestRepeated({ sender, repeats: repeats + 1, retryInMs, error: errorText(error) });
      }
      await pause(retryInMs, this.#cluster.ended);
    }
  }

  async #ask<Answer extends CoordinatorAnswer>({ encode, read }: CoordinatorCall<Answer>): Promise<Answer> {
    const { transactionalId } = this.#options;
    const broker = this.#cluster.readyCoordinator() ?? (await this.#cluster.connectCoordinator(transactionalId));
    const request = encode(broker);
    const answer = read(await this.#cluster.send(broker, request), request.apiVersion);
    if (request.apiVersion >= FIRST_VERSION_THAT_THROTTLES_US) this.#cluster.throttle(broker, answer.throttleTimeMs);
    return answer;
  }
}

function mayAskAgain(error: unknown, { isSafeTwice }: { readonly isSafeTwice: boolean }): boolean {
  if (error instanceof KafkaAnswerError) return REPEATED_CODES.includes(error.code);
  return isSafeTwice && mayPass(error);
}
