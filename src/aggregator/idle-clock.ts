const TICK_INTERVAL_MS = 250;

/**
 * Where the partition clock would be while nothing comes: where the last record has left it, and the time that has passed on our own clock
 * since then. Times of our own clock are those of performance.now().
 */
export class IdleClock {
  private clockMs: number;
  private atMs = performance.now();
  private tickedAtMs = 0;

  /** clockMs: the partition clock; -1 before the first record, and then no tick is ever due. */
  constructor(clockMs: number) {
    this.clockMs = clockMs;
  }

  /** The partition clock is known to be right at this moment. */
  set(clockMs: number): void {
    this.clockMs = clockMs;
    this.atMs = performance.now();
  }

  /** Where a tick would move the partition clock, when the log had nothing at `askedAtMs`; null when it is too early for another one. */
  tickAt(askedAtMs: number): number | null {
    if (this.clockMs < 0 || askedAtMs - this.tickedAtMs < TICK_INTERVAL_MS) return null;
    return this.clockMs + Math.floor(askedAtMs - this.atMs);
  }

  ticked(askedAtMs: number): void {
    this.tickedAtMs = askedAtMs;
  }
}
