import { IngotError } from '../errors.ts';
import type { SinkTable } from '../ops/sink-events.ts';
import { insertAggregates, insertTransitions, upsertAlerts } from './rows.ts';
import { lockPositions, movePositions, partitionKey } from './sink-positions.ts';
import type { RawRecord, RejectedRecord, SinkRecord, SinkSlice } from './sink-slice.ts';
import type { SqlDatabase, SqlSession } from './sql-database.ts';

// One transaction: rows of several partitions and the positions after them, all or nothing.

export interface WrittenSlices {
  /** Slices whose partition had another position than they begin at: somebody else has written it. Nothing of them was written. */
  readonly moved: ReadonlySet<SinkSlice>;
  readonly tables: readonly { readonly table: SinkTable; readonly records: number; readonly written: number }[];
  /** What became a row of rejected_rows. */
  readonly rejected: readonly { readonly slice: SinkSlice; readonly record: RejectedRecord }[];
}

/**
 * Writes the slices, at most one per partition. Rows that the database cannot store are found by halving, and rejected. Rejects
 * with IngotError `DATABASE_UNREACHABLE` (the outcome is unknown; the same call again finds out) or `DATABASE_REFUSED`.
 */
export async function writeSlices(database: SqlDatabase, slices: readonly SinkSlice[]): Promise<WrittenSlices> {
  try {
    return await database.transaction((session) => new Writing(session, writeTogether).write(slices));
  } catch (error) {
    if (!isRowRefused(error)) throw error;
    return await database.transaction((session) => new Writing(session, writeHalving).write(slices));
  }
}

function isRowRefused(error: unknown): error is IngotError {
  return error instanceof IngotError && error.code === 'ROW_REFUSED';
}

/** Writes records by `insert`; those that the database refuses go to `reject`. */
type Strategy = <Value>(
  session: SqlSession,
  records: readonly SinkRecord<Value>[],
  into: { insert: (values: readonly Value[]) => Promise<void>; reject: (record: SinkRecord<Value>, error: IngotError) => void },
) => Promise<void>;

const writeTogether: Strategy = (_session, records, { insert }) => insert(records.map(({ value }) => value));

const writeHalving: Strategy = async (session, records, into) => {
  if (records.length === 0) return;
  await session.query('savepoint before_rows');
  try {
    await into.insert(records.map(({ value }) => value));
    await session.query('release savepoint before_rows');
  } catch (error) {
    if (!isRowRefused(error)) throw error;
    await session.query('rollback to savepoint before_rows');
    await session.query('release savepoint before_rows');
    if (records.length === 1) return into.reject(records[0]!, error);
    const half = records.length >> 1;
    await writeHalving(session, records.slice(0, half), into);
    await writeHalving(session, records.slice(half), into);
  }
};

/** One attempt. */
class Writing {
  readonly #session: SqlSession;
  readonly #strategy: Strategy;
  readonly #written = new Map<SinkTable, { records: number; written: number }>();
  readonly #rejected: { slice: SinkSlice; record: RejectedRecord }[] = [];

  constructor(session: SqlSession, strategy: Strategy) {
    this.#session = session;
    this.#strategy = strategy;
  }

  async write(slices: readonly SinkSlice[]): Promise<WrittenSlices> {
    const positions = await lockPositions(this.#session, slices);
    const positionOf = (slice: SinkSlice) => positions.get(partitionKey(slice));
    // A slice whose end is the position was written by an earlier attempt whose answer got lost.
    const moved = new Set(slices.filter((slice) => positionOf(slice) !== slice.from && positionOf(slice) !== slice.to));
    const due = slices.filter((slice) => positionOf(slice) === slice.from);
    if (due.length > 0) {
      await this.#writeAggregates(due);
      await this.#writeAlerts(due);
      for (const slice of due) for (const record of slice.rejected) this.#rejected.push({ slice, record });
      await insertRejected(this.#session, this.#rejected);
      await movePositions(this.#session, due);
    }
    const tables = [...this.#written].map(([table, counts]) => ({ table, ...counts }));
    return { moved, tables, rejected: this.#rejected };
  }

  #writeAggregates(slices: readonly SinkSlice[]): Promise<void> {
    const session = this.#session;
    return this.#writeRecords(
      slices,
      (slice) => slice.aggregates,
      async (rows) => [{ table: 'window_aggregates', records: rows.length, written: await insertAggregates(session, rows) }],
    );
  }

  #writeAlerts(slices: readonly SinkSlice[]): Promise<void> {
    const session = this.#session;
    return this.#writeRecords(
      slices,
      (slice) => slice.alerts,
      async (alerts) => [
        { table: 'alert_transitions', records: alerts.length, written: await insertTransitions(session, alerts) },
        { table: 'alerts', records: alerts.length, written: await upsertAlerts(session, alerts) },
      ],
    );
  }

  async #writeRecords<Value>(
    slices: readonly SinkSlice[],
    recordsOf: (slice: SinkSlice) => readonly SinkRecord<Value>[],
    insert: (values: readonly Value[]) => Promise<readonly { table: SinkTable; records: number; written: number }[]>,
  ): Promise<void> {
    const sliceOf = new Map<SinkRecord<Value>, SinkSlice>();
    for (const slice of slices) for (const record of recordsOf(slice)) sliceOf.set(record, slice);
    await this.#strategy(this.#session, [...sliceOf.keys()], {
      insert: async (values) => {
        for (const { table, records, written } of await insert(values)) this.#count(table, records, written);
      },
      reject: (record, error) => {
        this.#rejected.push({ slice: sliceOf.get(record)!, record: { ...record, reason: 'refused_by_database', detail: error.message } });
      },
    });
  }

  #count(table: SinkTable, records: number, written: number): void {
    if (records === 0) return;
    const counts = this.#written.get(table) ?? { records: 0, written: 0 };
    this.#written.set(table, { records: counts.records + records, written: counts.written + written });
  }
}

const KEPT_VALUE_BYTES = 4_096;

async function insertRejected(session: SqlSession, rejected: readonly { slice: SinkSlice; record: RejectedRecord }[]): Promise<void> {
  // One by one: they are few, and their bytes are of very different lengths.
  for (const { slice, record } of rejected) {
    await session.query(
      `insert into rejected_rows (topic, kafka_partition, kafka_offset, reason, detail, record_key, record_value)
       values ($1::text, $2::integer, $3::bigint, $4::text, $5::text, $6::bytea, $7::bytea) on conflict do nothing`,
      // PostgreSQL's texts hold no NUL.
      [slice.topic, slice.partition, record.offset, record.reason, record.detail.replaceAll('\0', ''), keyOf(record), firstBytesOf(record)],
    );
  }
}

function keyOf({ buffer, keyStart, keyEnd }: RawRecord): Buffer | null {
  return keyStart < 0 ? null : buffer.subarray(keyStart, keyEnd);
}

function firstBytesOf({ buffer, valueStart, valueEnd }: RawRecord): Buffer | null {
  return valueStart < 0 ? null : buffer.subarray(valueStart, Math.min(valueEnd, valueStart + KEPT_VALUE_BYTES));
}
