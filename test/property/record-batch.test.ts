import { createRequire } from 'node:module';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CompressedBatchError, CorruptBatchError } from '../../src/core/batch-errors.ts';
import { BATCH_HEADER_BYTES, findWholeBatches } from '../../src/core/batch-layout.ts';
import { crc32c } from '../../src/core/crc32c.ts';
import { encodeControlMarker, encodeRecordBatch, RecordReader, RecordsEncoder } from '../../src/core/record-batch.ts';

// The library's own encoder and decoder are the reference, in both directions.

interface LibraryRecord {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer | Buffer[]>;
}
const require = createRequire(import.meta.url);
const libraryRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => object;
const { RecordBatch: libraryBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>;
};
const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => object;
const decodeLibraryBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: object,
) => Promise<{ records: LibraryRecord[] }>;

interface PlainRecord {
  key: Buffer | null;
  value: Buffer | null;
  timestampMs: number;
  headers: [string, Buffer][];
}

const bytes = fc.oneof(
  fc.constant(null),
  fc.constant(Buffer.alloc(4)),
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
);
const timestamp = fc.oneof(
  fc.integer({ min: 1_600_000_000_000, max: 1_600_000_100_000 }),
  fc.integer({ min: 0, max: 7_258_118_400_000 }),
  fc.integer({ min: 0, max: 2 ** 52 }),
);
const headerName = fc.string({ minLength: 1, maxLength: 8 }).filter((name) => !/^\d+$/.test(name) && !(name in Object.prototype));
const headers = fc.uniqueArray(
  fc.tuple(
    headerName,
    fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array)),
  ),
  {
    maxLength: 3,
    selector: ([name]) => name,
  },
);
const record: fc.Arbitrary<PlainRecord> = fc.record({ key: bytes, value: bytes, timestampMs: timestamp, headers });
const records = fc.array(record, { minLength: 1, maxLength: 30 });
const baseOffset = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 33 }), fc.integer({ min: 2 ** 31 - 5, max: 2 ** 52 }));

function encode(list: readonly PlainRecord[], baseTimestampMs = list[0]!.timestampMs): RecordsEncoder {
  const encoder = new RecordsEncoder(16);
  encoder.reset(baseTimestampMs);
  for (const one of list) encoder.add(one.key, one.value, one.timestampMs, one.headers);
  return encoder;
}

function encodeByLibrary(list: readonly PlainRecord[], offset = 0): Promise<Buffer> {
  const encoded = list.map((one, i) =>
    libraryRecord({
      offsetDelta: i,
      timestampDelta: one.timestampMs - list[0]!.timestampMs,
      key: one.key,
      value: one.value,
      headers: Object.fromEntries(one.headers),
    }),
  );
  const timestamps = list.map((one) => one.timestampMs);
  return libraryBatch({
    firstOffset: offset,
    firstTimestamp: timestamps[0],
    maxTimestamp: Math.max(...timestamps),
    lastOffsetDelta: list.length - 1,
    records: encoded,
  }).then((encoder) => Buffer.from(encoder.buffer));
}

function readAll(reader: RecordReader): (PlainRecord & { offset: number })[] {
  const all: (PlainRecord & { offset: number })[] = [];
  while (reader.next()) {
    const slice = (start: number, end: number) => (start === -1 ? null : Buffer.from(reader.buffer.subarray(start, end)));
    all.push({
      offset: reader.offset,
      timestampMs: reader.timestampMs,
      key: slice(reader.keyStart, reader.keyEnd),
      value: slice(reader.valueStart, reader.valueEnd),
      headers: [...reader.headers()].map(([name, value]) => [name, Buffer.from(value)]),
    });
  }
  return all;
}

function read(batches: Buffer, fetchOffset = 0, abortedTransactions: { producerId: number; firstOffset: number }[] = []) {
  const reader = new RecordReader();
  reader.reset({ batches, fetchOffset, abortedTransactions });
  return { records: readAll(reader), nextOffset: reader.nextOffset };
}

const text = (list: { value: Buffer | null }[]) => list.map((one) => String(one.value));

/** A batch with one record per text. */
function batchOf(values: readonly string[], fields: Partial<Parameters<typeof encodeRecordBatch>[0]> = {}): Buffer {
  const encoder = encode(values.map((value) => ({ key: Buffer.from('k'), value: Buffer.from(value), timestampMs: 1000, headers: [] })));
  return encodeRecordBatch({ records: encoder.take(), count: encoder.count, baseTimestampMs: 1000, ...fields });
}

