import type { SqlRow, SqlSession } from '../../src/sql/sql-database.ts';
import type { AggregateRow, AlertRow } from './oracle/output-rows.ts';

// The sink's tables, read back as rows of the topics, so that the two can be compared (I12).

const epochMs = (column: string) => `(extract(epoch from ${column}) * 1000)::bigint::text as ${column}`;
const text = (column: string) => `${column}::text as ${column}`;

const AGGREGATE_COLUMNS = [
  ...['device_id', 'metric', 'unit', 'min', 'max', 'mean', 'sum', 'm2', 'first', 'last', 'closed_by', 'labels'],
  ...['part', 'count'].map(text),
  ...['window_start', 'window_end', 'first_time', 'last_time'].map(epochMs),
];

const ALERT_COLUMNS = [
  ...['alert_id', 'fingerprint', 'rule_id', 'rule_version', 'device_id', 'metric', 'severity', 'state', 'transition', 'value'],
  ...['peak_value', 'threshold', 'clear_threshold', 'unit', 'transition_number', 'suppressed', 'acknowledged_by', 'summary'],
  ...['labels', 'evidence'],
  text('sample_count'),
  ...['raised_at', 'transition_at', 'resolved_at'].map(epochMs),
];

const WHOLE_NUMBERS: ReadonlySet<string> = new Set([
  ...['part', 'count', 'sample_count'],
  ...['window_start', 'window_end', 'first_time', 'last_time', 'raised_at', 'transition_at', 'resolved_at'],
]);

export async function readAggregateRows(database: SqlSession): Promise<AggregateRow[]> {
  const { rows } = await database.query(`select ${AGGREGATE_COLUMNS.join(', ')} from window_aggregates`);
  return rows.map((row) => camelCased(row) as unknown as AggregateRow);
}

export async function readAlertRows(database: SqlSession, table: 'alerts' | 'alert_transitions'): Promise<AlertRow[]> {
  const { rows } = await database.query(`select ${ALERT_COLUMNS.join(', ')} from ${table}`);
  return rows.map((row) => camelCased(row) as unknown as AlertRow);
}

function camelCased(row: SqlRow): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => [
      column.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
      WHOLE_NUMBERS.has(column) && value !== null ? Number(value) : value,
    ]),
  );
}

export function byAggregateKey(a: AggregateRow, b: AggregateRow): number {
  return compare(aggregateKey(a), aggregateKey(b));
}

export function byTransition(a: AlertRow, b: AlertRow): number {
  return compare(a.alertId, b.alertId) || a.transitionNumber - b.transitionNumber;
}

/** The last record of each key: of an alert the newest transition. */
export function newestTransitions(alerts: readonly AlertRow[]): AlertRow[] {
  return [...new Map(alerts.map((alert) => [alert.alertId, alert])).values()];
}

function aggregateKey({ deviceId, metric, windowStart, windowEnd, part }: AggregateRow): string {
  return JSON.stringify([deviceId, metric, windowStart, windowEnd, part]);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
