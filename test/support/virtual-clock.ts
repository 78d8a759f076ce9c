// Time that passes only when a test says so. While it is installed, timers, performance.now and Date.now follow it, so that a whole
// story of minutes takes milliseconds, and the same story always happens in the same order.

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Date.now() when virtual time begins: later than any append time of a test's log. */
const EPOCH_MS = Date.UTC(2040, 0, 1);

export class VirtualClock {
  nowMs = 1_000;
  readonly #timers = new Map<object, Timer>();
  #order = 0;

  /** Until `uninstall`. */
  install(): void {
    const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, now: Date.now };
    Object.assign(globalThis, {
      setTimeout: (run: (...given: unknown[]) => void, ms?: number, ...given: unknown[]) => this.#schedule(() => run(...given), ms),
      clearTimeout: (handle: object) => this.#timers.delete(handle),
    });
    Object.defineProperty(performance, 'now', { configurable: true, value: () => this.nowMs });
    Date.now = () => EPOCH_MS + this.nowMs;
    this.uninstall = () => {
      Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
      Reflect.deleteProperty(performance, 'now');
      Date.now = real.now;
    };
  }

  uninstall: () => void = () => undefined;

  /** Lets time pass, timer after timer, and everything that follows from each happen before the next. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      await settled();
      const next = this.#earliest(untilMs);
      if (next === null) break;
      const [handle, { atMs, run }] = next;
      this.#timers.delete(handle);
      this.nowMs = Math.max(this.nowMs, atMs);
      run();
    }
    this.nowMs = untilMs;
  }

  /** Timers that have not run yet. */
  get waiting(): number {
    return this.#timers.size;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#schedule(resolve, ms));
  }

  #schedule(run: () => void, ms = 0): object {
    const handle = { ref: () => handle, unref: () => handle, hasRef: () => true };
    this.#timers.set(handle, { atMs: this.nowMs + Math.max(1, ms), order: this.#order++, run });
    return handle;
  }

  #earliest(untilMs: number): [object, Timer] | null {
    let earliest: [object, Timer] | null = null;
    for (const entry of this.#timers) {
      const [, { atMs, order }] = entry;
      if (atMs > untilMs) continue;
      if (earliest === null || atMs < earliest[1].atMs || (atMs === earliest[1].atMs && order < earliest[1].order)) earliest = entry;
    }
    return earliest;
  }
}

/** Runs the work on a clock of its own. */
export async function inVirtualTime<Result>(work: (clock: VirtualClock) => Promise<Result>): Promise<Result> {
  const clock = new VirtualClock();
  clock.install();
  try {
    return await work(clock);
  } finally {
    clock.uninstall();
  }
}

/** Everything that promises alone bring about has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What stands in for node:timers/promises: its timers are the process's own, which no clock of a test replaces. */
export function promisedTimeout(ms?: number, value?: unknown, options: { signal?: AbortSignal } = {}): Promise<unknown> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const handle = setTimeout(resolve, ms, value);
    signal?.addEventListener('abort', () => {
      clearTimeout(handle);
      reject(signal.reason);
    });
  });
}
