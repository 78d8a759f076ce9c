// What a simulated or replayed device sends, and where to: the vocabulary of the contract, written down once more on purpose.
// Simulators import nothing from src, so that a mistake there cannot hide here.

/** Name to value. A name that SensorReading knows (temperature, humidity, ...) is sent as a field of its own, so is any other. */
export type Metrics = Readonly<Record<string, number>>;

export interface SentReading {
  readonly device: string;
  /** Event time, epoch ms. */
  readonly ts: number;
  /** Counts the device's readings in a run, from 0. */
  readonly seq: number;
  readonly metrics: Metrics;
}

export function telemetryTopic(device: string): string {
  return `devices/${device}/telemetry`;
}

/** Retained: `online`, `offline` (said by the broker when the connection breaks, or by the device when it leaves). */
export function statusTopic(device: string): string {
  return `devices/${device}/status`;
}

/** Native JSON: {"ts": epoch ms, "seq": int, "<metric>": number, ...}. */
export function payloadOf(reading: SentReading): string {
  return JSON.stringify({ ts: reading.ts, seq: reading.seq, ...reading.metrics });
}

/** `sim-0001`, ... The number starts at 1, as on a label. */
export function deviceName(prefix: string, device: number): string {
  return `${prefix}-${String(device + 1).padStart(4, '0')}`;
}
