/** The units in which a person writes a duration, the largest first, and their lengths in ms. */
export const DURATION_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;

/** A duration as a person writes it in a setting, in its shortest form: 90 000 ms is `1m30s`. */
export function formatDuration(spanMs: number): string {
  if (spanMs === Number.POSITIVE_INFINITY) return 'unlimited';
  let restMs = Math.round(spanMs);
  if (restMs === 0) return '0s';
  let text = '';
  for (const [unit, unitMs] of DURATION_UNITS) {
    const amount = Math.floor(restMs / unitMs);
    if (amount > 0) text += `${amount}${unit}`;
    restMs -= amount * unitMs;
  }
  return text;
}
