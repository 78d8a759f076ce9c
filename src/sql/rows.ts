import type { Alert } from '../core/alert-record.ts';
import type { WindowAggregate } from '../core/window-aggregate.ts';
import type { SqlSession } from './sql-database.ts';

// The statements that write rows. Each takes a batch as one array per column; times are epoch milliseconds.

/** A table's columns with their SQL types as parameters, and the statement around them. */
interface Batch<Value> {
  readonly columns: readonly Column<Value>[];
  /** The statement, made once from the list of columns and the source of the rows. */
  readonly statement: string;
}

interface Column<Value> {
  readonly name: string;
  /** Of the parameter's elements. A time is a number of milliseconds and becomes a timestamptz. */
  readonly type: 'text' | 'bigint' | 'integer' | 'double precision' | 'boolean' | 'uuid' | 'jsonb' | 'time';
  read(value: Value): unknown;
}

function batch<Value>(columns: readonly Column<Value>[], around: (names: string, source: string) => string): Batch<Value> {
  const names = columns.map(({ name }) => name).join(', ');
  const parameters = columns.map(({ type }, index) => `$${index + 1}::${parameterType(type)}[]`).join(', ');
  const values = columns.map(({ name, type }) =>
    type === 'time' ? fromEpochMs(`r.${name}`) : type === 'jsonb' ? `r.${name}::jsonb` : `r.${name}`,
  );
  return { columns, statement: around(names, `select ${values.join(', ')} from unnest(${parameters}) as r(${names})`) };
}

function parameterType(type: Column<unknown>['type']): string {
  if (type === 'time') return 'double precision';
  // As text, because a driver would take an array of JSON for one JSON array.
  return type === 'jsonb' ? 'text' : type;
}

// Exact for every time that there is: milliseconds times 1000 are whole numbers below 2^53.
function fromEpochMs(milliseconds: string): string {
  return `timestamptz 'epoch' + ${milliseconds} * interval '1 millisecond'`;
}

/** Resolves with the number of rows that changed the table. Rejects with `ROW_REFUSED` when one of them cannot be stored. */
async function run<Value>(session: SqlSession, { columns, statement }: Batch<Value>, values: readonly Value[]): Promise<number> {
  if (values.length === 0) return 0;
  const parameters = columns.map((column) => values.map((value) => column.read(value)));
  const { rowCount } = await session.query(statement, parameters);
  return rowCount;
}

const AGGREGATES = batch<WindowAggregate>(
  [
    { name: 'device_id', type: 'text', read: (row) => row.deviceId },
    { name: 'metric', type: 'text', read: (row) => row.metric },
    { name: 'unit', type: 'text', read: (row) => row.unit },
    { name: 'window_start', type: 'time', read: (row) => row.windowStart },
    { name: 'window_end', type: 'time', read: (row) => row.windowEnd },
    { name: 'part', type: 'bigint', read: (row) => row.part },
    { name: 'count', type: 'bigint', read: (row) => row.count },
    { name: 'min', type: 'double precision', read: (row) => row.min },
    { name: 'max', type: 'double precision', read: (row) => row.max },
    { name: 'mean', type: 'double precision', read: (row) => row.mean },
    { name: 'sum', type: 'double precision', read: (row) => row.sum },
    { name: 'm2', type: 'double precision', read: (row) => row.m2 },
    { name: 'first', type: 'double precision', read: (row) => row.first },
    { name: 'first_time', type: 'time', read: (row) => row.firstTime },
    { name: 'last', type: 'double precision', read: (row) => row.last },
    { name: 'last_time', type: 'time', read: (row) => row.lastTime },
    { name: 'closed_by', type: 'text', read: (row) => row.closedBy },
    { name: 'labels', type: 'jsonb', read: (row) => JSON.stringify(row.labels) },
  ],
  (names, source) => `insert into window_aggregates (${names}) ${source} on conflict do nothing`,
);

const ALERT_COLUMNS: readonly Column<Alert>[] = [
  { name: 'alert_id', type: 'uuid', read: (alert) => alert.alertId },
  { name: 'fingerprint', type: 'text', read: (alert) => alert.fingerprint },
  { name: 'rule_id', type: 'text', read: (alert) => alert.ruleId },
  { name: 'rule_version', type: 'integer', read: (alert) => alert.ruleVersion },
  { name: 'device_id', type: 'text', read: (alert) => alert.deviceId },
  { name: 'metric', type: 'text', read: (alert) => alert.metric },
  { name: 'severity', type: 'text', read: (alert) => alert.severity },
  { name: 'state', type: 'text', read: (alert) => alert.state },
  { name: 'transition', type: 'text', read: (alert) => alert.transition },
  { name: 'transition_number', type: 'integer', read: (alert) => alert.transitionNumber },
  { name: 'value', type: 'double precision', read: (alert) => alert.value },
  { name: 'peak_value', type: 'double precision', read: (alert) => alert.peakValue },
  { name: 'threshold', type: 'double precision', read: (alert) => alert.threshold },
  { name: 'clear_threshold', type: 'double precision', read: (alert) => alert.clearThreshold },
  { name: 'unit', type: 'text', read: (alert) => alert.unit },
  { name: 'raised_at', type: 'time', read: (alert) => alert.raisedAt },
  { name: 'transition_at', type: 'time', read: (alert) => alert.transitionAt },
  { name: 'resolved_at', type: 'time', read: (alert) => alert.resolvedAt },
  { name: 'sample_count', type: 'bigint', read: (alert) => alert.sampleCount },
  { name: 'suppressed', type: 'boolean', read: (alert) => alert.suppressed },
  { name: 'acknowledged_by', type: 'text', read: (alert) => alert.acknowledgedBy },
  { name: 'summary', type: 'text', read: (alert) => alert.summary },
  { name: 'labels', type: 'jsonb', read: (alert) => JSON.stringify(alert.labels) },
  { name: 'evidence', type: 'jsonb', read: (alert) => JSON.stringify(alert.evidence) },
];

const TRANSITIONS = batch(ALERT_COLUMNS, (names, source) => `insert into alert_transitions (${names}) ${source} on conflict do nothing`);

const ALERTS = batch(ALERT_COLUMNS, (names, source) => {
  const changed = ALERT_COLUMNS.filter(({ name }) => name !== 'alert_id').map(({ name }) => `${name} = excluded.${name}`);
  // An earlier transition that comes again, or late, changes nothing.
  return `insert into alerts (${names}) ${source} on conflict (alert_id) do update set ${changed.join(', ')}
    where alerts.transition_number < excluded.transition_number`;
});

/** Writes parts of windows; those that are there already stay as they are. */
export function insertAggregates(session: SqlSession, rows: readonly WindowAggregate[]): Promise<number> {
  return run(session, AGGREGATES, rows);
}

/** Writes the history of alerts. */
export function insertTransitions(session: SqlSession, alerts: readonly Alert[]): Promise<number> {
  return run(session, TRANSITIONS, alerts);
}

/** Brings alerts to their newest transition. */
export function upsertAlerts(session: SqlSession, alerts: readonly Alert[]): Promise<number> {
  return run(session, ALERTS, [...newestById(alerts).values()]);
}

/** One statement may change a row once only. */
function newestById(alerts: readonly Alert[]): ReadonlyMap<string, Alert> {
  const newest = new Map<string, Alert>();
  for (const alert of alerts) {
    const known = newest.get(alert.alertId);
    if (known === undefined || known.transitionNumber < alert.transitionNumber) newest.set(alert.alertId, alert);
  }
  return newest;
}
