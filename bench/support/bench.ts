import type { Components } from './components.ts';
import type { Figure } from './figures.ts';

// What run.ts gives every benchmark, and what it takes from it.

export interface Sizes {
  /** Backlog of the bridge. */
  readonly messages: number;
  /** Which scripts the bridge is compared with: naive, before, after. */
  readonly against: readonly string[];
  /** Backlog of the aggregator. */
  readonly records: number;
  readonly devices: number;
  /** The steady load. */
  readonly ratePerSecond: number;
  /** The steady load of the bridge alone. */
  readonly bridgeRatePerSecond: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Of the windows under the steady load on bridge and aggregator. */
  readonly windowSeconds: number;
}

export interface Bench {
  readonly components: Components;
  readonly sizes: Sizes;
  /** Where CPU profiles of Ingot's processes go; null for none. */
  readonly profileFolder: string | null;
}

export type Benchmark = (bench: Bench) => Promise<readonly Figure[]>;

export const PARTITIONS = 4;

let prefixesGiven = 0;

/** A prefix for topics, subjects, groups and client ids that no other run has used. */
export function freshPrefix(what: string): string {
  prefixesGiven += 1;
  return `bench-${what}-${Date.now().toString(36)}-${prefixesGiven}.`;
}
