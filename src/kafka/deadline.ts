// Waiting with an end: the client library waits without one in several places (a closed socket, a pending request, a lock).

export interface DeadlineOptions {
  readonly ms: number;
  /** What to reject with when the time is over. */
  readonly onExpired: () => Error;
  /** Ends the waiting early; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Settles as `work` does, or rejects when the time is over. What becomes of `work` later is ignored, rejections included. */
export function withDeadline<T>(work: Promise<T>, options: DeadlineOptions): Promise<T> {
  const { signal } = options;
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => settle(() => reject(options.onExpired())), options.ms);
    const onAbort = () => settle(() => reject(signal?.reason));
    const settle = (how: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      how();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
    if (signal?.aborted === true) onAbort();
  });
}

/** Settles as `work` does, or rejects with the signal's reason: for waits whose end somebody else watches over. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) onAbort();
  });
}

export interface BackOff {
  readonly firstMs: number;
  readonly maxMs: number;
  /** How much longer the next wait is; 2 by default. */
  readonly multiplier?: number;
}

/** How long to wait before attempt number `attempt` (1 is the first repetition): growing, with up to a quarter of jitter. */
export function backOffMs(attempt: number, { firstMs, maxMs, multiplier = 2 }: BackOff): number {
  const full = Math.min(maxMs, firstMs * multiplier ** Math.min(attempt - 1, 30));
  return Math.ceil(full * (0.75 + Math.random() * 0.25));
}

/** Sleeps; an abort ends it early, without an error. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
