import { type DurationMs, durationMs } from '../core/time.ts';

// Durations are written as a person writes them: `250ms`, `60s`, `5m`, `24h`, `7d`; parts may be combined: `1h30m`.

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

const UNIT_MS: ReadonlyMap<string, number> = new Map(UNITS);
const WHOLE_DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const ONE_PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Milliseconds, or undefined when `text` is not a duration. A bare number is not one: its unit would be a guess. */
export function parseDuration(text: string): DurationMs | undefined {
  if (!WHOLE_DURATION.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(ONE_PART)) totalMs += Number(amount) * (UNIT_MS.get(unit ?? '') ?? Number.NaN);
  return Number.isSafeInteger(Math.round(totalMs)) ? durationMs(Math.round(totalMs)) : undefined;
}

/** The inverse of parseDuration, in its shortest form: 90 000 is `1m30s`. */
export function formatDuration(spanMs: number): string {
  if (spanMs === Number.POSITIVE_INFINITY) return 'unlimited';
  let restMs = Math.round(spanMs);
  if (restMs === 0) return '0s';
  let text = '';
  for (const [unit, unitMs] of UNITS) {
    const amount = Math.floor(restMs / unitMs);
    if (amount > 0) text += `${amount}${unit}`;
    restMs -= amount * unitMs;
  }
  return text;
}