function marker(kind: 'abort' | 'commit', fields: { baseOffset: number; producerId: number }): Buffer {
  return encodeRecordBatch({
    records: encodeControlMarker(kind),
    count: 1,
    baseTimestampMs: 0,
    transactional: true,
    control: true,
    ...fields,
  });
}

describe('record batch against the library', () => {
  it('encodes the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(records, baseOffset, async (list, offset) => {
        const encoder = encode(list);
        const ours = encodeRecordBatch({
          records: encoder.take(),
          count: encoder.count,
          baseTimestampMs: encoder.baseTimestampMs,
          maxTimestampMs: encoder.maxTimestampMs,
          baseOffset: offset,
          producerEpoch: 0,
          baseSequence: 0,
        });
        expect(ours).toEqual(await encodeByLibrary(list, offset));
      }),
    );
  });

  it('is read by the library as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(records, baseOffset, async (list, offset) => {
        const encoder = encode(list);
        const batch = encodeRecordBatch({
          records: encoder.take(),
          count: list.length,
          baseTimestampMs: list[0]!.timestampMs,
          baseOffset: offset,
        });
        const decoded = (await decodeLibraryBatch(new Decoder(batch))).records;
        expect(decoded.map((one) => [one.offset, one.timestamp, one.key, one.value])).toEqual(
          list.map((one, i) => [String(offset + i), String(one.timestampMs), one.key, one.value]),
        );
        expect(decoded.map((one) => Object.entries(one.headers))).toEqual(list.map((one) => one.headers));
      }),
    );
  });

  it('reads what the library wrote, from any offset on', async () => {
    await fc.assert(
      fc.asyncProperty(records, baseOffset, fc.nat(40), async (list, offset, skip) => {
        const batch = await encodeByLibrary(list, offset);
        const expected = list.map((one, i) => ({ ...one, offset: offset + i }));
        expect(read(batch, offset)).toEqual({ records: expected, nextOffset: offset + list.length });
        const from = Math.min(offset + skip, offset + list.length);
        expect(read(batch, from).records).toEqual(expected.filter((one) => one.offset >= from));
      }),
    );
  });
});

