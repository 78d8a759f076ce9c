import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, CRC_AT, MAGIC_V2, OFFSET_AND_LENGTH_BYTES, TRANSACTIONAL_FLAG } from '../core/batch-layout.ts';
import { crc32c } from '../core/crc32c.ts';
import type { FieldNotation } from './field-notation.ts';
import type { OutgoingBatch } from './outgoing-batch.ts';

// The body of a Produce request (versions 3 to 7, which are alike, and 9 to 12, which are alike and flexible), written into one buffer. The
// library's own encoder copies the records seven times through buffers that it fills with zeros first, and its checksum takes one byte a step:
// together more than half of what a produce of 1 000 records costs.

export interface ProduceCall {
  readonly notation: FieldNotation;
  /** The batches of one topic after those of another, each partition once. */
  readonly batches: readonly OutgoingBatch[];
  readonly transactionalId: string | null;
  /** -1, with the epoch, without idempotence. */
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly acks: number;
  /** How long the broker may wait for its replicas. */
  readonly timeoutMs: number;
}

/** transactional_id acks timeout [topic [partition records]]; the same batches give the same bytes. Returns where the body ends. */
export function writeProduceBody(into: Buffer, start: number, call: ProduceCall): number {
  const { batches, notation } = call;
  let at = notation.writeString(into, start, call.transactionalId);
  at = into.writeInt16BE(call.acks, at);
  at = into.writeInt32BE(call.timeoutMs, at);
  at = notation.writeLength(into, at, countTopics(batches));
  for (let i = 0; i < batches.length; ) {
    const end = endOfTopic(batches, i);
    at = notation.writeString(into, at, batches[i]!.topic);
    at = notation.writeLength(into, at, end - i);
    for (; i < end; i++) {
      const batch = batches[i]!;
      at = into.writeInt32BE(batch.partition, at);
      at = notation.writeLength(into, at, BATCH_HEADER_BYTES + batch.payload.length);
      at = notation.writeEnd(into, writeBatch(into, at, { batch, call }));
    }
    at = notation.writeEnd(into, at);
  }
  return notation.writeEnd(into, at);
}

export function produceBodyBytes({ batches, transactionalId, notation }: ProduceCall): number {
  let bytes = notation.stringBytes(transactionalId) + 2 + 4 + notation.lengthBytes(countTopics(batches)) + notation.endBytes;
  for (let i = 0; i < batches.length; ) {
    const end = endOfTopic(batches, i);
    bytes += notation.stringBytes(batches[i]!.topic) + notation.lengthBytes(end - i) + notation.endBytes;
    for (; i < end; i++) {
      const batchBytes = BATCH_HEADER_BYTES + batches[i]!.payload.length;
      bytes += 4 + notation.lengthBytes(batchBytes) + batchBytes + notation.endBytes;
    }
  }
  return bytes;
}

function countTopics(batches: readonly OutgoingBatch[]): number {
  let topics = 0;
  for (let i = 0; i < batches.length; i = endOfTopic(batches, i)) topics++;
  return topics;
}

function endOfTopic(batches: readonly OutgoingBatch[], start: number): number {
  const { topic } = batches[start]!;
  let end = start + 1;
  while (end < batches.length && batches[end]!.topic === topic) end++;
  return end;
}

function writeBatch(into: Buffer, start: number, { batch, call }: { batch: OutgoingBatch; call: ProduceCall }): number {
  const { payload, count } = batch;
  const end = start + BATCH_HEADER_BYTES + payload.length;
  const timestamp = BigInt(batch.baseTimestampMs);
  let at = into.writeBigInt64BE(0n, start);
  at = into.writeInt32BE(BATCH_HEADER_BYTES - OFFSET_AND_LENGTH_BYTES + payload.length, at);
  at = into.writeInt32BE(0, at);
  into[at] = MAGIC_V2;
  at = into.writeInt16BE(batch.codec | (call.transactionalId === null ? 0 : TRANSACTIONAL_FLAG), start + ATTRIBUTES_AT);
  at = into.writeInt32BE(count - 1, at);
  at = into.writeBigInt64BE(timestamp, at);
  at = into.writeBigInt64BE(timestamp, at);
  at = into.writeBigInt64BE(BigInt(call.producerId), at);
  at = into.writeInt16BE(call.producerEpoch, at);
  at = into.writeInt32BE(batch.firstSequence, at);
  at = into.writeInt32BE(count, at);
  into.set(payload, at);
  into.writeUInt32BE(crc32c(into, start + ATTRIBUTES_AT, end), start + CRC_AT);
  return end;
}
