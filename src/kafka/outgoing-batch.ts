import type { Codec } from './compression.ts';
import type { EncodedRecords } from './log-port.ts';

/** A batch on its way into the log, and what the log has said of it. One object goes from producer to producer until it is acknowledged. */
export class OutgoingBatch {
  readonly source: EncodedRecords;
  /** Where it stands in the call of the lane. */
  readonly place: number;
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  readonly baseTimestampMs: number;
  /** What stands behind the batch header: the records, or the records compressed once for all repetitions. */
  payload: Buffer;
  /** The codec's number, as the attributes of a batch have it. */
  codec = 0;
  /** `refused`: the log will never take it, because of its size. */
  state: 'waiting' | 'acknowledged' | 'refused' = 'waiting';
  /** The sequence number of the first record in the request that is being sent; -1 without idempotence. */
  firstSequence = -1;
  /** By the present producer. */
  timesSent = 0;
  /** Error code of the latest answer; null while there is none. */
  answeredCode: number | null = null;
  /** Where the log has put its first record; -1 when the answer does not say. */
  baseOffset = -1;

  constructor(source: EncodedRecords, place: number) {
    this.source = source;
    this.place = place;
    this.topic = source.topic;
    this.partition = source.partition;
    this.count = source.count;
    this.baseTimestampMs = source.baseTimestampMs;
    this.payload = source.records;
  }
}

/** Those of them with records in them, compressed with the codec. */
export async function outgoingBatches(batches: readonly EncodedRecords[], codec: Codec | null): Promise<OutgoingBatch[]> {
  const outgoing = batches.flatMap((batch, place) => (batch.count > 0 ? [new OutgoingBatch(batch, place)] : []));
  if (codec === null) return outgoing;
  const compress = async (batch: OutgoingBatch) => {
    batch.payload = await codec.compress(batch.payload);
    batch.codec = codec.number;
  };
  await Promise.all(outgoing.map(compress));
  return outgoing;
}
