import { beforeAll, expect, test } from 'vitest';
import { encodeRecordBatch, RecordsEncoder } from '../../../src/core/record-batch.ts';
import { TopicFeed, type TopicFeedOptions } from '../../../src/dashboard/topic-feed.ts';
import { IngotError } from '../../../src/errors.ts';
import type { Fetched, FetchLoop, PartitionCursor, Watermarks } from '../../../src/kafka/log-port.ts';
import { configureLog } from '../../../src/ops/log.ts';
import type { ValueDecoder } from '../../../src/registry/value-decoder-port.ts';
import { waitUntil } from '../../support/wait-until.ts';

beforeAll(() => configureLog({ level: 'silent', format: 'json' }));

/** One partition whose answers the test gives; remembers from where it was read. */
class ScriptedLoop implements FetchLoop {
  readonly opened: number[] = [];
  #waiting: PromiseWithResolvers<Fetched> | null = null;

  open(_at: unknown, offset: number): PartitionCursor {
    this.opened.push(offset);
    return {
      next: () => {
        this.#waiting = Promise.withResolvers<Fetched>();
        return this.#waiting.promise;
      },
      close: () => this.fail(new IngotError('CURSOR_CLOSED', 'closed')),
    };
  }

  async answer(fetched: Partial<Fetched>): Promise<void> {
    const waiting = await waitUntil(() => this.#waiting, 'a fetch');
    this.#waiting = null;
    const rest = { topic: 't', partition: 0, fetchOffset: this.opened.at(-1)!, batches: Buffer.alloc(0), highWatermark: 0 };
    waiting.resolve({ ...rest, lastStableOffset: 0, logStartOffset: 0, abortedTransactions: [], sentAtMs: 0, ...fetched });
  }

  fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
  }

  get isFetching(): boolean {
    return this.#waiting !== null;
  }

  async close(): Promise<void> {}
}

/** Values are plain text; `?` needs a schema to be loaded, `!` cannot be read. */
function textDecoder(): ValueDecoder<string> & { loads: number; isRegistryUp: boolean } {
  let isLoaded = false;
  return {
    loads: 0,
    isRegistryUp: true,
    decode(buffer, start, end) {
      const value = buffer.toString('utf8', start, end);
      if (value === '!') return { kind: 'undecodable', detail: 'it is !' };
      return value === '?' && !isLoaded ? { kind: 'unknown_schema', schemaId: 7 } : { kind: 'value', value };
    },
    async load() {
      this.loads++;
      if (!this.isRegistryUp) throw new IngotError('REGISTRY_UNREACHABLE', 'away');
      isLoaded = true;
    },
  };
}

function batch(baseOffset: number, values: readonly (string | null)[]): Buffer {
  const encoder = new RecordsEncoder();
  encoder.reset(1_000);
  for (const value of values) encoder.add(Buffer.from('key'), value === null ? null : Buffer.from(value), 1_000);
  return encodeRecordBatch({ records: encoder.take(), count: values.length, baseTimestampMs: 1_000, baseOffset, appendTime: 5_000 });
}

async function start(watermarks: Watermarks, options: Partial<TopicFeedOptions<string>> = {}) {
  const loop = new ScriptedLoop();
  const seen: string[] = [];
  const decoder = textDecoder();
  const admin = { watermarks: async () => [watermarks] };
  const observe = (value: string, appendMs: number) => void seen.push(`${value}@${appendMs}`);
  const feed = new TopicFeed({ topic: 't', fetchLoop: loop, admin, decoder, backRecords: 10, behindRecordsMax: null, observe, ...options });
  const { isCut } = await feed.start();
  return { loop, seen, decoder, feed, isCut };
}

test('begins shortly before the end, and gives values with their append time', async () => {
  const { loop, seen, feed, isCut } = await start({ logStartOffset: 3, highWatermark: 50 });
  expect(loop.opened).toEqual([40]);
  expect(isCut).toBe(true);
  await loop.answer({ batches: batch(40, ['a', null, 'b']), highWatermark: 43 });
  await waitUntil(() => loop.isFetching, 'the next fetch');
  expect(seen).toEqual(['a@5000', 'b@5000']);
  await feed.close();
});

test('a whole log is read from its beginning', async () => {
  const { loop, feed, isCut } = await start({ logStartOffset: 0, highWatermark: 5 });
  expect(loop.opened).toEqual([0]);
  expect(isCut).toBe(false);
  await feed.close();
});

