// Times and spans as scenarios write them. A time is counted from the scenario's midnight: `00:10`, `01:02:03`, `2d00:00:05.250`,
// `-00:30`. A span has a unit: `250ms`, `10s`, `5m`, `6h`, `7d`, or is `0`.

/** The midnight that scenario times count from: a moment at which windows of every usual size begin. */
export const MIDNIGHT_MS = Date.UTC(2026, 0, 1);

const TIME = /^(?<minus>-?)(?:(?<days>\d+)d)?(?:(?<hours>\d+):)?(?<minutes>\d+):(?<seconds>\d\d)(?:\.(?<millis>\d{3}))?$/;
const SPAN = /^(?<amount>\d+)(?<unit>ms|s|m|h|d)$/;
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Epoch milliseconds of a time; throws with the text when it is none. */
export function parseTime(text: string): number {
  const groups = TIME.exec(text)?.groups;
  if (!groups) throw new Error(`'${text}' is no time: write mm:ss, hh:mm:ss or 1dhh:mm:ss, with .mmm if needed`);
  const part = (name: string) => Number(groups[name] ?? 0);
  const spanMs =
    part('days') * UNIT_MS.d + part('hours') * UNIT_MS.h + part('minutes') * UNIT_MS.m + part('seconds') * UNIT_MS.s + part('millis');
  return MIDNIGHT_MS + (groups['minus'] === '-' ? -spanMs : spanMs);
}

export function formatTime(epochMs: number): string {
  const spanMs = Math.abs(epochMs - MIDNIGHT_MS);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const days = Math.floor(spanMs / UNIT_MS.d);
  const hours = Math.floor((spanMs % UNIT_MS.d) / UNIT_MS.h);
  const sign = epochMs < MIDNIGHT_MS ? '-' : '';
  const day = days > 0 ? `${days}d` : '';
  const hour = hours > 0 || days > 0 ? `${two(hours)}:` : '';
  const millis = spanMs % 1000 === 0 ? '' : `.${String(spanMs % 1000).padStart(3, '0')}`;
  return `${sign}${day}${hour}${two((spanMs % UNIT_MS.h) / UNIT_MS.m)}:${two((spanMs % UNIT_MS.m) / UNIT_MS.s)}${millis}`;
}

/** Milliseconds of a span; throws with the text when it is none. */
export function parseSpan(text: string): number {
  if (text === '0') return 0;
  const groups = SPAN.exec(text)?.groups;
  if (!groups) throw new Error(`'${text}' is no span: write 250ms, 10s, 5m, 6h, 7d or 0`);
  return Number(groups['amount']) * UNIT_MS[groups['unit'] as keyof typeof UNIT_MS];
}
