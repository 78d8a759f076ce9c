import { readInt64 } from '../core/batch-layout.ts';
import { FlexibleReader } from './field-notation.ts';
import type { OutgoingBatch } from './outgoing-batch.ts';
import { afterString } from './request-writer.ts';

// The answer to a Produce request: [topic [partition error_code base_offset log_append_time log_start_offset (from version 5)]] throttle_time. In
// the flexible versions log_start_offset is followed by [index message] and error_message.

const FIRST_VERSION_WITH_LOG_START = 5;
/** From here on the broker answers first and the client has to wait; before, the broker waited itself. */
const FIRST_VERSION_THAT_THROTTLES_US = 6;
/** From here on, requests and answers have lengths of another form, and tagged fields. */
export const FIRST_FLEXIBLE_PRODUCE = 9;

/**
 * Notes in each batch what the broker says of its partition; one of which it says nothing keeps `answeredCode` null. Returns for how many
 * ms the client may send nothing. Throws a RangeError when the answer is cut off.
 */
export function readProduceAnswer(answer: Buffer, apiVersion: number, batches: readonly OutgoingBatch[]): number {
  if (apiVersion >= FIRST_FLEXIBLE_PRODUCE) return readFlexibleAnswer(answer, batches);
  const partitionBytes = apiVersion >= FIRST_VERSION_WITH_LOG_START ? 30 : 22;
  let at = 4;
  for (let topics = answer.readInt32BE(0); topics > 0; topics--) {
    const end = afterString(answer, at);
    const topic = answer.toString('utf8', at + 2, end);
    at = end + 4;
    // The broker usually answers in the order of the request, so the search goes on where the last one ended.
    let found = -1;
    for (let partitions = answer.readInt32BE(end); partitions > 0; partitions--, at += partitionBytes) {
      found = findFrom(batches, found + 1, { topic, partition: answer.readInt32BE(at) });
      const batch = batches[found];
      if (batch === undefined) continue;
      batch.answeredCode = answer.readInt16BE(at + 4);
      batch.baseOffset = readInt64(answer, at + 6);
    }
  }
  const throttleTimeMs = answer.readInt32BE(at);
  return apiVersion >= FIRST_VERSION_THAT_THROTTLES_US ? throttleTimeMs : 0;
}

function readFlexibleAnswer(answer: Buffer, batches: readonly OutgoingBatch[]): number {
  const reader = new FlexibleReader(answer);
  reader.tagged();
  for (let topics = reader.length(); topics > 0; topics--) {
    const topic = reader.string() ?? '';
    let found = -1;
    for (let partitions = reader.length(); partitions > 0; partitions--) {
      found = findFrom(batches, found + 1, { topic, partition: reader.int32() });
      const code = reader.int16();
      const baseOffset = reader.int64();
      reader.skip(8 + 8);
      for (let errors = reader.length(); errors > 0; errors--) {
        reader.skip(4);
        reader.string();
        reader.tagged();
      }
      reader.string();
      reader.tagged();
      const batch = batches[found];
      if (batch !== undefined) Object.assign(batch, { answeredCode: code, baseOffset });
    }
    reader.tagged();
  }
  const throttleTimeMs = reader.int32();
  reader.tagged();
  return throttleTimeMs;
}

/** The place of this partition, looked for from `start` on and round; -1 when it is not there. */
function findFrom(batches: readonly OutgoingBatch[], start: number, { topic, partition }: { topic: string; partition: number }): number {
  for (let i = 0; i < batches.length; i++) {
    const at = (start + i) % batches.length;
    if (batches[at]!.partition === partition && batches[at]!.topic === topic) return at;
  }
  return -1;
}
