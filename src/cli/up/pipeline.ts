import { aggregatorLedger } from '../../ops/aggregator-events.ts';
import { sinkLedger } from '../../ops/sink-events.ts';
import { type AggregatorRole, startAggregatorRole } from '../roles/aggregator-role.ts';
import { type BridgeRole, startBridgeRole } from '../roles/bridge-role.ts';
import { startDashboardRole } from '../roles/dashboard-role.ts';
import { startNoticesRole } from '../roles/notices-role.ts';
import { startSinkRole } from '../roles/sink-role.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import type { StartProgress } from './start-progress.ts';
import type { PipelineSnapshot } from './status-block.ts';

// All roles in one process, as `ingot up` runs them. They talk to one another over Kafka only, as they do when each is a process.

export interface Pipeline extends RunningRole {
  snapshot(): PipelineSnapshot;
  /** Nothing is under way: no message in flight, nothing to fold, no window open, every row in SQL. */
  isQuiet(): boolean;
}

export interface PipelineOptions {
  readonly withPage: boolean;
  readonly progress: Pick<StartProgress, 'begin' | 'done'>;
}

/**
 * Starts the roles all at once: what each waits for (registry, group, database) is another thing, and they meet only in Kafka. Rejects
 * with what keeps one from starting; then nothing is left running.
 */
export async function startPipeline(surroundings: RoleSurroundings, { withPage, progress }: PipelineOptions): Promise<Pipeline> {
  const startedAtMs = performance.now();
  const start = async <Role extends RunningRole>(name: string, starting: Promise<Role>): Promise<Role> => {
    progress.begin(name);
    return starting.finally(() => progress.done(name));
  };
  let bridgeEvents: BridgeRole['events'] | null = null;
  const ledger = () => (bridgeEvents === null ? null : { bridge: bridgeEvents.ledger(), aggregator: aggregatorLedger() });
  const starting = [
    start('bridge', startBridgeRole(surroundings)),
    start('aggregator', startAggregatorRole(surroundings, { acceptLoss: false })),
    start('SQL sink', startSinkRole(surroundings, { acceptLoss: false })),
    surroundings.config.alerts.toMqtt ? start('alert notices', startNoticesRole(surroundings)) : null,
    withPage ? start('page', startDashboardRole(surroundings, { ledger })) : null,
  ] as const;
  await allOrNone(starting.filter((role) => role !== null));
  const [bridge, aggregator, sink, notices, page] = await Promise.all(starting);
  bridgeEvents = bridge.events;
  const parts = { aggregator, bridge, startedAtMs };
  let partitionSums: PartitionSums = { devices: 0, openWindows: 0, alertsFiring: 0, lagRecords: 0 };
  return {
    // In the order of the flow: the entrance first, the page last.
    drainSteps: [bridge, aggregator, sink, notices, page].flatMap((role) => role?.drainSteps ?? []),
    ended: Promise.race([bridge.ended, aggregator.ended, sink.ended]),
    routes: page?.routes ?? [],
    snapshot: () => {
      // A partition that was given up tells nothing more: what it said last stands while everything stops.
      partitionSums = sumsOf(aggregator) ?? partitionSums;
      return { ...snapshotOf(parts), ...partitionSums };
    },
    isQuiet: () => isQuiet(parts),
  };
}

const STOP_AFTER_FAILED_START_MS = 2_000;

/** When one does not start, those that did are stopped, and its error is the rejection. */
async function allOrNone(starting: readonly Promise<RunningRole>[]): Promise<void> {
  const results = await Promise.allSettled(starting);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed === undefined) return;
  for (const result of results) {
    if (result.status === 'rejected') continue;
    for (const step of result.value.drainSteps) await step.stop(STOP_AFTER_FAILED_START_MS).catch(() => undefined);
  }
  throw failed.reason;
}

interface PipelineParts {
  readonly aggregator: AggregatorRole;
  readonly bridge: BridgeRole;
  readonly startedAtMs: number;
}

type PartitionSums = Pick<PipelineSnapshot, 'devices' | 'openWindows' | 'alertsFiring' | 'lagRecords'>;

/** Null while no partition is ours. */
function sumsOf({ aggregator }: AggregatorRole): PartitionSums | null {
  const partitions = [...aggregator.partitions().values()].filter((status) => status !== null);
  if (partitions.length === 0) return null;
  const sum = (field: 'devices' | 'openParts' | 'alertsFiring' | 'lagRecords'): number =>
    partitions.reduce((total, status) => total + status[field], 0);
  return { devices: sum('devices'), openWindows: sum('openParts'), alertsFiring: sum('alertsFiring'), lagRecords: sum('lagRecords') };
}

function snapshotOf({ bridge, startedAtMs }: PipelineParts): Omit<PipelineSnapshot, keyof PartitionSums> {
  const { aggregatesWritten, transitionsWritten } = sinkLedger();
  return {
    runningForMs: performance.now() - startedAtMs,
    bridge: bridge.events.ledger(),
    aggregator: aggregatorLedger(),
    sqlRows: aggregatesWritten + transitionsWritten,
  };
}

function isQuiet({ aggregator, bridge }: PipelineParts): boolean {
  const partitions = [...aggregator.aggregator.partitions().values()];
  const ledger = aggregatorLedger();
  const rows = sinkLedger();
  return (
    bridge.events.ledger().inFlight === 0 &&
    ledger.consumed >= bridge.events.ledger().produced &&
    partitions.length > 0 &&
    partitions.every((status) => status !== null && status.lagRecords === 0 && status.openParts === 0) &&
    rows.aggregatesWritten + rows.rejected >= ledger.windowsEmitted &&
    rows.transitionsWritten + rows.rejected >= ledger.alertTransitions
  );
}