describe('the reader', () => {
  it('gives times relative to any base time exactly', () => {
    fc.assert(
      fc.property(records, timestamp, (list, base) => {
        const batch = encodeRecordBatch({ records: encode(list, base).take(), count: list.length, baseTimestampMs: base });
        expect(read(batch).records.map((one) => one.timestampMs)).toEqual(list.map((one) => one.timestampMs));
      }),
    );
  });

  it('never crashes with anything but the declared errors, whatever the bytes', () => {
    const mutation = fc.record({ at: fc.double({ min: 0, max: 0.9999, noNaN: true }), byte: fc.nat(255) });
    fc.assert(
      fc.property(records, fc.array(mutation, { maxLength: 4 }), fc.boolean(), fc.nat(80), (list, mutations, fixChecksum, cut) => {
        const body = encode(list).take();
        if (fixChecksum) for (const { at, byte } of mutations) body[Math.floor(at * body.length)] = byte;
        const batch = encodeRecordBatch({ records: body, count: list.length, baseTimestampMs: 0 });
        if (!fixChecksum) for (const { at, byte } of mutations) batch[Math.floor(at * batch.length)] = byte;
        const cutOff = batch.subarray(0, batch.length - (fixChecksum ? 0 : cut));
        try {
          read(cutOff);
        } catch (error) {
          expect(error instanceof CorruptBatchError || error instanceof CompressedBatchError, String(error)).toBe(true);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses random bytes with the declared error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (random) => {
        expect(() => read(Buffer.from(random))).toThrow(CorruptBatchError);
      }),
    );
  });

  it('refuses each single flipped bit that the checksum covers', () => {
    const batch = batchOf(['a', 'b', 'c']);
    for (let bit = 21 * 8; bit < batch.length * 8; bit += 3) {
      const damaged = Buffer.from(batch);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => read(damaged)).toThrow(/checksum/);
    }
  });

  it('refuses a batch that is cut off, of another magic, or longer than its records', () => {
    const batch = batchOf(['a']);
    expect(() => read(batch.subarray(0, batch.length - 1))).toThrow(/claims a length/);
    expect(() => read(batch.subarray(0, 30))).toThrow(/cut off/);
    const old = Buffer.from(batch);
    old[16] = 1;
    expect(() => read(old)).toThrow(/magic 1/);
    const records = Buffer.concat([encode([{ key: null, value: null, timestampMs: 0, headers: [] }]).take(), Buffer.alloc(3)]);
    expect(() => read(encodeRecordBatch({ records, count: 1, baseTimestampMs: 0 }))).toThrow(/bytes are left/);
  });

  it('names codec and offset of a compressed batch, even when it is the second one', () => {
    const compressed = batchOf(['x'], { baseOffset: 7 });
    compressed.writeInt16BE(4, 21);
    const fixed = Buffer.from(compressed);
    // The checksum must be right, or the batch counts as corrupt.
    expect(() => read(fixed, 7)).toThrow(CorruptBatchError);
    const reader = new RecordReader();
    reader.reset({ batches: withAttributes(compressed, 4), fetchOffset: 7, abortedTransactions: [] });
    expect(() => reader.next()).toThrow(expect.objectContaining({ name: 'CompressedBatchError', codec: 'zstd', baseOffset: 7 }));
  });

  it('gives the append time of a LogAppendTime batch to each record', () => {
    expect(read(batchOf(['a', 'b'], { appendTime: 5000 })).records.map((one) => one.timestampMs)).toEqual([5000, 5000]);
  });

  it('steps over batches that compaction has emptied or thinned out', () => {
    const empty = encodeRecordBatch({ records: Buffer.alloc(0), count: 0, baseTimestampMs: 0, baseOffset: 10, lastOffsetDelta: 4 });
    const thinned = batchOf(['last'], { baseOffset: 15, lastOffsetDelta: 9 });
    expect(read(empty, 12)).toEqual({ records: [], nextOffset: 15 });
    const both = read(Buffer.concat([empty, thinned]), 10);
    expect(text(both.records)).toEqual(['last']);
    expect(both.nextOffset).toBe(25);
  });

  it('never goes back behind the offset that was asked for', () => {
    expect(read(batchOf(['a', 'b'], { baseOffset: 3 }), 9)).toEqual({ records: [], nextOffset: 9 });
    expect(read(Buffer.alloc(0), 9)).toEqual({ records: [], nextOffset: 9 });
  });

  it('tells the position after each record, so that a transaction can end anywhere', () => {
    const reader = new RecordReader();
    reader.reset({ batches: batchOf(['a', 'b'], { baseOffset: 3, lastOffsetDelta: 5 }), fetchOffset: 0, abortedTransactions: [] });
    const positions = [];
    while (reader.next()) positions.push(reader.nextOffset);
    expect([...positions, reader.nextOffset]).toEqual([4, 5, 9]);
  });

  it('reads a batch of 200 000 tiny records, which kills the library', () => {
    const encoder = new RecordsEncoder();
    encoder.reset(0);
    for (let i = 0; i < 200_000; i++) encoder.add(null, null, 0);
    const reader = new RecordReader();
    reader.reset({
      batches: encodeRecordBatch({ records: encoder.take(), count: 200_000, baseTimestampMs: 0 }),
      fetchOffset: 0,
      abortedTransactions: [],
    });
    let count = 0;
    while (reader.next()) count++;
    expect([count, reader.nextOffset]).toEqual([200_000, 200_000]);
  });
});

describe('aborted transactions', () => {
  const inTransaction = (producerId: number, offset: number, ...values: string[]) =>
    batchOf(values, { producerId, transactional: true, baseOffset: offset });

  it('are skipped up to their marker, and those committed are not', () => {
    const batches = Buffer.concat([
      inTransaction(1, 0, 'aborted'),
      marker('abort', { baseOffset: 1, producerId: 1 }),
      inTransaction(1, 2, 'committed'),
      marker('commit', { baseOffset: 3, producerId: 1 }),
    ]);
    const answer = read(batches, 0, [{ producerId: 1, firstOffset: 0 }]);
    expect(text(answer.records)).toEqual(['committed']);
    expect(answer.nextOffset).toBe(4);
  });

  it('are all skipped when two overlap and the answer begins inside both (the library lets the second through)', () => {
    const batches = Buffer.concat([
      inTransaction(2, 15, 'second'),
      inTransaction(1, 16, 'first'),
      marker('abort', { baseOffset: 17, producerId: 1 }),
      inTransaction(2, 18, 'second again'),
      marker('abort', { baseOffset: 19, producerId: 2 }),
      inTransaction(2, 20, 'kept'),
    ]);
    const aborted = [
      { producerId: 2, firstOffset: 11 },
      { producerId: 1, firstOffset: 10 },
    ];
    expect(text(read(batches, 15, aborted).records)).toEqual(['kept']);
  });

  it('do not end at a record whose key looks like a marker', () => {
    const fake = encode([{ key: Buffer.alloc(4), value: Buffer.from('fake marker'), timestampMs: 0, headers: [] }]);
    const batches = Buffer.concat([
      encodeRecordBatch({ records: fake.take(), count: 1, baseTimestampMs: 0, producerId: 1, transactional: true }),
      inTransaction(1, 1, 'still aborted'),
      marker('abort', { baseOffset: 2, producerId: 1 }),
    ]);
    expect(read(batches, 0, [{ producerId: 1, firstOffset: 0 }])).toEqual({ records: [], nextOffset: 3 });
  });

  it('do not touch records of other producers, or of none', () => {
    const batches = Buffer.concat([
      inTransaction(1, 0, 'aborted'),
      inTransaction(2, 1, 'other'),
      batchOf(['plain'], { baseOffset: 2, producerId: 1 }),
    ]);
    expect(text(read(batches, 0, [{ producerId: 1, firstOffset: 0 }]).records)).toEqual(['other', 'plain']);
  });

  it('can follow one another: a commit marker ends nothing, and the next range of the same producer counts again', () => {
    const batches = Buffer.concat([
      inTransaction(1, 0, 'a1'),
      marker('abort', { baseOffset: 1, producerId: 1 }),
      inTransaction(1, 2, 'kept'),
      marker('commit', { baseOffset: 3, producerId: 1 }),
      inTransaction(1, 4, 'a2'),
      marker('abort', { baseOffset: 5, producerId: 1 }),
    ]);
    const aborted = [
      { producerId: 1, firstOffset: 0 },
      { producerId: 1, firstOffset: 4 },
    ];
    expect(text(read(batches, 0, aborted).records)).toEqual(['kept']);
  });
});

describe('findWholeBatches', () => {
  it('cuts a truncated last batch off, wherever it is cut', () => {
    const first = batchOf(['a', 'b'], { baseOffset: 4 });
    const second = batchOf(['c'], { baseOffset: 6 });
    const both = Buffer.concat([first, second]);
    for (let end = first.length; end < both.length; end++) {
      expect(findWholeBatches(both, 0, end)).toEqual({ end: first.length, nextOffset: 6 });
    }
    expect(findWholeBatches(both, 0, both.length)).toEqual({ end: both.length, nextOffset: 7 });
    expect(findWholeBatches(both, 0, BATCH_HEADER_BYTES)).toEqual({ end: 0, nextOffset: null });
  });
});

/** The batch with other attributes and a checksum that fits. */
function withAttributes(batch: Buffer, attributes: number): Buffer {
  const changed = Buffer.from(batch);
  changed.writeInt16BE(attributes, 21);
  changed.writeUInt32BE(crc32c(changed, 21), 17);
  return changed;
}

it('headers may be texts of any script: each is UTF-8, as an encoder writes it', () => {
  const anyText = fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 20 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(anyText, anyText), { minLength: 1, maxLength: 8 }), (headers) => {
      const encoder = new RecordsEncoder(4_096);
      encoder.reset(1000);
      encoder.add(null, Buffer.from('v'), 1000, headers);
      const batch = encodeRecordBatch({ records: encoder.take(), count: 1, baseTimestampMs: 1000 });
      const reader = new RecordReader();
      reader.reset({ batches: batch, fetchOffset: 0, abortedTransactions: [] });
      expect(reader.next()).toBe(true);
      // The last one of several with one name is told.
      const expected = new Map(headers.map(([name, value]) => [Buffer.from(name).toString(), Buffer.from(value).toString()]));
      const found = new Map([...reader.headers()].map(([name, value]) => [name, Buffer.from(value).toString()]));
      expect([...found]).toEqual([...expected]);
    }),
    { numRuns: 60 },
  );
});
