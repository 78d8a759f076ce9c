import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IngotError } from '../../src/errors.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { configureLog } from '../../src/ops/log.ts';
import type { ValueDecoder } from '../../src/registry/value-decoder-port.ts';
import { PartitionReader } from '../../src/sql/partition-reader.ts';
import { createRowWriter, type RowWriter } from '../../src/sql/row-writer.ts';
import { MemoryLog } from '../support/memory-log.ts';
import { PositionsDatabase } from '../support/positions-database.ts';
import { aggregate } from '../support/sink-records.ts';
import { waitUntil } from '../support/wait-until.ts';
import { encodedRecords } from '../support/written-records.ts';

configureLog({ level: 'silent', format: 'json' });

// Values here are the numbers of parts as text; `?` is a value with an unknown schema, `!` one that cannot be decoded.

const AT = { topic: 'aggregates', partition: 0 };

class PartDecoder implements ValueDecoder<ReturnType<typeof aggregate>> {
  /** Rejects `load` so many times, then knows the schema. */
  outages = 0;
  #isLoaded = false;

  decode(buffer: Buffer, start: number, end: number) {
    const text = buffer.toString('utf8', start, end);
    if (text === '!') return { kind: 'undecodable', detail: 'no number' } as const;
    if (text.startsWith('?') && !this.#isLoaded) return { kind: 'unknown_schema', schemaId: 5 } as const;
    return { kind: 'value', value: aggregate({ part: Number(text.replace('?', '')) }) } as const;
  }

  async load(): Promise<void> {
    if (this.outages-- > 0) throw new IngotError('REGISTRY_UNREACHABLE', 'away');
    this.#isLoaded = true;
  }
}

let log: MemoryLog;
let client: LogClient;
let database: PositionsDatabase;
let decoder: PartDecoder;
let writer: RowWriter;
let nowMs: number;
const running: { reader: PartitionReader<ReturnType<typeof aggregate>>; life: Promise<void> }[] = [];

beforeEach(() => {
  nowMs = 1_700_000_000_000;
  log = new MemoryLog({ nowMs: () => nowMs });
  log.createTopic({ name: AT.topic, partitions: 1, replicationFactor: 1, configs: { 'message.timestamp.type': 'LogAppendTime' } });
  client = log.client();
  database = new PositionsDatabase();
  decoder = new PartDecoder();
  writer = createRowWriter(database, () => {});
});
afterEach(async () => {
  for (const { reader, life } of running.splice(0)) {
    reader.stop();
    await life.catch(() => {});
  }
  await writer.close();
  await client.close();
});

async function append(...values: (string | number)[]): Promise<void> {
  const lane = client.produceLane({ name: 'test', acks: 'all' });
  for (const batch of encodedRecords(
    AT.topic,
    1,
    values.map((value) => ({ key: 'd', value: String(value) })),
  ))
    await lane.send([batch]);
  await lane.close(1_000);
}

function read(options: { acceptLoss?: boolean } = {}): Promise<void> {
  const fetchLoop = client.fetchLoop({ name: 'sink', maxWaitMs: 20, maxBytesPerPartition: 1_048_576, isolation: 'committed' });
  const context = { database, writer, admin: client.admin(), fetchLoop, acceptLoss: options.acceptLoss ?? false };
  const membership = client.membership({ groupId: 'g', topic: AT.topic, sessionTimeoutMs: 10_000, evictOwnClientId: false });
  const place = (records: Parameters<ConstructorParameters<typeof PartitionReader<ReturnType<typeof aggregate>>>[1]['place']>[0]) => ({
    aggregates: records,
    alerts: [],
  });
  const reader = new PartitionReader(context, { topic: AT.topic, decoder, membership, place }, AT.partition);
  const life = reader.run();
  life.catch(() => {});
  running.push({ reader, life });
  return life;
}

const written = (...parts: number[]) =>
  waitUntil(() => database.parts.length === parts.length, `parts ${parts}`).then(() => expect(database.parts).toEqual(parts));

describe('a partition', () => {
  it('begins where the log begins', async () => {
    await append(1, 2, 3, 4);
    log.partition(AT).deleteBefore(2);
    void read();
    await written(3, 4);
    await append(5);
    await written(3, 4, 5);
    expect(database.positions.get('aggregates/0')).toEqual({ next: 5, last: 4, appendedAtMs: nowMs });
  });

  it('goes on at its position, after a look at the record before it', async () => {
    await append(1, 2, 3);
    database.put(AT, 2, { offset: 1, appendedAtMs: nowMs });
    void read();
    await written(3);
  });

  it('goes on at its position when retention has deleted the record before it', async () => {
    await append(1, 2, 3);
    database.put(AT, 2, { offset: 1, appendedAtMs: 1 });
    log.partition(AT).deleteBefore(2);
    void read();
    await written(3);
  });

  it('is refused when another record stands before its position; --accept-loss begins anew', async () => {
    await append(1, 2, 3);
    database.put(AT, 2, { offset: 1, appendedAtMs: nowMs - 1 });
    await expect(read()).rejects.toMatchObject({ code: 'LOG_REPLACED' });
    expect(database.parts).toEqual([]);
    void read({ acceptLoss: true });
    await written(1, 2, 3);
  });

  it('is refused when records were deleted before they were written; --accept-loss goes on after the gap', async () => {
    await append(1, 2, 3, 4);
    database.put(AT, 1, { offset: 0, appendedAtMs: nowMs });
    log.partition(AT).deleteBefore(3);
    await expect(read()).rejects.toMatchObject({ code: 'LOG_TRUNCATED', message: expect.stringContaining('offsets 1 to 3') });
    void read({ acceptLoss: true });
    await written(4);
  });

  it('ends when it is stopped while its position is still asked for, also when nothing is to be read', async () => {
    const life = read();
    running[0]!.reader.stop();
    await life;
  });

  it('goes on from where another sink has written to', async () => {
    await append(1, 2);
    void read();
    await written(1, 2);
    database.put(AT, 4, { offset: 3, appendedAtMs: nowMs });
    await append(3, 4, 5);
    await written(1, 2, 5);
  });

  it('waits for a schema, and leaves out nothing', async () => {
    decoder.outages = 2;
    await append(1, '?2', 3);
    void read();
    await written(1, 2, 3);
    expect(decoder.outages).toBeLessThan(0);
  });

  it('rejects what cannot be decoded, and goes on', async () => {
    await append(1, '!', 3, '!');
    void read();
    await written(1, 3);
    expect(database.rejected).toEqual([
      { offset: 1, reason: 'undecodable' },
      { offset: 3, reason: 'undecodable' },
    ]);
    expect(database.positions.get('aggregates/0')).toMatchObject({ next: 4 });
  });

  it('shows only what was committed, and moves over the markers', async () => {
    const lane = client.transactionLane({ transactionalId: 'a', transactionTimeoutMs: 1_000 });
    await lane.fence(AT);
    const [batch] = encodedRecords(AT.topic, 1, [{ key: 'd', value: '7' }]);
    await lane.commit([batch!]);
    await lane.close();
    void read();
    await written(7);
    await waitUntil(() => database.positions.get('aggregates/0')?.next === 4, 'the position after the marker');
  });

  it('stops in the middle without an error', async () => {
    await append(1);
    const life = read();
    await written(1);
    running[0]!.reader.stop();
    await life;
  });
});