test('loads a schema that is new, and leaves out what cannot be decoded', async () => {
  const { loop, seen, decoder, feed } = await start({ logStartOffset: 0, highWatermark: 0 });
  await loop.answer({ batches: batch(0, ['?', '!', 'c']), highWatermark: 3 });
  await waitUntil(() => loop.isFetching, 'the next fetch');
  expect(seen).toEqual(['?@5000', 'c@5000']);
  expect(decoder.loads).toBe(1);
  await feed.close();
});

test('waits for a registry that is away', async () => {
  const { loop, seen, decoder, feed } = await start({ logStartOffset: 0, highWatermark: 0 });
  decoder.isRegistryUp = false;
  await loop.answer({ batches: batch(0, ['?']), highWatermark: 1 });
  await waitUntil(() => decoder.loads > 0, 'the first try');
  expect(seen).toEqual([]);
  decoder.isRegistryUp = true;
  await waitUntil(() => seen.length === 1, 'the value');
  await feed.close();
});

test('can be closed while the registry is away', async () => {
  const { loop, decoder, feed } = await start({ logStartOffset: 0, highWatermark: 0 });
  decoder.isRegistryUp = false;
  await loop.answer({ batches: batch(0, ['?']), highWatermark: 1 });
  await waitUntil(() => decoder.loads > 0, 'the first try');
  await feed.close();
});

test('a live feed that is far behind goes on near the end', async () => {
  const { loop, seen, feed } = await start({ logStartOffset: 0, highWatermark: 0 }, { behindRecordsMax: 100 });
  await loop.answer({ batches: batch(0, ['a']), highWatermark: 500 });
  await waitUntil(() => loop.opened.length === 2, 'the jump');
  expect(loop.opened).toEqual([0, 490]);
  await loop.answer({ batches: batch(490, ['z']), highWatermark: 500 });
  await waitUntil(() => seen.length === 2, 'the value near the end');
  await feed.close();
});

test('goes on after a batch that is damaged', async () => {
  const { loop, seen, feed } = await start({ logStartOffset: 0, highWatermark: 0 });
  const damaged = batch(0, ['a']);
  damaged[damaged.length - 3]! ^= 1;
  await loop.answer({ batches: damaged, highWatermark: 4, lastStableOffset: 4 });
  await waitUntil(() => loop.opened.length === 2, 'another cursor');
  expect(loop.opened).toEqual([0, 4]);
  await loop.answer({ batches: batch(4, ['b']), highWatermark: 5 });
  await waitUntil(() => seen.length === 1, 'the next value');
  await feed.close();
});

test('goes on near the end when the log no longer holds its place', async () => {
  const { loop, feed } = await start({ logStartOffset: 700, highWatermark: 702 }, { backRecords: 1 });
  await waitUntil(() => loop.isFetching, 'a fetch');
  loop.fail(new IngotError('OFFSET_OUT_OF_RANGE', 'gone'));
  await waitUntil(() => loop.opened.length === 2, 'another cursor');
  expect(loop.opened).toEqual([701, 701]);
  await feed.close();
});

test('an error that nobody foresaw is tried again from the same place', async () => {
  const { loop, seen, feed } = await start({ logStartOffset: 0, highWatermark: 0 });
  await loop.answer({ batches: batch(0, ['a']), highWatermark: 1 });
  await waitUntil(() => loop.isFetching && seen.length === 1, 'the next fetch');
  loop.fail(new Error('out of the blue'));
  await waitUntil(() => loop.opened.length === 2, 'another cursor');
  expect(loop.opened).toEqual([0, 1]);
  await feed.close();
});

test('asks again at the start while partitions have no leader, and not when there is no topic', async () => {
  let questions = 0;
  const unreachable = new IngotError('KAFKA_UNREACHABLE', 'no leader');
  const watermarks = () => (questions++ === 0 ? Promise.reject(unreachable) : Promise.resolve([{ logStartOffset: 0, highWatermark: 7 }]));
  const { loop, feed } = await start({ logStartOffset: 0, highWatermark: 0 }, { admin: { watermarks } });
  expect(loop.opened).toEqual([0]);
  await feed.close();
  const missing = { watermarks: () => Promise.reject(new IngotError('TOPIC_MISSING', 'none')) };
  await expect(start({ logStartOffset: 0, highWatermark: 0 }, { admin: missing })).rejects.toMatchObject({ code: 'TOPIC_MISSING' });
});
