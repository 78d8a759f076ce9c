import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, CRC_AT, OFFSET_AND_LENGTH_BYTES, TRANSACTIONAL_FLAG } from '../core/batch-layout.ts';
import { crc32c } from '../core/crc32c.ts';
import { isPreEncoded, type PreEncodedPartition } from './pre-encoded-messages.ts';

// A Produce request (versions 3 to 7, which are alike) in one buffer. The library's own encoder copies the records seven times
// through buffers that it fills with zeros first, and its checksum takes one byte a step: together more than half of what a produce of 1 000
// records costs. Sequence numbers, versions, connections and repetitions stay the library's.

/** What the library's producer hands to its broker. */
export interface ProduceCall {
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly messages: unknown; readonly firstSequence: number }[];
  }[];
  readonly transactionalId?: string | null | undefined;
  /** The decimal form of 64 bits. */
  readonly producerId: unknown;
  readonly producerEpoch?: number | undefined;
  readonly acks?: number | undefined;
  readonly timeout?: number | undefined;
  readonly compression?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const UNCOMPRESSED = 0;
const MAGIC = 2;
const NULL_STRING = -1;
const SIZE_BYTES = 4;

/** Whether `writeProduceRequest` can make this request: all records pre-encoded and not compressed. */
export function isEncodable({ topicData, compression = UNCOMPRESSED }: ProduceCall): boolean {
  return compression === UNCOMPRESSED && topicData.every(({ partitions }) => partitions.every(({ messages }) => isPreEncoded(messages)));
}

/** What stands in front of every request (header version 1), its size excepted. */
export interface RequestHeader {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string;
}

/** Bytes of the whole request, its size in front included. */
export function produceRequestBytes(header: RequestHeader, call: ProduceCall): number {
  return SIZE_BYTES + 2 + 2 + 4 + stringBytes(header.clientId) + bodyBytes(call);
}

/** Writes the whole request to the beginning of `into`, which has room for `produceRequestBytes`. Only for what `isEncodable`. */
export function writeProduceRequest(into: Buffer, header: RequestHeader, call: ProduceCall): void {
  let at = into.writeInt16BE(header.apiKey, SIZE_BYTES);
  at = into.writeInt16BE(header.apiVersion, at);
  at = into.writeInt32BE(header.correlationId, at);
  at = writeString(into, at, header.clientId);
  const end = writeBody(into, at, call);
  into.writeInt32BE(end - SIZE_BYTES, 0);
}

/** transactional_id acks timeout [topic [partition records]] */
function writeBody(body: Buffer, start: number, call: ProduceCall): number {
  const { topicData, transactionalId = null, acks = -1, timeout = DEFAULT_TIMEOUT_MS } = call;
  let at = writeString(body, start, transactionalId);
  at = body.writeInt16BE(acks, at);
  at = body.writeInt32BE(timeout, at);
  at = body.writeInt32BE(topicData.length, at);
  for (const { topic, partitions } of topicData) {
    at = writeString(body, at, topic);
    at = body.writeInt32BE(partitions.length, at);
    for (const { partition, messages, firstSequence } of partitions) {
      const records = messages as PreEncodedPartition;
      at = body.writeInt32BE(partition, at);
      at = body.writeInt32BE(BATCH_HEADER_BYTES + records.bytes.length, at);
      at = writeBatch(body, at, { records, firstSequence, call });
    }
  }
  return at;
}

function bodyBytes({ topicData, transactionalId = null }: ProduceCall): number {
  let bytes = stringBytes(transactionalId) + 2 + 4 + 4;
  for (const { topic, partitions } of topicData) {
    bytes += stringBytes(topic) + 4;
    for (const { messages } of partitions) bytes += 4 + 4 + BATCH_HEADER_BYTES + (messages as PreEncodedPartition).bytes.length;
  }
  return bytes;
}

function writeBatch(
  body: Buffer,
  start: number,
  { records, firstSequence, call }: { records: PreEncodedPartition; firstSequence: number; call: ProduceCall },
): number {
  const { bytes, length, timestampMs } = records;
  const end = start + BATCH_HEADER_BYTES + bytes.length;
  const timestamp = BigInt(timestampMs);
  let at = body.writeBigInt64BE(0n, start);
  at = body.writeInt32BE(BATCH_HEADER_BYTES - OFFSET_AND_LENGTH_BYTES + bytes.length, at);
  at = body.writeInt32BE(0, at);
  body[at] = MAGIC;
  at = body.writeInt16BE(call.transactionalId ? TRANSACTIONAL_FLAG : 0, start + ATTRIBUTES_AT);
  at = body.writeInt32BE(length - 1, at);
  at = body.writeBigInt64BE(timestamp, at);
  at = body.writeBigInt64BE(timestamp, at);
  at = body.writeBigInt64BE(BigInt(String(call.producerId)), at);
  at = body.writeInt16BE(call.producerEpoch ?? 0, at);
  at = body.writeInt32BE(firstSequence, at);
  at = body.writeInt32BE(length, at);
  body.set(bytes, at);
  body.writeUInt32BE(crc32c(body, start + ATTRIBUTES_AT, end), start + CRC_AT);
  return end;
}

function stringBytes(text: string | null): number {
  return 2 + (text === null ? 0 : Buffer.byteLength(text));
}

function writeString(body: Buffer, at: number, text: string | null): number {
  if (text === null) return body.writeInt16BE(NULL_STRING, at);
  const bytes = Buffer.byteLength(text);
  return body.writeInt16BE(bytes, at) + body.write(text, at + 2);
}
