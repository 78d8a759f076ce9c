import { readInt64 } from '../core/batch-layout.ts';
import type { ClusterRequests } from './cluster-requests.ts';
import { KAFKA_ERROR, KafkaAnswerError } from './kafka-errors.ts';
import type { Broker } from './kafkajs-internals.ts';
import { type EncodedRequest, sharedVersion } from './request-channel.ts';
import { stringBytes, writeString } from './request-writer.ts';

// InitProducerId (versions 0 and 1): what a producer is called in its batches. With a transactional id it also shuts earlier owners of
// that out, and ends what they have left open.

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** Of a producer without sequence numbers. */
export const NO_IDENTITY: ProducerIdentity = { producerId: -1, producerEpoch: -1 };

const INIT_PRODUCER_ID = { apiKey: 22, apiName: 'InitProducerId', oldest: 0, newest: 1 };
/** Without a transactional id it means nothing. */
const UNUSED_TIMEOUT_MS = 60_000;

/** throttle_time error_code producer_id producer_epoch */
export interface InitProducerIdAnswer {
  readonly throttleTimeMs: number;
  readonly code: number;
  readonly identity: ProducerIdentity;
}

export function initProducerIdRequest(broker: Broker, transaction: { id: string | null; timeoutMs: number }): EncodedRequest {
  const { apiKey, apiName } = INIT_PRODUCER_ID;
  return {
    apiKey,
    apiName,
    apiVersion: sharedVersion(broker, INIT_PRODUCER_ID),
    isAnswered: true,
    bodyBytes: stringBytes(transaction.id) + 4,
    writeBody: (into, at) => void into.writeInt32BE(transaction.timeoutMs, writeString(into, at, transaction.id)),
  };
}

export function readInitProducerIdAnswer(answer: Buffer): InitProducerIdAnswer {
  const identity = { producerId: readInt64(answer, 6), producerEpoch: answer.readInt16BE(14) };
  return { throttleTimeMs: answer.readInt32BE(0), code: answer.readInt16BE(4), identity };
}

/** An identity without a transactional id, of which any broker has one to give. */
export async function requestProducerId(cluster: ClusterRequests, broker: Broker): Promise<ProducerIdentity> {
  const request = initProducerIdRequest(broker, { id: null, timeoutMs: UNUSED_TIMEOUT_MS });
  const { code, identity } = readInitProducerIdAnswer(await cluster.send(broker, request));
  if (code !== KAFKA_ERROR.none) throw new KafkaAnswerError(code, INIT_PRODUCER_ID.apiName);
  return identity;
}
