import { Counter, Gauge, Histogram } from 'prom-client';
import type { Alert } from '../core/alert-record.ts';
import type { FoldOutput } from '../core/fold-output.ts';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';
import { deadLettersTotal, endToEndLatencySeconds } from './pipeline-metrics.ts';
import { RecentSamples } from './recent-samples.ts';

// One function per observable event of the aggregator: its log line and its metrics together.

const registers = [metricsRegistry];
const consumed = new Counter({
  name: `${METRIC_PREFIX}readings_consumed_total`,
  help: 'Readings by what became of them.',
  labelNames: ['outcome'],
  registers,
});
const duplicates = new Counter({
  name: `${METRIC_PREFIX}readings_duplicate_total`,
  help: 'Readings recognised as redelivered.',
  registers,
});
const late = new Counter({
  name: `${METRIC_PREFIX}readings_late_total`,
  help: 'Counted readings whose window had already been emitted.',
  registers,
});
const notJudged = new Counter({
  name: `${METRIC_PREFIX}readings_not_judged_total`,
  help: 'Judgements left out because the reading was older than the last one judged.',
  registers,
});
const windows = new Counter({
  name: `${METRIC_PREFIX}windows_emitted_total`,
  help: 'Rows written to aggregates.',
  labelNames: ['closed_by'],
  registers,
});
const transitions = new Counter({
  name: `${METRIC_PREFIX}alert_transitions_total`,
  help: 'Records written to alerts.',
  labelNames: ['rule', 'severity', 'transition'],
  registers,
});
const transactionSeconds = new Histogram({
  name: `${METRIC_PREFIX}transaction_duration_seconds`,
  help: 'From the begin of a transaction to its commit.',
  buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5],
  registers,
});
const lag = new Gauge({
  name: `${METRIC_PREFIX}aggregator_lag_records`,
  help: 'Records not yet folded.',
  labelNames: ['partition'],
  registers,
});
const timeLag = new Gauge({
  name: `${METRIC_PREFIX}event_time_lag_seconds`,
  help: 'How far the partition clock is behind the wall clock.',
  labelNames: ['partition'],
  registers,
});
const deaths = new Counter({
  name: `${METRIC_PREFIX}partition_restarts_total`,
  help: 'Partition tasks that were dropped and restored after an error.',
  registers,
});
const otherSettings = new Gauge({
  name: `${METRIC_PREFIX}settings_overruled`,
  help: '1 while a partition runs other settings than this process was started with.',
  labelNames: ['partition'],
  registers,
});

const profiles = new Counter({
  name: `${METRIC_PREFIX}device_profiles_total`,
  help: 'Changes of device profiles: applied, or refused because they make no sense or are too many.',
  labelNames: ['outcome'],
  registers,
});

const logger = () => log('aggregator');

/** What the aggregator of this process has done since its start: for the terminal and the page. */
export interface AggregatorLedger {
  readonly consumed: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly late: number;
  readonly windowsEmitted: number;
  readonly alertsRaised: number;
  readonly alertsEnded: number;
  /** All of them, escalations too. */
  readonly alertTransitions: number;
  /** From the arrival at the bridge to the commit, for the oldest reading of each of the last transactions; null before the first. */
  readonly latencyMs: { readonly p50: number; readonly p99: number } | null;
}

const ledger = {
  consumed: 0,
  outcomes: {} as Record<string, number>,
  late: 0,
  windowsEmitted: 0,
  alertsRaised: 0,
  alertsEnded: 0,
  alertTransitions: 0,
};

const LATENCY_SAMPLES = 2_000;
const latencies = new RecentSamples(LATENCY_SAMPLES);

export function aggregatorLedger(): AggregatorLedger {
  const quantiles = latencies.quantiles([0.5, 0.99]);
  const latencyMs = quantiles === null ? null : { p50: quantiles[0]!, p99: quantiles[1]! };
  return { ...ledger, outcomes: { ...ledger.outcomes }, latencyMs };
}

/** A slice is committed: how long its oldest reading took since the bridge received it. */
export function sliceDelivered(latencyMs: number): void {
  endToEndLatencySeconds.observe({ stage: 'aggregator' }, Math.max(0, latencyMs) / 1000);
  latencies.add(Math.max(0, latencyMs));
}

