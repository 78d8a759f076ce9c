// Numbers and times as people read them.

const UNIT_SIGNS = new Map([
  ['Cel', '°C'],
  ['%RH', '% RH'],
]);

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const small = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const dayAndClock = new Intl.DateTimeFormat('en', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

export const count = (value) => whole.format(value);

export function number(value) {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.01) return small.format(value);
  return size < 1e9 ? decimal.format(value) : value.toExponential(3);
}

export function quantity(value, unit) {
  const sign = UNIT_SIGNS.get(unit) ?? unit;
  return sign === '' ? number(value) : `${number(value)}\u00a0${sign}`;
}

const SPANS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** `12 s`, `3 min`; below a second it is `0 s`. */
export function span(ms) {
  const [unitMs, unit] = SPANS.find(([each]) => Math.abs(ms) >= each) ?? SPANS.at(-1);
  return `${Math.floor(Math.abs(ms) / unitMs)}\u00a0${unit}`;
}

export function ago(ms) {
  return ms < 1_500 ? 'now' : `${span(ms)} ago`;
}

/** The clock alone for today, with the day otherwise. */
export function time(epochMs, nowMs) {
  const isToday = new Date(epochMs).toDateString() === new Date(nowMs).toDateString();
  return (isToday ? clock : dayAndClock).format(epochMs);
}

export const iso = (epochMs) => (Math.abs(epochMs) <= 8.64e15 ? new Date(epochMs).toISOString() : String(epochMs));
