import { requestRepeated } from '../ops/kafka-events.ts';
import type { ClusterRequests } from './cluster-requests.ts';
import { type BackOff, backOffMs, pause } from './deadline.ts';
import { errorText, KAFKA_ERROR, KafkaAnswerError, mayPass } from './kafka-errors.ts';
import type { Broker } from './kafkajs-internals.ts';
import { initProducerIdRequest, type ProducerIdentity, readInitProducerIdAnswer } from './producer-identity.ts';
import { type EncodedRequest, sharedVersion } from './request-channel.ts';
import { afterString, stringBytes, writeString } from './request-writer.ts';

// What a transactional producer asks of its coordinator, beside the Produce requests: who it is, which partitions the transaction writes to,
// and its end (versions 0 and 1, which are alike).

const ADD_PARTITIONS = { apiKey: 24, apiName: 'AddPartitionsToTxn', oldest: 0, newest: 1 };
const END = { apiKey: 26, apiName: 'EndTxn', oldest: 0, newest: 1 };
/** From here on the broker answers first and the client has to wait; before, the broker waited itself. */
const FIRST_VERSION_THAT_THROTTLES_US = 1;

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

export interface TransactionCallsOptions {
  readonly transactionalId: string;
  /** After so long without an end the coordinator aborts. */
  readonly timeoutMs: number;
  readonly backOff: BackOff;
  readonly repeatsMax: number;
}

interface CoordinatorCall {
  readonly apiName: string;
  readonly encode: (broker: Broker) => EncodedRequest;
  readonly codeIn: (answer: Buffer) => number;
  /** Whether it may be sent again when nobody knows what became of it. */
  readonly isSafeTwice: boolean;
}

export class TransactionCalls {
  readonly #cluster: ClusterRequests;
  readonly #options: TransactionCallsOptions;

  constructor(cluster: ClusterRequests, options: TransactionCallsOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Shuts earlier owners of the transactional id out; waits for the coordinator to end what they have left open. */
  async init(): Promise<ProducerIdentity> {
    const { transactionalId: id, timeoutMs } = this.#options;
    const answer = await this.#untilTaken({
      apiName: 'InitProducerId',
      encode: (broker) => initProducerIdRequest(broker, { id, timeoutMs }),
      codeIn: (bytes) => readInitProducerIdAnswer(bytes).code,
      isSafeTwice: false,
    });
    return readInitProducerIdAnswer(answer).identity;
  }

  /** Begins a transaction that writes to these partitions. */
  async addPartitions(identity: ProducerIdentity, partitions: readonly { topic: string; partition: number }[]): Promise<void> {
    const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
    const numbers = [...byTopic].map(([topic, of]) => ({ topic, partitions: [...new Set(of.map(({ partition }) => partition))] }));
    await this.#untilTaken({
      apiName: ADD_PARTITIONS.apiName,
      encode: (broker) => this.#addPartitionsRequest(broker, identity, numbers),
      codeIn: codeOfAddPartitions,
      isSafeTwice: true,
    });
  }

  /** Commits or aborts. A rejection says nothing about whether it did. */
  async end(identity: ProducerIdentity, how: 'commit' | 'abort'): Promise<void> {
    const { transactionalId } = this.#options;
    await this.#untilTaken({
      apiName: END.apiName,
      encode: (broker) => ({
        apiKey: END.apiKey,
        apiName: END.apiName,
        apiVersion: sharedVersion(broker, END),
        isAnswered: true,
        bodyBytes: stringBytes(transactionalId) + 8 + 2 + 1,
        writeBody: (into, at) => void into.writeInt8(how === 'commit' ? 1 : 0, writeOwner(into, at, { transactionalId, identity })),
      }),
      codeIn: (answer) => answer.readInt16BE(4),
      isSafeTwice: false,
    });
  }

  /** transactional_id producer_id producer_epoch [topic [partition]] */
  #addPartitionsRequest(
    broker: Broker,
    identity: ProducerIdentity,
    topics: readonly { topic: string; partitions: readonly number[] }[],
  ): EncodedRequest {
    const { transactionalId } = this.#options;
    let bodyBytes = stringBytes(transactionalId) + 8 + 2 + 4;
    for (const { topic, partitions } of topics) bodyBytes += stringBytes(topic) + 4 + 4 * partitions.length;
    const writeBody = (into: Buffer, start: number): void => {
      let at = into.writeInt32BE(topics.length, writeOwner(into, start, { transactionalId, identity }));
      for (const { topic, partitions } of topics) {
        at = into.writeInt32BE(partitions.length, writeString(into, at, topic));
        for (const partition of partitions) at = into.writeInt32BE(partition, at);
      }
    };
    const { apiKey, apiName } = ADD_PARTITIONS;
    return { apiKey, apiName, apiVersion: sharedVersion(broker, ADD_PARTITIONS), isAnswered: true, bodyBytes, writeBody };
  }

  /** Asks the coordinator until it has done it; resolves with its answer. */
  async #untilTaken(call: CoordinatorCall): Promise<Buffer> {
    const { transactionalId: sender, backOff, repeatsMax } = this.#options;
    for (let repeats = 0; ; repeats++) {
      const isLast = repeats >= repeatsMax || this.#cluster.ended.aborted;
      const retryInMs = backOffMs(repeats + 1, backOff);
      try {
        const answer = await this.#ask(call);
        const code = call.codeIn(answer);
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

  async #ask({ encode }: CoordinatorCall): Promise<Buffer> {
    const { transactionalId } = this.#options;
    const broker = this.#cluster.readyCoordinator() ?? (await this.#cluster.connectCoordinator(transactionalId));
    const request = encode(broker);
    const answer = await this.#cluster.send(broker, request);
    // All three answers begin with it.
    if (request.apiVersion >= FIRST_VERSION_THAT_THROTTLES_US) this.#cluster.throttle(broker, answer.readInt32BE(0));
    return answer;
  }
}

function mayAskAgain(error: unknown, { isSafeTwice }: CoordinatorCall): boolean {
  if (error instanceof KafkaAnswerError) return REPEATED_CODES.includes(error.code);
  return isSafeTwice && mayPass(error);
}

/** transactional_id producer_id producer_epoch */
function writeOwner(into: Buffer, start: number, owner: { transactionalId: string; identity: ProducerIdentity }): number {
  const at = into.writeBigInt64BE(BigInt(owner.identity.producerId), writeString(into, start, owner.transactionalId));
  return into.writeInt16BE(owner.identity.producerEpoch, at);
}

/** throttle_time [topic [partition error_code]]: the first error that is not a consequence of another. */
function codeOfAddPartitions(answer: Buffer): number {
  let code: number = KAFKA_ERROR.none;
  let at = 8;
  for (let topics = answer.readInt32BE(4); topics > 0; topics--) {
    at = afterString(answer, at);
    let partitions = answer.readInt32BE(at);
    for (at += 4; partitions > 0; partitions--, at += 6) {
      const found = answer.readInt16BE(at + 4);
      if (code === KAFKA_ERROR.none || code === KAFKA_ERROR.operationNotAttempted) code = found === KAFKA_ERROR.none ? code : found;
    }
  }
  return code;
}
