import { describe, expect, test } from 'vitest';
import { readTopics } from '../../../src/cli/tail/read-topics.ts';
import { encodeRecordBatch, RecordsEncoder } from '../../../src/core/record-batch.ts';
import type { Fetched, LogAdmin, LogClient, PartitionCursor } from '../../../src/kafka/log-port.ts';

// A log of one topic that only knows how to be read, so that the order of arrival can be chosen.

interface Written {
  readonly value: string;
  readonly timeMs: number;
}

class ScriptedLog {
  readonly partitions: Written[][];
  /** Per partition: resolved to let the next fetch answer. Undefined: it answers at once. */
  readonly gates = new Map<number, Promise<void>>();
  lastStable = new Map<number, number>();
  openCursors = 0;
  #wake = Promise.withResolvers<void>();

  constructor(partitions: Written[][]) {
    this.partitions = partitions;
  }

  append(partition: number, record: Written): void {
    this.partitions[partition]!.push(record);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  client(): LogClient {
    const admin: Partial<LogAdmin> = {
      watermarks: async () => this.partitions.map((records) => ({ logStartOffset: 0, highWatermark: records.length })),
      offsetsAtTime: async (_topic, timeMs) =>
        this.partitions.map((records) => {
          const found = records.findIndex((record) => record.timeMs >= timeMs);
          return found < 0 ? records.length : found;
        }),
      close: async () => {},
    };
    const fetchLoop = () => ({
      open: (at: { partition: number }, offset: number) => this.#cursor(at.partition, offset),
      close: async () => {},
    });
    return { admin: () => admin, fetchLoop } as unknown as LogClient;
  }

  #cursor(partition: number, offset: number): PartitionCursor {
    this.openCursors++;
    let position = offset;
    return {
      next: async () => {
        await this.gates.get(partition);
        const records = this.partitions[partition]!;
        if (position >= records.length) await this.#wake.promise;
        const fetched = this.#answer(partition, position);
        position = Math.min(records.length, this.lastStable.get(partition) ?? records.length);
        return fetched;
      },
      close: () => {
        this.openCursors--;
      },
    };
  }

  #answer(partition: number, fetchOffset: number): Fetched {
    const records = this.partitions[partition]!;
    const lastStableOffset = this.lastStable.get(partition) ?? records.length;
    const batches = records.slice(fetchOffset, lastStableOffset).map(({ value, timeMs }, index) => {
      const encoder = new RecordsEncoder();
      encoder.reset(timeMs);
      encoder.add(Buffer.from('key'), Buffer.from(value), timeMs, [['name', 'header']]);
      return encodeRecordBatch({
        records: encoder.take(),
        count: 1,
        baseTimestampMs: timeMs,
        maxTimestampMs: timeMs,
        baseOffset: fetchOffset + index,
      });
    });
    const marks = { highWatermark: records.length, lastStableOffset, logStartOffset: 0 };
    return { topic: 't', partition, fetchOffset, batches: Buffer.concat(batches), ...marks, abortedTransactions: [], sentAtMs: 0 };
  }
}

async function read(log: ScriptedLog, options: Partial<Parameters<typeof readTopics>[1]> = {}): Promise<string[]> {
  const values: string[] = [];
  const all = { topics: ['t'], since: { kind: 'beginning' as const }, follow: false, signal: new AbortController().signal, ...options };
  for await (const record of readTopics(log.client(), all)) values.push(record.value?.toString() ?? '');
  return values;
}

const twoPartitions = () =>
  new ScriptedLog([
    [
      { value: 'a', timeMs: 10 },
      { value: 'd', timeMs: 40 },
    ],
    [
      { value: 'b', timeMs: 20 },
      { value: 'c', timeMs: 30 },
    ],
    [],
  ]);

describe('until the end', () => {
  test('partitions are merged in the order of writing, and every cursor is closed', async () => {
    const log = twoPartitions();
    expect(await read(log)).toEqual(['a', 'b', 'c', 'd']);
    expect(log.openCursors).toBe(0);
  });

  test('a slow partition is waited for', async () => {
    const log = twoPartitions();
    const gate = Promise.withResolvers<void>();
    log.gates.set(1, gate.promise);
    const reading = read(log);
    await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    expect(await reading).toEqual(['a', 'b', 'c', 'd']);
  });

  test('an open transaction does not make it wait for ever', async () => {
    const log = twoPartitions();
    log.lastStable.set(1, 1);
    expect(await read(log)).toEqual(['a', 'b', 'd']);
  });

  test('until a time: what was written then and later is left out, and nothing is waited for', async () => {
    const log = twoPartitions();
    expect(await read(log, { untilMs: 30, follow: true })).toEqual(['a', 'b']);
    expect(await read(log, { untilMs: 10 })).toEqual([]);
    expect(log.openCursors).toBe(0);
  });

  test('records have key, headers and time', async () => {
    const records = [];
    const options = { topics: ['t'], since: { kind: 'time' as const, timeMs: 35 }, follow: false, signal: new AbortController().signal };
    for await (const record of readTopics(twoPartitions().client(), options)) records.push(record);
    expect(records).toEqual([
      { topic: 't', partition: 0, offset: 1, timestampMs: 40, key: 'key', value: Buffer.from('d'), headers: new Map([['name', 'header']]) },
    ]);
  });
});

describe('following', () => {
  test('goes on with what comes, until the signal', async () => {
    const log = twoPartitions();
    const stop = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const record of readTopics(log.client(), { topics: ['t'], since: { kind: 'now' }, follow: true, signal: stop.signal })) {
        seen.push(record.value?.toString() ?? '');
        if (seen.length === 1) log.append(2, { value: 'f', timeMs: 60 });
        else stop.abort();
      }
    })();
    while (log.openCursors < 3) await new Promise((resolve) => setImmediate(resolve));
    log.append(0, { value: 'e', timeMs: 50 });
    await reading;
    expect(seen).toEqual(['e', 'f']);
    expect(log.openCursors).toBe(0);
  });
});
