import { requestRepeated } from '../ops/kafka-events.ts';
import type { ClusterRequests } from './cluster-requests.ts';
import { type BackOff, backOffMs, pause } from './deadline.ts';
import { CLASSIC, FLEXIBLE } from './field-notation.ts';
import { errorText, isOutage, isTooLargeCode, KAFKA_ERROR, KafkaAnswerError, mayPass, UnansweredError } from './kafka-errors.ts';
import type { Broker } from './kafkajs-internals.ts';
import type { OutgoingBatch } from './outgoing-batch.ts';
import { FIRST_FLEXIBLE_PRODUCE, readProduceAnswer } from './produce-answer.ts';
import { produceBodyBytes, writeProduceBody } from './produce-request.ts';
import { type ProducerIdentity, requestProducerId } from './producer-identity.ts';
import { sharedVersion } from './request-channel.ts';
import { MAX_CALL_BYTES, type PlannedCall, planCalls } from './send-plan.ts';
import { SequenceNumbers } from './sequence-numbers.ts';

export interface ProducerSessionOptions {
  /** Who sends, for the log. */
  readonly name: string;
  /** -1 waits for all replicas, 1 for the leader, 0 for nobody. */
  readonly acks: -1 | 0 | 1;
  /** Null: it is asked for before the first batch. */
  readonly identity: ProducerIdentity | null;
  readonly transactionalId?: string;
  /** Whether the brokers add the partitions to the transaction themselves (transactions of version 2). False when it is not said. */
  readonly addsPartitions?: boolean;
  readonly backOff: BackOff;
  /** How often the same is sent again before an error is given up to. */
  readonly repeatsMax: number;
  /** Whether not even connecting counts as one failed attempt among others. */
  readonly outlastsOutages: boolean;
  /** Where the sequence numbers of each partition begin; for tests of their end. */
  readonly firstSequence?: number;
}

const PRODUCE = { apiKey: 0, apiName: 'Produce', oldest: 3, newest: 7 };
/** By the version alone the broker knows what kind of transaction it is. */
const PRODUCE_THAT_ADDS = { ...PRODUCE, oldest: 12, newest: 12 };
/** How long the broker may wait for its replicas. */
const REPLICAS_DEADLINE_MS = 30_000;
const NO_ACKS = 0;

/**
 * One producer: an identity and the sequence numbers of its batches. One `produce` may be in flight, with one request at a time, and the first
 * batch of a partition that is not acknowledged holds up those behind it. So a sequence number belongs to one batch until that is answered:
 * a batch that is sent again has the same bytes and the same number, and the broker knows it again; a number is used for another one only
 * when the broker has refused the first, at its first sight, for its size.
 */
export class ProducerSession {
  readonly #cluster: ClusterRequests;
  readonly #options: ProducerSessionOptions;
  readonly #sequences: SequenceNumbers;
  #identity: ProducerIdentity | null;
  #isSpent = false;

  constructor(cluster: ClusterRequests, options: ProducerSessionOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#identity = options.identity;
    this.#sequences = new SequenceNumbers(options.firstSequence);
  }

  /** That of the next batch, once there is one. */
  get identity(): ProducerIdentity | null {
    return this.#identity;
  }

  /** Goes on in another epoch, once everything sent before is acknowledged and its transaction ended. */
  continueAs(identity: ProducerIdentity): void {
    this.#identity = identity;
    this.#sequences.restart();
  }

  /** Whether a sequence number may stand in the log for something else than we think: whoever goes on needs a new producer. */
  get isSpent(): boolean {
    return this.#isSpent;
  }

