import { afterEach, describe, expect, it } from 'vitest';
import { configureLog } from '../../src/ops/log.ts';
import { createRowWriter, type RowWriter } from '../../src/sql/row-writer.ts';
import { PositionsDatabase } from '../support/positions-database.ts';
import { aggregate, slice } from '../support/sink-records.ts';
import { waitUntil } from '../support/wait-until.ts';

configureLog({ level: 'silent', format: 'json' });

const sliceOf = (partition: number, from = 0, rows = 10) =>
  slice({ topic: 't', partition, from, rows: Array.from({ length: rows }, (_, part) => aggregate({ part })) });

describe('the row writer', () => {
  let writer: RowWriter;
  const open = (change: Partial<PositionsDatabase> = {}) => {
    const database = Object.assign(new PositionsDatabase(), change);
    for (let partition = 0; partition < 5; partition++) database.put({ topic: 't', partition }, 0);
    const health: (string | null)[] = [];
    writer = createRowWriter(database, (error) => health.push(error === null ? null : error.message));
    return { database, health };
  };
  afterEach(() => writer.close());

  it('writes what gathers during a transaction in the next one', async () => {
    const gate = Promise.withResolvers<void>();
    const { database } = open({ gate: gate.promise });
    const first = writer.write(sliceOf(0));
    await waitUntil(() => database.transactions.length === 1, 'the first transaction');
    const writes = [first, ...[1, 2, 3].map((partition) => writer.write(sliceOf(partition)))];
    gate.resolve();
    expect(await Promise.all(writes)).toEqual(['written', 'written', 'written', 'written']);
    expect(database.transactions).toEqual([['t/0'], ['t/1', 't/2', 't/3']]);
    expect([...database.positions.values()].map(({ next }) => next)).toEqual([10, 10, 10, 10, 0]);
  });

  it('holds no more rows in a transaction than the database wants, but one slice in any case', async () => {
    const gate = Promise.withResolvers<void>();
    const { database } = open({ gate: gate.promise, rowsPerTransaction: 25 });
    const writes = [sliceOf(0), sliceOf(1), sliceOf(2), sliceOf(3, 0, 40), sliceOf(4)].map((one) => writer.write(one));
    gate.resolve();
    await Promise.all(writes);
    expect(database.transactions).toEqual([['t/0', 't/1'], ['t/2'], ['t/3'], ['t/4']]);
  });

  it('waits between two transactions while there are few rows', async () => {
    const { database } = open({ transactionIntervalMs: 200 });
    await writer.write(sliceOf(0));
    const startedAtMs = performance.now();
    const writes = [writer.write(sliceOf(1)), writer.write(sliceOf(2))];
    await Promise.all(writes);
    expect(performance.now() - startedAtMs).toBeGreaterThan(100);
    expect(database.transactions).toEqual([['t/0'], ['t/1', 't/2']]);
    // Enough for a whole transaction does not wait.
    const beganAtMs = performance.now();
    await writer.write(sliceOf(3, 0, 100));
    expect(performance.now() - beganAtMs).toBeLessThan(100);
  });

  it('tries again when the database fails, and writes nothing twice when only its answer was lost', async () => {
    const { database, health } = open();
    database.failures.push('before commit', 'after commit');
    expect(await writer.write(sliceOf(0))).toBe('written');
    expect(database.transactions).toHaveLength(3);
    expect(database.positions.get('t/0')?.next).toBe(10);
    expect(health).toEqual(['The database in memory is away.', 'The database in memory is away.', null]);
  });

  it('says moved to the slice whose position another has moved, and writes the others', async () => {
    const gate = Promise.withResolvers<void>();
    const { database } = open({ gate: gate.promise });
    const first = writer.write(sliceOf(0));
    const writes = [writer.write(sliceOf(1, 50)), writer.write(sliceOf(2))];
    gate.resolve();
    expect(await first).toBe('written');
    expect(await Promise.all(writes)).toEqual(['moved', 'written']);
    expect([database.positions.get('t/1')?.next, database.positions.get('t/2')?.next]).toEqual([0, 10]);
  });

  it('ends after the transaction that is under way; what waits and what comes later is rejected', async () => {
    const gate = Promise.withResolvers<void>();
    const { database } = open({ gate: gate.promise });
    const underWay = writer.write(sliceOf(0));
    await waitUntil(() => database.transactions.length === 1, 'the transaction');
    const waiting = writer.write(sliceOf(1));
    const rejected = expect(waiting).rejects.toThrow(/abort/i);
    const closed = writer.close();
    gate.resolve();
    await closed;
    await rejected;
    expect(await underWay).toBe('written');
    await expect(writer.write(sliceOf(2))).rejects.toThrow(/abort/i);
    expect(database.transactions).toEqual([['t/0']]);
  });

  it('stops trying again when it is closed', async () => {
    const { database } = open();
    database.failures.push(...Array.from({ length: 50 }, () => 'before commit' as const));
    const failing = expect(writer.write(sliceOf(0))).rejects.toThrow(/abort/i);
    await writer.close();
    await failing;
  });
});
