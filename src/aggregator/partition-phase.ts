import { IngotError } from '../errors.ts';

// One partition's life:
//
//   IDLE ─▶ FENCING ─▶ RESTORING ─▶ RUNNING ◀─▶ COMMITTING
//    ▲         ▲            └──────────┼────────────┴──▶ DEAD (any error: all memory of the partition is dropped)
//    │         └───────────────────────┼──────────────────┘ still ours, after a back-off
//    └───────────── DRAINING ◀─────────┘ told to stop

export type PartitionPhase = 'IDLE' | 'FENCING' | 'RESTORING' | 'RUNNING' | 'COMMITTING' | 'DRAINING' | 'DEAD';

const NEXT: Readonly<Record<PartitionPhase, readonly PartitionPhase[]>> = {
  IDLE: ['FENCING', 'DEAD'],
  FENCING: ['RESTORING', 'DEAD'],
  RESTORING: ['RUNNING', 'COMMITTING', 'DEAD'],
  RUNNING: ['COMMITTING', 'DRAINING', 'DEAD'],
  COMMITTING: ['RUNNING', 'DEAD'],
  DRAINING: ['IDLE'],
  DEAD: ['FENCING', 'IDLE'],
};

/** The phase after the step. IngotError `ILLEGAL_TRANSITION` when the drawing above has no such arrow. */
export function nextPhase(from: PartitionPhase, to: PartitionPhase): PartitionPhase {
  if (NEXT[from].includes(to)) return to;
  throw new IngotError('ILLEGAL_TRANSITION', `A partition task cannot go from ${from} to ${to}.`);
}
