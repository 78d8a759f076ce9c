import { setTimeout as sleep } from 'node:timers/promises';

/** What is asked of a source that has left. */
export interface LeavingSource {
  /** The number of the connection on which the broker has confirmed that we have left; null while there is none. */
  readonly leftOn: number | null;
}

/** So long nothing more must come, on one connection, before the session counts as empty. */
const QUIET_MS = 2_000;

/**
 * Resolves when what the session held has been taken and acknowledged: ended before that it takes messages with it which their senders
 * believe to be safe. A broker that is away is quiet too, so only a connection that stands from one look to the next counts. Rejects
 * with AbortError.
 */
export async function sessionEmptied(
  source: LeavingSource,
  ledger: () => { readonly received: number; readonly inFlight: number },
  signal: AbortSignal,
): Promise<void> {
  for (let before = { received: -1, leftOn: -1 as number | null }; ; ) {
    const { received, inFlight } = ledger();
    const { leftOn } = source;
    if (leftOn !== null && leftOn === before.leftOn && received === before.received && inFlight === 0) return;
    before = { received, leftOn };
    await sleep(QUIET_MS, undefined, { signal });
  }
}
