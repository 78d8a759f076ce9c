import { setTimeout as sleep } from 'node:timers/promises';

const DEADLINE_MS = 600_000;

/** Asks until the condition holds. Rejects when it does not within ten minutes, or what `isOver` says has happened. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  { pollMs = 50, isOver = () => false }: { pollMs?: number; isOver?: () => boolean } = {},
): Promise<void> {
  const deadlineAtMs = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (isOver()) throw new Error(`${what}: the process ended before`);
    if (performance.now() > deadlineAtMs) throw new Error(`${what}: not within ${DEADLINE_MS / 1000} s`);
    await sleep(pollMs);
  }
}
