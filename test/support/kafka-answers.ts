import { KAFKA_API } from './kafka-proxy.ts';

// Where things stand in the frames that a KafkaProxy shows (protocol guide; requests and answers of the versions that we speak).

const AFTER_CORRELATION_ID = 8;

const PRODUCE_ROW_BYTES = 30;
const ADD_PARTITIONS_ROW_BYTES = 6;

/** Makes the broker say another error code: of a Produce or AddPartitionsToTxn answer that of a partition of its first topic. */
export function replaceCode(apiKey: number, frame: Buffer, code: number, partition = 0): void {
  let at = AFTER_CORRELATION_ID;
  if (apiKey === KAFKA_API.produce) at = rowOf(frame, { partition, topicsAt: at, rowBytes: PRODUCE_ROW_BYTES });
  else if (apiKey === KAFKA_API.addPartitionsToTxn) at = rowOf(frame, { partition, topicsAt: at + 4, rowBytes: ADD_PARTITIONS_ROW_BYTES });
  frame.writeInt16BE(code, at + 4);
}

/** The broker answers for the partitions in any order. */
function rowOf(frame: Buffer, { partition, topicsAt, rowBytes }: { partition: number; topicsAt: number; rowBytes: number }): number {
  const first = partitionsAt(frame, topicsAt);
  const rows = frame.readInt32BE(first - 4);
  for (let row = 0; row < rows; row++) if (frame.readInt32BE(first + row * rowBytes) === partition) return first + row * rowBytes;
  throw new Error(`the answer says nothing of partition ${partition}`);
}

/** What a Produce request says of the first batch in it. */
export function firstBatchOf(frame: Buffer): { readonly producerId: bigint; readonly firstSequence: number; readonly bytes: Buffer } {
  const afterClientId = afterString(frame, 12);
  const topics = afterString(frame, afterClientId) + 2 + 4;
  const start = partitionsAt(frame, topics) + 8;
  const bytes = Buffer.from(frame.subarray(start, start + frame.readInt32BE(start - 4)));
  return { producerId: bytes.readBigInt64BE(43), firstSequence: bytes.readInt32BE(53), bytes };
}

/** Where the first partition of the first topic begins, of an array of topics that begins at `at`. */
function partitionsAt(frame: Buffer, at: number): number {
  return afterString(frame, at + 4) + 4;
}

function afterString(frame: Buffer, at: number): number {
  return at + 2 + Math.max(0, frame.readInt16BE(at));
}
