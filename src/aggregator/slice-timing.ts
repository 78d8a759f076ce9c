import type { CommitTurns, OnTurnFree } from './commit-turns.ts';
import { type CommitPace, type SliceSoFar, slicePatienceMs, TURN_PATIENCE_MS } from './pacing.ts';

/** When the slice of one partition is due. All times are performance.now() of one process. */
export class SliceTiming {
  private readonly pace: CommitPace;
  private readonly turns: CommitTurns;
  private readonly onTurnFree: OnTurnFree;
  private sinceMs = 0;
  /** Since when the slice waits for nothing but a turn; null while it does not. */
  private dueSinceMs: number | null = null;

  /** onTurnFree: told of turns while it follows them. */
  constructor(pace: CommitPace, turns: CommitTurns, onTurnFree: OnTurnFree) {
    this.pace = pace;
    this.turns = turns;
    this.onTurnFree = onTurnFree;
  }

  /** From now on turns are waited for; until the function that this returns is called. */
  follow(): () => void {
    return this.turns.follow(this.onTurnFree);
  }

  /** Holds a turn for as long as the transaction takes. */
  async hold(transaction: () => Promise<void>): Promise<void> {
    this.turns.begin(this.onTurnFree);
    try {
      await transaction();
    } finally {
      this.turns.end();
    }
  }

  /** With the first reading of a slice. */
  begin(nowMs: number): void {
    this.sinceMs = nowMs;
    this.dueSinceMs = null;
  }

  /** How long the slice still waits for more; zero or less: it is due. One that is due waits for a turn as well, but not for long. */
  leftMs(nowMs: number, slice: SliceSoFar): number {
    const leftMs = this.sinceMs + slicePatienceMs(this.pace, slice) - nowMs;
    if (leftMs > 0 || this.turns.isFree) return leftMs;
    this.dueSinceMs ??= nowMs;
    return this.dueSinceMs + TURN_PATIENCE_MS - nowMs;
  }
}
