// Compares what came out with what should have come out, and says where they part for the first time, with what surrounds it.

import type { WindowTotal } from './group-by-oracle.ts';

const RELATIVE_TOLERANCE = 1e-9;
/** Values cancel out in sums and in differences from a mean; what rounding leaves then is relative to the values, not to the result. */
const CANCELLATION_TOLERANCE = 1e-13;
/** Doubles below 2^-1022 lose digits one by one; here they are all zero. */
const NEGLIGIBLE = 1e-300;
const CONTEXT_ROWS = 2;

export interface CompareOptions {
  /** What the rows are, for the message: 'aggregates of partition 3'. */
  readonly name: string;
  /** Fields that are not compared. */
  readonly ignore?: readonly string[];
}

/** Alerts carry a sentence for people; everything else is exact. */
export const ALERT_IGNORED_FIELDS: readonly string[] = ['summary'];

/** Compares two lists row by row, in order, every field exactly. Returns null when they are equal, else a text. */
export function firstDifference(expected: readonly object[], actual: readonly object[], options: CompareOptions): string | null {
  const ignored = new Set(options.ignore ?? []);
  const length = Math.max(expected.length, actual.length);
  for (let index = 0; index < length; index++) {
    const [wanted, found] = [expected[index], actual[index]];
    const differences = wanted && found ? fieldDifferences(wanted, found, ignored) : [missingSide(wanted !== undefined)];
    if (differences.length > 0) {
      const headline = `${options.name}: row ${index} differs (expected ${expected.length} rows, got ${actual.length})`;
      return [headline, ...differences.map((line) => `  ${line}`), ...context(expected, actual, index)].join('\n');
    }
  }
  return null;
}

/** Compares totals of windows: equal keys, counts, extremes and ends; sums within 1e-9. Both lists as the group-by oracle orders them. */
export function firstTotalDifference(expected: readonly WindowTotal[], actual: readonly WindowTotal[], name: string): string | null {
  const adjusted = actual.map((total, index) => {
    const wanted = expected[index];
    if (!wanted) return total;
    const magnitude = Math.max(Math.abs(wanted.min), Math.abs(wanted.max));
    const sum = isClose(wanted.sum, total.sum, magnitude * wanted.count) ? wanted.sum : total.sum;
    const m2 = isClose(wanted.m2, total.m2, magnitude ** 2 * wanted.count) ? wanted.m2 : total.m2;
    return { ...total, sum, m2 };
  });
  return firstDifference(expected, adjusted, { name });
}

function isClose(a: number, b: number, magnitude: number): boolean {
  const tolerance = RELATIVE_TOLERANCE * Math.max(Math.abs(a), Math.abs(b)) + CANCELLATION_TOLERANCE * magnitude;
  return Math.abs(a - b) <= tolerance + NEGLIGIBLE;
}

function missingSide(isMissing: boolean): string {
  return isMissing ? 'this row is missing' : 'this row is one too many';
}

function fieldDifferences(expected: object, actual: object, ignored: ReadonlySet<string>): string[] {
  const fields = new Set([...Object.keys(expected), ...Object.keys(actual)]);
  const lines: string[] = [];
  for (const field of fields) {
    if (ignored.has(field)) continue;
    const [wanted, found] = [Reflect.get(expected, field) as unknown, Reflect.get(actual, field) as unknown];
    if (!isSame(wanted, found)) lines.push(`${field}: expected ${show(wanted)}, got ${show(found)}`);
  }
  return lines;
}

/** Numbers by ===, NaN equal to itself, 0 equal to -0; objects by their own fields in any order. */
function isSame(a: unknown, b: unknown): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [keysOfA, keysOfB] = [Object.keys(a), Object.keys(b)];
  if (keysOfA.length !== keysOfB.length) return false;
  return keysOfA.every((key) => Object.hasOwn(b, key) && isSame(Reflect.get(a, key), Reflect.get(b, key)));
}

function context(expected: readonly object[], actual: readonly object[], index: number): string[] {
  const lines: string[] = [];
  for (const [side, rows] of [
    ['expected', expected],
    ['got', actual],
  ] as const) {
    lines.push(`  ${side}:`);
    for (let at = Math.max(0, index - CONTEXT_ROWS); at <= index + CONTEXT_ROWS && at < rows.length; at++) {
      lines.push(`  ${at === index ? '>' : ' '} ${at} ${show(rows[at])}`);
    }
  }
  return lines;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  return typeof value === 'number' ? String(value) : JSON.stringify(value, (_key, inner: unknown) => showable(inner));
}

function showable(value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}
