import { gzipSync, zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, CRC_AT, LENGTH_AT, OFFSET_AND_LENGTH_BYTES } from '../../src/core/batch-layout.ts';
import { crc32c } from '../../src/core/crc32c.ts';
import { encodeRecordBatch, RecordReader, RecordsEncoder } from '../../src/core/record-batch.ts';
import { snappyCompress } from '../../src/core/snappy-compress.ts';
import type { FetchedPartition } from '../../src/kafka/fetch-response.ts';
import { UNPACKED_BATCH_BYTES_MAX, unpackAnswer } from '../../src/kafka/unpack-answer.ts';

const MEBIBYTE = 1024 * 1024;
const GZIP = 1;
const SNAPPY = 2;
const ZSTD = 4;
const UNKNOWN = 7;

function plainBatch(baseOffset: number, values: readonly (string | Buffer)[]): Buffer {
  const encoder = new RecordsEncoder(1024);
  encoder.reset(1_000);
  for (const value of values) encoder.add(null, Buffer.from(value), 1_000);
  return encodeRecordBatch({ records: encoder.take(), count: values.length, baseTimestampMs: 1_000, baseOffset });
}

/** The batch with other bytes behind its header, under a codec. */
function packed(batch: Buffer, codec: number, records: Uint8Array): Buffer {
  const result = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), records]);
  result.writeInt32BE(result.length - OFFSET_AND_LENGTH_BYTES, LENGTH_AT);
  result.writeInt16BE(codec, ATTRIBUTES_AT);
  result.writeUInt32BE(crc32c(result, ATTRIBUTES_AT), CRC_AT);
  return result;
}

function gzipped(baseOffset: number, values: readonly (string | Buffer)[]): Buffer {
  const batch = plainBatch(baseOffset, values);
  return packed(batch, GZIP, gzipSync(batch.subarray(BATCH_HEADER_BYTES)));
}

function answer(batches: readonly Buffer[], nextOffset: number): FetchedPartition {
  const rest = { errorCode: 0, highWatermark: 99, lastStableOffset: 99, logStartOffset: 0, abortedTransactions: [] };
  return { topic: 't', partition: 3, batches: Buffer.concat(batches), nextOffset, ...rest };
}

function valuesOf({ batches }: FetchedPartition): string[] {
  const reader = new RecordReader();
  reader.reset({ batches, fetchOffset: 0, abortedTransactions: [] });
  const values: string[] = [];
  while (reader.next()) values.push(`${reader.offset} ${reader.buffer.toString('utf8', reader.valueStart, reader.valueEnd)}`);
  return values;
}

test('an answer without a compressed batch is given as it is', async () => {
  const plain = answer([plainBatch(0, ['a']), plainBatch(1, ['b'])], 2);
  expect(await unpackAnswer(plain)).toEqual({ answer: plain, failure: null });
  expect((await unpackAnswer(plain)).answer.batches).toBe(plain.batches);
});

test('compressed batches between others become like them', async () => {
  const third = plainBatch(3, ['d']);
  const batches = [
    plainBatch(0, ['a']),
    gzipped(1, ['b', 'c']),
    packed(third, SNAPPY, snappyCompress(third.subarray(BATCH_HEADER_BYTES))),
    packed(plainBatch(4, ['e']), ZSTD, zstdCompressSync(plainBatch(4, ['e']).subarray(BATCH_HEADER_BYTES))),
    plainBatch(5, ['f']),
  ];
  const { answer: unpacked, failure } = await unpackAnswer(answer(batches, 6));
  expect(failure).toBeNull();
  expect(valuesOf(unpacked)).toEqual(['0 a', '1 b', '2 c', '3 d', '4 e', '5 f']);
  expect(unpacked.nextOffset).toBe(6);
});

test('a batch that compaction has emptied may keep its codec', async () => {
  const emptied = packed(
    encodeRecordBatch({ records: Buffer.alloc(0), count: 0, baseTimestampMs: 0, lastOffsetDelta: 4 }),
    GZIP,
    Buffer.alloc(0),
  );
  const { answer: unpacked, failure } = await unpackAnswer(answer([emptied, plainBatch(5, ['f'])], 6));
  expect([failure, valuesOf(unpacked)]).toEqual([null, ['5 f']]);
});

const damaged = Buffer.from(gzipped(1, ['b']));
damaged.writeUInt32BE(1, CRC_AT);
const bomb = packed(plainBatch(1, ['b']), GZIP, gzipSync(Buffer.alloc(UNPACKED_BATCH_BYTES_MAX + 1), { level: 1 }));

test.each([
  ['does not match its checksum', damaged, 'CORRUPT_BATCH', 'checksum'],
  ['is no gzip', packed(plainBatch(1, ['b']), GZIP, Buffer.from('no gzip')), 'CORRUPT_BATCH', 'compressed with gzip, cannot be unpacked'],
  ['is no snappy', packed(plainBatch(1, ['b']), SNAPPY, Buffer.from('zzz')), 'CORRUPT_BATCH', 'compressed with snappy, cannot be unpacked'],
  ['has a codec that nobody knows', packed(plainBatch(1, ['b']), UNKNOWN, Buffer.from('zzz')), 'CORRUPT_BATCH', 'unknown codec'],
  ['unpacks to too much', bomb, 'COMPRESSED_INPUT', 'more than 67108864 bytes'],
])('a batch that %s is refused, after what comes before it', async (_name, batch, code, text) => {
  const first = await unpackAnswer(answer([plainBatch(0, ['a']), batch, plainBatch(2, ['c'])], 3));
  expect([first.failure, valuesOf(first.answer), first.answer.nextOffset]).toEqual([null, ['0 a'], 1]);
  const second = await unpackAnswer(answer([batch, plainBatch(2, ['c'])], 3));
  expect(second.failure).toMatchObject({ code, message: expect.stringContaining(text) });
  expect(second.failure?.message).toContain('t-3: record batch at offset 1');
  expect(second.failure?.details).toEqual({ nextOffset: 2 });
  expect(second.answer.batches.length).toBe(0);
});

test('an answer that becomes large is cut, and the next fetch goes on there', async () => {
  const large = Array.from({ length: 30 }, (_, index) => gzipped(index, [Buffer.alloc(MEBIBYTE, index)]));
  const { answer: unpacked } = await unpackAnswer(answer(large, 30));
  expect(unpacked.nextOffset).toBe(16);
  expect(valuesOf(unpacked).length).toBe(16);
});
