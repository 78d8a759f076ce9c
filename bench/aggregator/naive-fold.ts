import { SchemaRegistry } from '@kafkajs/confluent-schema-registry';

// What the two scripts do with a reading: decode it with the registry's client, window it in a Map, note what closed. No state that
// survives, no transactions, no duplicates.

const WINDOW_MS = 60_000;
const GRACE_MS = 10_000;
const METRICS = ['temperature', 'humidity', 'battery'];

interface Row {
  count: number;
  min: number;
  max: number;
  sum: number;
}

/** What is to be produced. */
export interface NaiveOutput {
  readonly key: string;
  readonly value: string;
}

const registry = new SchemaRegistry({ host: process.env['SCHEMA_REGISTRY_URL']! });
const windows = new Map<string, Row>();
const newest = new Map<string, number>();
const firing = new Set<string>();

/** Folds one record; adds what it closes and raises. */
export async function foldNaively(value: Buffer, out: NaiveOutput[]): Promise<void> {
  const reading = (await registry.decode(value)) as { deviceId: string; eventTime: number } & Record<string, number | null>;
  const { deviceId, eventTime } = reading;
  const start = eventTime - (eventTime % WINDOW_MS);
  for (const metric of METRICS) {
    const value = reading[metric];
    if (typeof value !== 'number') continue;
    const key = `${deviceId} ${metric} ${start}`;
    const row = windows.get(key);
    if (row === undefined) windows.set(key, { count: 1, min: value, max: value, sum: value });
    else {
      row.count += 1;
      row.sum += value;
      if (value < row.min) row.min = value;
      if (value > row.max) row.max = value;
    }
  }
  const before = newest.get(deviceId) ?? eventTime;
  if (eventTime > before || !newest.has(deviceId)) {
    newest.set(deviceId, eventTime);
    const passed = Math.floor((eventTime - GRACE_MS) / WINDOW_MS) * WINDOW_MS - WINDOW_MS;
    if (passed >= 0 && Math.floor((before - GRACE_MS) / WINDOW_MS) * WINDOW_MS - WINDOW_MS !== passed) close(deviceId, passed, out);
  }
  const temperature = reading['temperature'] ?? 0;
  if (temperature > 100 !== firing.has(deviceId)) {
    if (temperature > 100) firing.add(deviceId);
    else firing.delete(deviceId);
    out.push({ key: deviceId, value: JSON.stringify({ deviceId, eventTime, temperature, firing: temperature > 100 }) });
  }
}

function close(deviceId: string, before: number, out: NaiveOutput[]): void {
  for (const metric of METRICS) {
    const key = `${deviceId} ${metric} ${before}`;
    const row = windows.get(key);
    if (row === undefined) continue;
    out.push({ key: deviceId, value: JSON.stringify({ deviceId, metric, windowStart: before, ...row }) });
    windows.delete(key);
  }
}
