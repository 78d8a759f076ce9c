import { DURATION_UNITS } from '../core/duration-text.ts';
import { type DurationMs, durationMs } from '../core/time.ts';

// Durations are written as a person writes them: `250ms`, `60s`, `5m`, `24h`, `7d`; parts may be combined: `1h30m`.

const UNIT_MS: ReadonlyMap<string, number> = new Map(DURATION_UNITS);
const WHOLE_DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const ONE_PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Milliseconds, or undefined when `text` is not a duration. A bare number is not one: its unit would be a guess. */
export function parseDuration(text: string): DurationMs | undefined {
  if (!WHOLE_DURATION.test(text)) return undefined;
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(ONE_PART)) totalMs += Number(amount) * (UNIT_MS.get(unit ?? '') ?? Number.NaN);
  return Number.isSafeInteger(Math.round(totalMs)) ? durationMs(Math.round(totalMs)) : undefined;
}