  /**
   * Sends the batches that are waiting until each is acknowledged or refused, or waits behind a refused one for its partition. Rejects when an
   * error does not pass; what is acknowledged by then says so. The session is spent then.
   */
  async produce(batches: readonly OutgoingBatch[]): Promise<void> {
    if (this.#isSpent) throw new Error(`the producer of ${this.#options.name} is used after an error`);
    for (const batch of batches) batch.timesSent = 0;
    for (let repeats = 0; ; repeats++) {
      try {
        await this.#sendWaiting(batches);
        return;
      } catch (error) {
        const { name, backOff, repeatsMax, outlastsOutages } = this.#options;
        const mayRepeat = mayPass(error) || (outlastsOutages && isOutage(error));
        if (repeats >= repeatsMax || this.#cluster.ended.aborted || !mayRepeat) {
          this.#isSpent = true;
          throw error;
        }
        // The markers of the transaction before are still being written: who leads has nothing to do with it.
        if (!isWaitForMarkers(error)) this.#cluster.forgetWhoLeads();
        const retryInMs = backOffMs(repeats + 1, backOff);
        requestRepeated({ sender: name, repeats: repeats + 1, retryInMs, error: errorText(error) });
        await pause(retryInMs, this.#cluster.ended);
      }
    }
  }

  async #sendWaiting(batches: readonly OutgoingBatch[]): Promise<void> {
    const waiting = batches.filter(({ state }) => state === 'waiting');
    if (!this.#cluster.knows(waiting)) await this.#cluster.learn(waiting);
    for (const call of planCalls(waiting, (batch) => this.#cluster.leaderOf(batch))) {
      const refused = batches.filter(({ state }) => state === 'refused');
      const behindNone =
        refused.length === 0 ? call.batches : call.batches.filter((batch) => !refused.some((one) => isSamePartition(one, batch)));
      if (behindNone.length > 0) await this.#sendCall({ leader: call.leader, batches: behindNone });
    }
  }

  /** Throws when one of the batches has to be sent again, or never can be. */
  async #sendCall({ leader, batches }: PlannedCall<OutgoingBatch>): Promise<void> {
    const [first] = batches;
    if (batches.length === 1 && first!.payload.length > MAX_CALL_BYTES) {
      first!.state = 'refused';
      return;
    }
    const broker = this.#cluster.readyLeader(leader) ?? (await this.#cluster.connectLeader(leader));
    this.#identity ??= await requestProducerId(this.#cluster, broker);
    const apiVersion = sharedVersion(broker, this.#options.addsPartitions ? PRODUCE_THAT_ADDS : PRODUCE);
    const answer = await this.#request(broker, apiVersion, batches);
    // Somebody has given up, and what is not acknowledged may be on its way by another producer.
    this.#cluster.ended.throwIfAborted();
    if (this.#options.acks === NO_ACKS) for (const batch of batches) batch.state = 'acknowledged';
    else {
      this.#cluster.throttle(broker, readProduceAnswer(answer, apiVersion, batches));
      this.#judge(batches);
    }
  }

  #request(broker: Broker, apiVersion: number, batches: readonly OutgoingBatch[]): Promise<Buffer> {
    const { acks, transactionalId = null } = this.#options;
    const { producerId, producerEpoch } = this.#identity!;
    const isIdempotent = producerId >= 0;
    for (const batch of batches) {
      batch.firstSequence = isIdempotent ? this.#sequences.next(batch) : -1;
      batch.answeredCode = null;
      batch.timesSent++;
    }
    const isFlexible = apiVersion >= FIRST_FLEXIBLE_PRODUCE;
    const notation = isFlexible ? FLEXIBLE : CLASSIC;
    const call = { notation, batches, transactionalId, producerId, producerEpoch, acks, timeoutMs: REPLICAS_DEADLINE_MS };
    return this.#cluster.send(broker, {
      apiKey: PRODUCE.apiKey,
      apiName: PRODUCE.apiName,
      apiVersion,
      isFlexible,
      isAnswered: acks !== NO_ACKS,
      bodyBytes: produceBodyBytes(call),
      writeBody: (into, at) => void writeProduceBody(into, at, call),
    });
  }

  /** Takes note of what was answered for each; throws the first error: one that does not pass before one that may, and a wait for markers last. */
  #judge(batches: readonly OutgoingBatch[]): void {
    let failure: Error | null = null;
    for (const batch of batches) {
      const error = this.#judgeOne(batch);
      if (error !== null && (failure === null || weightOf(error) > weightOf(failure))) failure = error;
    }
    if (failure !== null) throw failure;
  }

  #judgeOne(batch: OutgoingBatch): Error | null {
    const { answeredCode: code, timesSent } = batch;
    if (code === null) return new UnansweredError(batch);
    // The broker has it and more behind it, which can only be so when an earlier request has brought it.
    const isKnownAgain = code === KAFKA_ERROR.duplicateSequenceNumber && timesSent > 1;
    if (code === KAFKA_ERROR.none || isKnownAgain) {
      if (isKnownAgain) batch.baseOffset = -1;
      batch.state = 'acknowledged';
      this.#sequences.advance(batch, batch.count);
      return null;
    }
    if (isTooLargeCode(code)) {
      batch.state = 'refused';
      // A limit that has been lowered meanwhile: an earlier request may have brought it.
      if (timesSent > 1) this.#isSpent = true;
      return null;
    }
    return new KafkaAnswerError(code, `${batch.topic}-${batch.partition}`);
  }
}

function weightOf(error: Error): number {
  if (!mayPass(error)) return 2;
  return isWaitForMarkers(error) ? 0 : 1;
}

function isWaitForMarkers(error: unknown): boolean {
  return error instanceof KafkaAnswerError && error.code === KAFKA_ERROR.concurrentTransactions;
}

function isSamePartition(one: OutgoingBatch, other: OutgoingBatch): boolean {
  return one.partition === other.partition && one.topic === other.topic;
}
