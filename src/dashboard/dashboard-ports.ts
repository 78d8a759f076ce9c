import type { AggregatorLedger } from '../ops/aggregator-events.ts';
import type { BridgeLedger } from '../ops/bridge-events.ts';

/** What bridge and aggregator of this process have counted; null for one that does not run here. */
export interface LedgerSnapshot {
  readonly bridge: BridgeLedger | null;
  readonly aggregator: Pick<AggregatorLedger, 'consumed' | 'outcomes'> | null;
}

/** Null when the page runs alone: then the ledger is with the processes that keep it. */
export type LedgerSource = () => LedgerSnapshot | null;
