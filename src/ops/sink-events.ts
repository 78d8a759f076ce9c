import { Counter, Gauge, Histogram } from 'prom-client';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// What there is to see of the SQL sink: one function per event, log line and metric together.

const registers = [metricsRegistry];

const sinkRows = new Counter({
  name: `${METRIC_PREFIX}sink_rows_total`,
  help: 'Records of aggregates and alerts by table and outcome: written, unchanged (the database had it already), rejected.',
  labelNames: ['table', 'outcome'] as const,
  registers,
});
const batchSeconds = new Histogram({
  name: `${METRIC_PREFIX}sink_batch_duration_seconds`,
  help: 'Duration of the transactions that write rows.',
  buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  registers,
});
const sinkLag = new Gauge({
  name: `${METRIC_PREFIX}sink_lag_records`,
  help: 'Records of aggregates and alerts that are not written yet.',
  labelNames: ['topic', 'partition'] as const,
  registers,
});

/** What the sink of this process has done since its start: for the terminal and the page. */
export interface SinkLedger {
  /** Rows of window_aggregates. */
  readonly aggregatesWritten: number;
  /** Rows of alert_transitions. */
  readonly transitionsWritten: number;
  readonly rejected: number;
}

const ledger = { aggregatesWritten: 0, transitionsWritten: 0, rejected: 0 };

export function sinkLedger(): SinkLedger {
  return { ...ledger };
}

export type SinkTable = 'window_aggregates' | 'alerts' | 'alert_transitions';

/** A transaction was committed: `records` per table were handed to it, of which `written` changed the table. */
export function sinkBatchCommitted(event: {
  readonly durationMs: number;
  readonly tables: readonly { readonly table: SinkTable; readonly records: number; readonly written: number }[];
}): void {
  batchSeconds.observe(event.durationMs / 1000);
  for (const { table, records, written } of event.tables) {
    if (written > 0) sinkRows.inc({ table, outcome: 'written' }, written);
    if (records > written) sinkRows.inc({ table, outcome: 'unchanged' }, records - written);
    if (table === 'window_aggregates') ledger.aggregatesWritten += written;
    if (table === 'alert_transitions') ledger.transitionsWritten += written;
  }
}

/** A record became a row of rejected_rows instead. */
export function rowRejected(event: { topic: string; partition: number; offset: number; reason: string; detail: string }): void {
  sinkRows.inc({ table: 'rejected_rows', outcome: 'rejected' });
  ledger.rejected += 1;
  log('sink').warn(event, 'a record is no row; it is kept in rejected_rows');
}

export function sinkDatabaseFailed(event: { error: string; retryInMs: number }): void {
  log('sink').warn(event, 'the database did not take the rows; the partitions wait');
}

export function sinkPartitionStarted(event: { topic: string; partition: number; offset: number }): void {
  log('sink').info(event, 'partition taken');
}

export function sinkPartitionDelayed(event: { topic: string; partition: number; error: string; retryInMs: number }): void {
  log('sink').warn(event, 'a partition could not be started; it is tried again');
}

export function sinkPartitionStopped(event: { topic: string; partition: number }): void {
  sinkLag.remove({ topic: event.topic, partition: String(event.partition) });
  log('sink').info(event, 'partition released');
}

export function sinkPartitionMoved(event: { topic: string; partition: number }): void {
  log('sink').info(event, 'another sink has written this partition meanwhile; going on from its position');
}

export function sinkPosition(event: { topic: string; partition: number; lagRecords: number }): void {
  sinkLag.set({ topic: event.topic, partition: String(event.partition) }, event.lagRecords);
}

export function sinkSchemaAwaited(event: { topic: string; partition: number; schemaId: number; error: string }): void {
  log('sink').warn(event, 'the registry did not give a schema; the partition waits for it');
}

export function sinkLossAccepted(event: { topic: string; partition: number; from: number; to: number; why: string }): void {
  log('sink').error(event, 'going on after a gap, as told');
}

export function sinkOffsetsNotCommitted(error: Error): void {
  log('sink').debug({ error: error.message }, 'offsets for lag tools were not committed; tried again in a moment');
}

export function tablesMigrated(event: { version: number; address: string }): void {
  log('sink').info(event, 'tables made');
}
