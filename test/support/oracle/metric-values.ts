// The metrics of a reading as one sorted list, and their units. What is a common metric, and in which unit, is read from
// schemas/sensor-reading.avsc itself, not from the product's table.

import { readFileSync } from 'node:fs';
import type { Reading } from '../../../src/core/reading.ts';
import type { OracleRule } from './fold-steps.ts';

interface SchemaField {
  name: string;
  doc?: string;
}

function readCommonUnits(): Map<string, string> {
  const path = new URL('../../../schemas/sensor-reading.avsc', import.meta.url);
  const schema = JSON.parse(readFileSync(path, 'utf8')) as { fields: SchemaField[] };
  const units = new Map<string, string>();
  for (const field of schema.fields) {
    const unit = /^Unit (\S+)\.$/.exec(field.doc ?? '')?.[1];
    if (unit !== undefined) units.set(field.name, unit);
  }
  return units;
}

const commonUnits = readCommonUnits();

export const commonMetricNames: readonly string[] = [...commonUnits.keys()];

/** Orders strings by code unit, as docs/FOLD.md asks everywhere. */
export function byCodeUnit(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Name and value of every metric, ordered by name. A field of its own wins over an entry of the same name in `metrics`. */
export function metricValuesOf(reading: Reading): [string, number][] {
  const values = new Map<string, number>(Object.entries(reading.metrics));
  for (const name of commonMetricNames) {
    const value = reading[name as keyof Reading];
    if (typeof value === 'number') values.set(name, value);
  }
  return [...values].sort(([a], [b]) => byCodeUnit(a, b));
}

/** The unit of a row of a metric: the common metric's, else that of the first rule (by id) for it that names one, else ''. */
export function unitOfRows(metric: string, rules: readonly OracleRule[]): string {
  const naming = rules.filter((rule) => rule.metric === metric && rule.unit !== '').sort((a, b) => byCodeUnit(a.id, b.id))[0];
  return commonUnits.get(metric) ?? naming?.unit ?? '';
}
