import type { FetchLoop, GroupMembership, LogAdmin } from '../kafka/log-port.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import type { RowWriter } from './row-writer.ts';
import type { SinkRecord, SinkSlice } from './sink-slice.ts';
import type { SqlDatabase } from './sql-database.ts';

// What the sink takes from outside.

/** One topic that the sink reads, with a group of its own. */
export interface SinkSource<Value> {
  readonly topic: string;
  readonly decoder: ValueDecoder<Value>;
  readonly membership: GroupMembership;
  /** Where the decoded records of a slice belong. */
  place(records: readonly SinkRecord<Value>[]): Pick<SinkSlice, 'aggregates' | 'alerts'>;
}

/** What all partitions of a process share. */
export interface SinkContext {
  readonly database: SqlDatabase;
  readonly writer: RowWriter;
  readonly admin: Pick<LogAdmin, 'watermarks'>;
  /** Reads committed records. */
  readonly fetchLoop: FetchLoop;
  /** Goes on when records were deleted before they were written, or when the log is not the one it was. */
  readonly acceptLoss: boolean;
}