export function transactionCommitted(of: { durationMs: number; output: FoldOutput }): void {
  const { counts, aggregates, alerts } = of.output;
  transactionSeconds.observe(of.durationMs / 1000);
  for (const [outcome, count] of Object.entries(counts.outcomes)) {
    if (count === 0) continue;
    consumed.inc({ outcome }, count);
    ledger.consumed += count;
    ledger.outcomes[outcome] = (ledger.outcomes[outcome] ?? 0) + count;
    if (outcome === 'duplicate') duplicates.inc(count);
    else if (outcome !== 'counted' && outcome !== 'not_aggregatable') deadLettersTotal.inc({ stage: 'aggregator', reason: outcome }, count);
  }
  late.inc(counts.late);
  notJudged.inc(counts.notJudged);
  ledger.late += counts.late;
  ledger.windowsEmitted += aggregates.length;
  for (const row of aggregates) windows.inc({ closed_by: row.closedBy });
  for (const alert of alerts) alertWritten(alert);
}

function alertWritten(alert: Alert): void {
  transitions.inc({ rule: alert.ruleId, severity: alert.severity, transition: alert.transition });
  if (alert.transition === 'RAISED') ledger.alertsRaised += 1;
  if (alert.transition === 'RESOLVED' || alert.transition === 'EXPIRED') ledger.alertsEnded += 1;
  ledger.alertTransitions += 1;
  logger().debug({ deviceId: alert.deviceId, rule: alert.ruleId, transition: alert.transition }, alert.summary);
}

export function partitionPosition(of: { partition: number; lagRecords: number; clockMs: number; nowMs: number }): void {
  const partition = String(of.partition);
  lag.set({ partition }, of.lagRecords);
  if (of.clockMs >= 0) timeLag.set({ partition }, Math.max(0, of.nowMs - of.clockMs) / 1000);
}

export function partitionRestored(of: { partition: number; devices: number; nextOffset: number; durationMs: number }): void {
  logger().info({ ...of, durationMs: Math.round(of.durationMs) }, 'partition restored');
}

export function partitionReleased(partition: number): void {
  lag.remove({ partition: String(partition) });
  timeLag.remove({ partition: String(partition) });
  logger().info({ partition }, 'partition released');
}

export function partitionDied(partition: number, error: Error): void {
  deaths.inc();
  logger().warn({ partition, error: error.message }, 'partition dropped; it is fenced and restored from the log');
}

export function settingsChanged(partition: number, settingsId: string): void {
  otherSettings.set({ partition: String(partition) }, 0);
  logger().info({ partition, settingsId }, 'settings changed');
}

export function settingsOverruled(partition: number, settingsId: string): void {
  otherSettings.set({ partition: String(partition) }, 1);
  logger().warn(
    { partition, settingsId },
    'other settings are in force: a process with a higher SETTINGS_VERSION or a later start brought them',
  );
}

export function schemaUnavailable(partition: number, schemaId: number, cause: unknown): void {
  const error = cause instanceof Error ? cause.message : String(cause);
  logger().warn({ partition, schemaId, error }, 'the registry did not give a schema; the partition waits for it');
}

export function profileRefused({ partition, offset, why }: { partition: number; offset: number; why: string }): void {
  profiles.inc({ outcome: 'refused' });
  logger().warn({ partition, offset, why }, 'a record of the devices topic makes no sense and is left out');
}

export function profileBatchRefused(of: { partition: number; nextOffset: number; error: string }): void {
  profiles.inc({ outcome: 'refused' });
  logger().error(of, 'a batch of the devices topic cannot be read; the profiles in it are left out');
}

export function profilesRefused(count: number, max: number): void {
  profiles.inc({ outcome: 'refused' }, count);
  logger().error({ count, max }, 'a partition has as many device profiles as it may have; new ones are left out');
}

export function profilesChanged(partition: number, count: number): void {
  profiles.inc({ outcome: 'applied' }, count);
  logger().info({ partition, count }, 'profiles of devices have changed');
}

export function lossAccepted(partition: number, lost: number): void {
  logger().error({ partition, lost }, 'readings were deleted before they were folded; going on after the gap, as told');
}

export function offsetCommitFailed(error: Error): void {
  logger().debug({ error: error.message }, 'offsets for lag tools were not committed; tried again in a moment');
}
