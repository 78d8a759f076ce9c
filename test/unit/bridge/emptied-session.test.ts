import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { sessionEmptied } from '../../../src/bridge/emptied-session.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A session at a broker, as the bridge sees it. */
function leaving() {
  const seen = { received: 0, inFlight: 0, leftOn: 1 as number | null, isEmptied: false, failure: null as unknown };
  const stopping = new AbortController();
  const emptied = sessionEmptied(seen, () => seen, stopping.signal).then(
    () => {
      seen.isEmptied = true;
    },
    (error: unknown) => {
      seen.failure = error;
    },
  );
  return { seen, stopping, emptied };
}

test('a session is empty when nothing came for two seconds and nothing is in flight', async () => {
  const { seen } = leaving();
  seen.received = 10;
  seen.inFlight = 10;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(seen.isEmptied).toBe(false);
  seen.inFlight = 0;
  seen.received = 11;
  await vi.advanceTimersByTimeAsync(2_000);
  expect(seen.isEmptied).toBe(false);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(seen.isEmptied).toBe(true);
});

test('a broker that is away, or was away meanwhile, does not make it empty', async () => {
  const { seen } = leaving();
  seen.leftOn = null;
  await vi.advanceTimersByTimeAsync(60_000);
  seen.leftOn = 2;
  await vi.advanceTimersByTimeAsync(2_000);
  seen.leftOn = 3;
  await vi.advanceTimersByTimeAsync(2_000);
  expect(seen.isEmptied).toBe(false);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(seen.isEmptied).toBe(true);
});

test('who stops waiting is told at once', async () => {
  const { seen, stopping, emptied } = leaving();
  stopping.abort();
  await emptied;
  expect(seen).toMatchObject({ isEmptied: false, failure: { name: 'AbortError' } });
});
