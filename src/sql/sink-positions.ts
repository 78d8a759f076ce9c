import type { TopicPartition } from '../kafka/log-port.ts';
import type { LastRecord, SinkSlice } from './sink-slice.ts';
import type { SqlDatabase, SqlRow, SqlSession } from './sql-database.ts';

// Up to where each partition has been written. The database has the truth, because it changes together with the rows.

export interface SinkPosition {
  readonly nextOffset: number;
  /** Null before the first record. */
  readonly last: LastRecord | null;
}

/** The position of a partition; a new one begins at `startOffset`. */
export async function loadPosition(
  database: SqlDatabase,
  { topic, partition }: TopicPartition,
  startOffset: number,
): Promise<SinkPosition> {
  await database.query(
    'insert into sink_positions (topic, kafka_partition, next_offset) values ($1::text, $2::integer, $3::bigint) on conflict do nothing',
    [topic, partition, startOffset],
  );
  const { rows } = await database.query(
    `select next_offset::text, last_offset::text, round(extract(epoch from last_appended_at) * 1000)::text as last_appended_at_ms
     from sink_positions where topic = $1::text and kafka_partition = $2::integer`,
    [topic, partition],
  );
  return toPosition(rows[0]!);
}

function toPosition({ next_offset, last_offset, last_appended_at_ms }: SqlRow): SinkPosition {
  const last = last_offset === null ? null : { offset: Number(last_offset), appendedAtMs: Number(last_appended_at_ms) };
  return { nextOffset: Number(next_offset), last };
}

/** Sets a position aside from the rows: after a loss that was accepted. */
export async function resetPosition(database: SqlDatabase, { topic, partition }: TopicPartition, nextOffset: number): Promise<void> {
  await database.query(
    `update sink_positions set next_offset = $3::bigint, last_offset = null, last_appended_at = null
     where topic = $1::text and kafka_partition = $2::integer`,
    [topic, partition, nextOffset],
  );
}

export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** Positions by partitionKey, which nobody else changes until the end of the transaction. */
export async function lockPositions(session: SqlSession, partitions: readonly TopicPartition[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await session.query(
    `select topic, kafka_partition, next_offset::text from sink_positions
     where (topic, kafka_partition) in (select * from unnest($1::text[], $2::integer[]))
     order by topic, kafka_partition for update`,
    [partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)],
  );
  const keyOf = (row: SqlRow) => partitionKey({ topic: String(row.topic), partition: Number(row.kafka_partition) });
  return new Map(rows.map((row) => [keyOf(row), Number(row.next_offset)]));
}

/** Moves the positions to the ends of the slices. */
export async function movePositions(session: SqlSession, slices: readonly SinkSlice[]): Promise<void> {
  await session.query(
    `update sink_positions as p set
       next_offset = n.next_offset,
       last_offset = coalesce(n.last_offset, p.last_offset),
       last_appended_at = coalesce(timestamptz 'epoch' + n.appended_at * interval '1 millisecond', p.last_appended_at)
     from unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::double precision[])
       as n(topic, kafka_partition, next_offset, last_offset, appended_at)
     where p.topic = n.topic and p.kafka_partition = n.kafka_partition`,
    [
      slices.map(({ topic }) => topic),
      slices.map(({ partition }) => partition),
      slices.map(({ to }) => to),
      slices.map(({ last }) => last?.offset ?? null),
      slices.map(({ last }) => last?.appendedAtMs ?? null),
    ],
  );
}
