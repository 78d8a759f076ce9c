import { CLASSIC, type FieldNotation, FLEXIBLE, FlexibleReader } from './field-notation.ts';
import { KAFKA_ERROR } from './kafka-errors.ts';
import type { ProducerIdentity } from './producer-identity.ts';
import { type EncodedRequest, type LibraryBroker, sharedVersion } from './request-channel.ts';
import { afterString } from './request-writer.ts';
import type { TransactionVersion } from './transaction-version.ts';

// AddPartitionsToTxn (versions 0 and 1, which are alike) and EndTxn (these two, and for transactions of version 2 its version 5).

const ADD_PARTITIONS = { apiKey: 24, apiName: 'AddPartitionsToTxn', oldest: 0, newest: 1 };
const END = { apiKey: 26, apiName: 'EndTxn', oldest: 0, newest: 1 };
/** By the version alone the coordinator knows what kind of transaction it is. */
const END_OF_VERSION_2 = { ...END, oldest: 5, newest: 5 };

/** Whose transaction it is. */
interface TransactionOwner {
  readonly transactionalId: string;
  readonly identity: ProducerIdentity;
}

/** transactional_id producer_id producer_epoch [topic [partition]] */
export function addPartitionsRequest(
  broker: LibraryBroker,
  owner: TransactionOwner,
  topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): EncodedRequest {
  let bodyBytes = ownerBytes(owner, CLASSIC) + 4;
  for (const { topic, partitions } of topics) bodyBytes += CLASSIC.stringBytes(topic) + 4 + 4 * partitions.length;
  const writeBody = (into: Buffer, start: number): void => {
    let at = into.writeInt32BE(topics.length, writeOwner(into, start, { owner, notation: CLASSIC }));
    for (const { topic, partitions } of topics) {
      at = into.writeInt32BE(partitions.length, CLASSIC.writeString(into, at, topic));
      for (const partition of partitions) at = into.writeInt32BE(partition, at);
    }
  };
  const { apiKey, apiName } = ADD_PARTITIONS;
  return { apiKey, apiName, apiVersion: sharedVersion(broker, ADD_PARTITIONS), isAnswered: true, bodyBytes, writeBody };
}

/** throttle_time [topic [partition error_code]]: the first error that is not a consequence of another. */
export function readAddPartitionsAnswer(answer: Buffer): { readonly code: number; readonly throttleTimeMs: number } {
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
  return { code, throttleTimeMs: answer.readInt32BE(0) };
}

/** transactional_id producer_id producer_epoch committed */
export function endRequest(
  broker: LibraryBroker,
  owner: TransactionOwner,
  end: { readonly how: 'commit' | 'abort'; readonly version: TransactionVersion },
): EncodedRequest {
  const isFlexible = end.version === 2;
  const notation = isFlexible ? FLEXIBLE : CLASSIC;
  return {
    apiKey: END.apiKey,
    apiName: END.apiName,
    apiVersion: sharedVersion(broker, isFlexible ? END_OF_VERSION_2 : END),
    isFlexible,
    isAnswered: true,
    bodyBytes: ownerBytes(owner, notation) + 1 + notation.endBytes,
    writeBody(into, start) {
      const at = writeOwner(into, start, { owner, notation });
      notation.writeEnd(into, into.writeInt8(end.how === 'commit' ? 1 : 0, at));
    },
  };
}

interface EndAnswer {
  readonly code: number;
  readonly throttleTimeMs: number;
  /** Who writes the next transaction; null where that is who wrote this one. */
  readonly next: ProducerIdentity | null;
}

/** throttle_time error_code, and in version 5 producer_id producer_epoch: those of the next transaction. */
export function readEndAnswer(answer: Buffer, apiVersion: number): EndAnswer {
  if (apiVersion < END_OF_VERSION_2.oldest) return { throttleTimeMs: answer.readInt32BE(0), code: answer.readInt16BE(4), next: null };
  const reader = new FlexibleReader(answer);
  reader.tagged();
  const throttleTimeMs = reader.int32();
  const code = reader.int16();
  return { throttleTimeMs, code, next: { producerId: reader.int64(), producerEpoch: reader.int16() } };
}

function ownerBytes({ transactionalId }: TransactionOwner, notation: FieldNotation): number {
  return notation.stringBytes(transactionalId) + 8 + 2;
}

/** transactional_id producer_id producer_epoch */
function writeOwner(into: Buffer, start: number, { owner, notation }: { owner: TransactionOwner; notation: FieldNotation }): number {
  const { transactionalId, identity } = owner;
  const at = into.writeBigInt64BE(BigInt(identity.producerId), notation.writeString(into, start, transactionalId));
  return into.writeInt16BE(identity.producerEpoch, at);
}
