import { IngotError } from '../../src/errors.ts';
import type { TopicPartition } from '../../src/kafka/log-port.ts';
import type { SqlDatabase, SqlRow } from '../../src/sql/sql-database.ts';

interface Position {
  readonly next: number;
  readonly last: number | null;
  readonly appendedAtMs: number | null;
}

/** A database that keeps positions and counts rows, and what a test may do to it. */
export class PositionsDatabase implements SqlDatabase {
  readonly address = 'a database in memory';
  rowsPerTransaction = 100;
  transactionIntervalMs = 0;
  readonly positions = new Map<string, Position>();
  /** Partitions per transaction. */
  readonly transactions: string[][] = [];
  /** `part` of every row of window_aggregates, in the order of writing. */
  readonly parts: number[] = [];
  /** Offset and reason of every row of rejected_rows. */
  readonly rejected: { readonly offset: number; readonly reason: string }[] = [];
  /** What the next transactions do instead of committing. */
  readonly failures: ('before commit' | 'after commit')[] = [];
  /** Held transactions wait here. */
  gate: Promise<void> = Promise.resolve();

  put({ topic, partition }: TopicPartition, next: number, last: { offset: number; appendedAtMs: number } | null = null): void {
    this.positions.set(`${topic}/${partition}`, { next, last: last?.offset ?? null, appendedAtMs: last?.appendedAtMs ?? null });
  }

  async transaction<Result>(work: (session: SqlDatabase) => Promise<Result>): Promise<Result> {
    const before = new Map(this.positions);
    const partsBefore = this.parts.length;
    this.transactions.push([]);
    const result = await work(this);
    await this.gate;
    const failure = this.failures.shift();
    if (failure === undefined) return result;
    if (failure === 'before commit') {
      for (const [key, position] of before) this.positions.set(key, position);
      this.parts.length = partsBefore;
    }
    throw new IngotError('DATABASE_UNREACHABLE', 'The database in memory is away.');
  }

  async query(text: string, parameters: readonly unknown[] = []): Promise<{ rows: SqlRow[]; rowCount: number }> {
    const rows = this.#answer(text, parameters);
    return { rows, rowCount: rows.length };
  }

  async runScript(): Promise<void> {}
  async close(): Promise<void> {}

  #answer(text: string, parameters: readonly unknown[]): SqlRow[] {
    if (text.includes('for update')) return this.#locked(parameters as [string[], number[]]);
    if (text.startsWith('update sink_positions as p')) return this.#moved(parameters as MovedPositions);
    if (text.startsWith('update sink_positions')) {
      const [topic, partition, next] = parameters as [string, number, number];
      this.put({ topic, partition }, next);
    } else if (text.startsWith('insert into sink_positions')) {
      const [topic, partition, next] = parameters as [string, number, number];
      if (!this.positions.has(`${topic}/${partition}`)) this.put({ topic, partition }, next);
    } else if (text.startsWith('insert into rejected_rows')) {
      this.rejected.push({ offset: parameters[2] as number, reason: parameters[3] as string });
    } else if (text.startsWith('insert into window_aggregates')) {
      this.parts.push(...(parameters[5] as number[]));
      return (parameters[5] as number[]).map(() => ({}));
    } else if (text.startsWith('select next_offset')) {
      const { next, last, appendedAtMs } = this.positions.get(`${parameters[0]}/${parameters[1]}`)!;
      return [{ next_offset: String(next), last_offset: asText(last), last_appended_at_ms: asText(appendedAtMs) }];
    }
    return [];
  }

  #locked([topics, partitions]: [string[], number[]]): SqlRow[] {
    return topics.flatMap((topic, index) => {
      const partition = partitions[index]!;
      this.transactions.at(-1)!.push(`${topic}/${partition}`);
      const position = this.positions.get(`${topic}/${partition}`);
      return position === undefined ? [] : [{ topic, kafka_partition: partition, next_offset: String(position.next) }];
    });
  }

  #moved([topics, partitions, nexts, lasts, times]: MovedPositions): SqlRow[] {
    for (const [index, topic] of topics.entries()) {
      const key = `${topic}/${partitions[index]}`;
      const known = this.positions.get(key)!;
      const last = lasts[index] ?? known.last;
      this.positions.set(key, { next: nexts[index]!, last, appendedAtMs: times[index] ?? known.appendedAtMs });
    }
    return [];
  }
}

type MovedPositions = [topics: string[], partitions: number[], nexts: number[], lasts: (number | null)[], times: (number | null)[]];

const asText = (value: number | null): string | null => (value === null ? null : String(value));
