import { aggregatorLedger } from '../../ops/aggregator-events.ts';
import type { DrainStep } from '../../ops/shutdown.ts';
import { sinkLedger } from '../../ops/sink-events.ts';
import { type AggregatorRole, startAggregatorRole } from '../roles/aggregator-role.ts';
import { type BridgeRole, startBridgeRole } from '../roles/bridge-role.ts';
import { startDashboardRole } from '../roles/dashboard-role.ts';
import { type SinkRole, startSinkRole } from '../roles/sink-role.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import type { PipelineSnapshot } from './status-block.ts';

// All roles in one process, as `ingot up` runs them. They talk to one another over Kafka only, as they do when each is a process.

export interface Pipeline extends RunningRole {
  snapshot(): PipelineSnapshot;
  /** Nothing is under way: no message in flight, nothing to fold, no window open, every row in SQL. */
  isQuiet(): boolean;
}

/** Starts the roles against the flow, so that what comes in finds everything after it ready. */
export async function startPipeline(surroundings: RoleSurroundings, options: { withPage: boolean }): Promise<Pipeline> {
  const startedAtMs = performance.now();
  const roles: RunningRole[] = [];
  const started = async <Role extends RunningRole>(starting: Promise<Role>): Promise<Role> => {
    const role = await starting;
    roles.unshift(role);
    return role;
  };
  try {
    const aggregator = await started(startAggregatorRole(surroundings, { acceptLoss: false }));
    const sink = await started(startSinkRole(surroundings, { acceptLoss: false }));
    const bridge = await started(startBridgeRole(surroundings));
    const page = options.withPage
      ? await startDashboardRole(surroundings, { ledger: () => ({ bridge: bridge.events.ledger(), aggregator: aggregatorLedger() }) })
      : null;
    const parts = { aggregator, sink, bridge, startedAtMs };
    return {
      // In the order of the flow: the entrance first, the page last.
      drainSteps: [bridge, aggregator, sink, ...(page === null ? [] : [page])].flatMap((role) => role.drainSteps),
      ended: Promise.race([bridge.ended, aggregator.ended, sink.ended]),
      routes: page?.routes ?? [],
      snapshot: () => snapshotOf(parts),
      isQuiet: () => isQuiet(parts),
    };
  } catch (error) {
    for (const step of roles.flatMap((role): readonly DrainStep[] => role.drainSteps))
      await step.stop(STOP_AFTER_FAILED_START_MS).catch(() => undefined);
    throw error;
  }
}

const STOP_AFTER_FAILED_START_MS = 2_000;

interface PipelineParts {
  readonly aggregator: AggregatorRole;
  readonly sink: SinkRole;
  readonly bridge: BridgeRole;
  readonly startedAtMs: number;
}

function snapshotOf({ aggregator, bridge, startedAtMs }: PipelineParts): PipelineSnapshot {
  const partitions = [...aggregator.aggregator.partitions().values()].filter((status) => status !== null);
  const sum = (field: 'devices' | 'openParts' | 'alertsFiring' | 'lagRecords'): number =>
    partitions.reduce((total, status) => total + status[field], 0);
  const { aggregatesWritten, transitionsWritten } = sinkLedger();
  return {
    runningForMs: performance.now() - startedAtMs,
    devices: sum('devices'),
    bridge: bridge.events.ledger(),
    aggregator: aggregatorLedger(),
    openWindows: sum('openParts'),
    alertsFiring: sum('alertsFiring'),
    lagRecords: sum('lagRecords'),
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
    rows.transitionsWritten + rows.rejected >= ledger.alertsRaised + ledger.alertsEnded
  );
}
