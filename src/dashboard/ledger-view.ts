import { type BridgeLedger, unknownLosses } from '../ops/bridge-events.ts';
import type { LedgerSnapshot } from './dashboard-ports.ts';

// The loss ledger as sums in words: what came in, and every term that it must be equal to.

export interface LedgerTerm {
  readonly label: string;
  readonly count: number;
  /** `good`: where a reading belongs. `waiting`: not decided yet. `refused`: kept as a dead letter. `left_out`: by a rule or a limit. */
  readonly kind: 'good' | 'waiting' | 'refused' | 'left_out';
}

export interface LedgerSum {
  readonly stage: 'bridge' | 'aggregator';
  readonly total: { readonly label: string; readonly count: number };
  readonly terms: readonly LedgerTerm[];
  /** Total minus the terms: 0 when the ledger balances. */
  readonly difference: number;
  /** What the sum cannot tell, in words. */
  readonly unknown: string | null;
}

/** The sums of the stages that run in this process; null when there is none. */
export function ledgerView(snapshot: LedgerSnapshot | null): readonly LedgerSum[] | null {
  if (snapshot === null) return null;
  const { bridge, aggregator } = snapshot;
  const sums = [...(bridge === null ? [] : [bridgeSum(bridge)]), ...(aggregator === null ? [] : [aggregatorSum(aggregator)])];
  return sums.length === 0 ? null : sums;
}

function bridgeSum(ledger: BridgeLedger): LedgerSum {
  const sum = sumOf('bridge', { label: 'received', count: ledger.received }, [
    { label: 'produced', count: ledger.produced, kind: 'good' },
    { label: 'dead-lettered', count: ledger.deadLettered, kind: 'refused' },
    { label: 'ignored', count: ledger.ignored, kind: 'left_out' },
    { label: 'shed', count: ledger.shed, kind: 'left_out' },
    { label: 'in flight', count: ledger.inFlight, kind: 'waiting' },
  ]);
  return { ...sum, unknown: unknownLosses(ledger) };
}

const ALWAYS_SHOWN = { counted: 'good', not_aggregatable: 'left_out', duplicate: 'left_out' } as const;

/** Every other outcome is a reason for a dead letter, shown once it has happened. */
function aggregatorSum({ consumed, outcomes }: NonNullable<LedgerSnapshot['aggregator']>): LedgerSum {
  const usual = Object.entries(ALWAYS_SHOWN).map(([outcome, kind]) => ({ label: inWords(outcome), count: outcomes[outcome] ?? 0, kind }));
  const refused = Object.entries(outcomes)
    .filter(([outcome, count]) => !Object.hasOwn(ALWAYS_SHOWN, outcome) && count > 0)
    .map(([outcome, count]) => ({ label: inWords(outcome), count, kind: 'refused' as const }));
  return sumOf('aggregator', { label: 'consumed', count: consumed }, [...usual, ...refused]);
}

function sumOf(stage: LedgerSum['stage'], total: LedgerSum['total'], terms: readonly LedgerTerm[]): LedgerSum {
  return { stage, total, terms, difference: terms.reduce((rest, term) => rest - term.count, total.count), unknown: null };
}

function inWords(outcome: string): string {
  return outcome.replaceAll('_', ' ');
}
