import { afterCompactString, KAFKA_API, type KafkaExchange } from './kafka-proxy.ts';

// Where things stand in the frames that a KafkaProxy shows (protocol guide; requests and answers of the versions that we speak).

const AFTER_CORRELATION_ID = 8;

const PRODUCE_ROW_BYTES = 30;
const ADD_PARTITIONS_ROW_BYTES = 6;
/** The flexible versions have a byte for no tagged fields behind the header, and arrays and strings of which one byte says the length plus one. */
const FIRST_FLEXIBLE_PRODUCE = 9;
const FIRST_FLEXIBLE_END = 3;
/** As above, and null for the lists and texts about single records. */
const FLEXIBLE_PRODUCE_ROW_BYTES = PRODUCE_ROW_BYTES + 3;

/** Makes the broker say another error code: of a Produce or AddPartitionsToTxn answer that of a partition of its first topic. */
export function replaceCode(
  { apiKey, apiVersion, frame }: Pick<KafkaExchange, 'apiKey' | 'apiVersion' | 'frame'>,
  code: number,
  partition = 0,
): void {
  let at = AFTER_CORRELATION_ID;
  if (apiKey === KAFKA_API.produce && apiVersion >= FIRST_FLEXIBLE_PRODUCE) at = flexibleRowOf(frame, partition);
  else if (apiKey === KAFKA_API.produce) at = rowOf(frame, { partition, topicsAt: at, rowBytes: PRODUCE_ROW_BYTES });
  else if (apiKey === KAFKA_API.addPartitionsToTxn) at = rowOf(frame, { partition, topicsAt: at + 4, rowBytes: ADD_PARTITIONS_ROW_BYTES });
  else if (apiKey === KAFKA_API.endTxn && apiVersion >= FIRST_FLEXIBLE_END) at += 1;
  frame.writeInt16BE(code, at + 4);
}

/** Makes the first partition in an answer to Produce one that nobody has asked for. */
export function renamePartition({ apiVersion, frame }: Pick<KafkaExchange, 'apiVersion' | 'frame'>): void {
  const isFlexible = apiVersion >= FIRST_FLEXIBLE_PRODUCE;
  const first = isFlexible ? afterCompactString(frame, AFTER_CORRELATION_ID + 1 + 1) + 1 : partitionsAt(frame, AFTER_CORRELATION_ID);
  frame.writeInt32BE(77, first);
}

/** For how many replicas a Produce request wants the broker to wait. */
export function acksOf({ apiVersion, frame }: Pick<KafkaExchange, 'apiVersion' | 'frame'>): number {
  return frame.readInt16BE(acksAt(frame, apiVersion >= FIRST_FLEXIBLE_PRODUCE));
}

/** The broker answers for the partitions in any order. */
function rowOf(frame: Buffer, { partition, topicsAt, rowBytes }: { partition: number; topicsAt: number; rowBytes: number }): number {
  const first = partitionsAt(frame, topicsAt);
  return foundRow(frame, { partition, first, rows: frame.readInt32BE(first - 4), rowBytes });
}

function flexibleRowOf(frame: Buffer, partition: number): number {
  const rowsAt = afterCompactString(frame, AFTER_CORRELATION_ID + 1 + 1);
  const rows = frame.readUInt8(rowsAt) - 1;
  return foundRow(frame, { partition, first: rowsAt + 1, rows, rowBytes: FLEXIBLE_PRODUCE_ROW_BYTES });
}

function foundRow(
  frame: Buffer,
  { partition, first, rows, rowBytes }: { partition: number; first: number; rows: number; rowBytes: number },
): number {
  for (let row = 0; row < rows; row++) if (frame.readInt32BE(first + row * rowBytes) === partition) return first + row * rowBytes;
  throw new Error(`the answer says nothing of partition ${partition}`);
}

export interface RequestedBatch {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly firstSequence: number;
  readonly bytes: Buffer;
}

/** What a Produce request says of the first batch in it. */
export function firstBatchOf({ apiVersion, frame }: Pick<KafkaExchange, 'apiVersion' | 'frame'>): RequestedBatch {
  const start = apiVersion >= FIRST_FLEXIBLE_PRODUCE ? flexibleBatchAt(frame) : classicBatchAt(frame);
  const bytes = Buffer.from(frame.subarray(start, start + 12 + frame.readInt32BE(start + 8)));
  return { producerId: bytes.readBigInt64BE(43), producerEpoch: bytes.readInt16BE(51), firstSequence: bytes.readInt32BE(53), bytes };
}

/** Behind the transactional id. */
function acksAt(frame: Buffer, isFlexible: boolean): number {
  const body = afterString(frame, 12);
  return isFlexible ? afterCompactString(frame, body + 1) : afterString(frame, body);
}

function classicBatchAt(frame: Buffer): number {
  return partitionsAt(frame, acksAt(frame, false) + 2 + 4) + 8;
}

function flexibleBatchAt(frame: Buffer): number {
  // Behind the partition's number the length of its records, of as many bytes as it takes.
  let at = afterCompactString(frame, acksAt(frame, true) + 2 + 4 + 1) + 1 + 4;
  while (frame.readUInt8(at) > 127) at++;
  return at + 1;
}

/** Whether the request asks for a commit: its last field, behind which the flexible versions have a byte for no tagged fields. */
export function isCommit({ apiKey, apiVersion, frame }: KafkaExchange): boolean {
  return apiKey === KAFKA_API.endTxn && frame.at(apiVersion >= FIRST_FLEXIBLE_END ? -2 : -1) === 1;
}

/** The transactional id of an EndTxn or InitProducerId request, and what stands behind it. */
export function transactionalIdOf({ apiKey, apiVersion, frame }: KafkaExchange): { readonly id: string; readonly behind: number } {
  const body = afterString(frame, 12);
  if (apiKey === KAFKA_API.endTxn && apiVersion >= FIRST_FLEXIBLE_END) {
    const behind = afterCompactString(frame, body + 1);
    return { id: frame.toString('utf8', body + 2, behind), behind };
  }
  const behind = afterString(frame, body);
  return { id: frame.toString('utf8', body + 2, behind), behind };
}

const FEATURE = Buffer.from('transaction.version');

/** Makes a broker say that its cluster has agreed on this version of transactions: in its answer to ApiVersions, behind the name of the feature. */
export function replaceTransactionVersion({ apiKey, apiVersion, frame }: KafkaExchange, level: number): void {
  if (apiKey !== KAFKA_API.apiVersions || apiVersion < 3) return;
  // The last one: what the cluster has agreed on comes behind what the broker could do.
  const at = frame.lastIndexOf(FEATURE);
  if (at >= 0) frame.writeInt16BE(level, at + FEATURE.length);
}

/** Where the first partition of the first topic begins, of an array of topics that begins at `at`. */
function partitionsAt(frame: Buffer, at: number): number {
  return afterString(frame, at + 4) + 4;
}

function afterString(frame: Buffer, at: number): number {
  return at + 2 + Math.max(0, frame.readInt16BE(at));
}
