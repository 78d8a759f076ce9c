// What one device said at one time: the decoded form of a SensorReading record. The field names are those of
// schemas/sensor-reading.avsc (a test compares them).

export type EventTimeSource = 'UNKNOWN' | 'DEVICE' | 'BRIDGE';

/** A common metric: its name is a field of SensorReading, its unit is fixed (UCUM), its range is what a sensor can plausibly say. */
export interface CommonMetric {
  readonly name: string;
  readonly unit: string;
  readonly min: number;
  readonly max: number;
}

/** The metrics that have a field of their own, in the order of the schema. Everything else goes into `metrics`, unit unknown. */
export const COMMON_METRICS = [
  { name: 'temperature', unit: 'Cel', min: -273.15, max: 3000 },
  { name: 'humidity', unit: '%RH', min: 0, max: 100 },
  { name: 'pressure', unit: 'hPa', min: 0, max: 1_000_000 },
  { name: 'battery', unit: '%', min: 0, max: 100 },
  { name: 'voltage', unit: 'V', min: -1_000_000, max: 1_000_000 },
  { name: 'current', unit: 'A', min: -1_000_000, max: 1_000_000 },
  { name: 'power', unit: 'W', min: -1e12, max: 1e12 },
  { name: 'co2', unit: 'ppm', min: 0, max: 1_000_000 },
  { name: 'illuminance', unit: 'lx', min: 0, max: 1_000_000 },
] as const satisfies readonly CommonMetric[];

export type CommonMetricName = (typeof COMMON_METRICS)[number]['name'];

/** What `metrics` is when it is empty, as it mostly is: to find that out by looking for names costs more than anything else about it. */
export const NO_METRICS: { [name: string]: number } = Object.freeze(Object.create(null) as { [name: string]: number });

type CommonMetricValues = { [name in CommonMetricName]: number | null };

/** One reading. Only finite numbers; times in epoch milliseconds. */
export interface Reading extends CommonMetricValues {
  deviceId: string;
  eventTime: number;
  receivedAt: number;
  eventTimeSource: EventTimeSource;
  sequence: number | null;
  messageId: string | null;
  /** 53-bit hash of MQTT topic and payload; 0 when the message carries nothing that tells two equal messages apart. */
  identity: number;
  aggregatable: boolean;
  status: string | null;
  /** Metrics without a field of their own. Own enumerable keys only; made with a null prototype by our decoders. */
  metrics: { [name: string]: number };
  attributes: { [name: string]: string };
}

const unitByMetric: ReadonlyMap<string, string> = new Map(COMMON_METRICS.map((metric) => [metric.name, metric.unit]));

/** The unit of a metric, in UCUM; the empty string when it is not a common metric. */
export function unitOf(metric: string): string {
  return unitByMetric.get(metric) ?? '';
}

/** No measurement is larger than this in magnitude; sums and squares of what is allowed stay finite. */
export const METRIC_MAGNITUDE_MAX = 1e100;

/** What a device id may look like: nothing that MQTT, a Kafka key, a log line or a file name would take for something else. */
export const DEVICE_ID_PATTERN = /^[A-Za-z0-9._:-]{1,128}$/;

/** How far from 1970 a date can be, either way (ECMA-262, 21.4.1.1). */
const DATE_MAGNITUDE_MAX_MS = 8.64e15;

/**
 * Whether the reading names its device as a device may be named, at a time that is a date. The bridge lets nothing else pass, but anybody
 * may write readings, and the aggregator keeps records of its own next to those of the devices.
 */
export function hasValidOrigin(reading: Reading): boolean {
  return isDeviceId(reading.deviceId) && isDate(reading.eventTime);
}

export function isDate(timeMs: number): boolean {
  return Math.abs(timeMs) <= DATE_MAGNITUDE_MAX_MS;
}

/** What the pattern allows, by code unit. The pattern itself takes 0.08 us for each reading. */
const DEVICE_ID_UNITS = Uint8Array.from({ length: 128 }, (_, unit) => (DEVICE_ID_PATTERN.test(String.fromCharCode(unit)) ? 1 : 0));
export const DEVICE_ID_LENGTH_MAX = 128;

/** The same as DEVICE_ID_PATTERN. */
export function isDeviceId(text: string): boolean {
  const { length } = text;
  if (length === 0 || length > DEVICE_ID_LENGTH_MAX) return false;
  for (let at = 0; at < length; at += 1) if (DEVICE_ID_UNITS[text.charCodeAt(at)] !== 1) return false;
  return true;
}

/**
 * Whether every value is one that a sum can take. The bridge lets nothing larger pass, but anybody may write readings. The fields are named
 * one by one because this is done for each reading, and a loop over names is several times slower; null counts as 0.
 */
export function hasValidValues(reading: Reading): boolean {
  const { temperature, humidity, pressure, battery, voltage, current, power, co2, illuminance, metrics } = reading;
  if (!isBounded(temperature) || !isBounded(humidity) || !isBounded(pressure) || !isBounded(battery) || !isBounded(voltage)) return false;
  if (!isBounded(current) || !isBounded(power) || !isBounded(co2) || !isBounded(illuminance)) return false;
  if (metrics === NO_METRICS) return true;
  for (const name in metrics) if (!isBounded(metrics[name]!)) return false;
  return true;
}

function isBounded(value: number | null): boolean {
  return value === null || (value <= METRIC_MAGNITUDE_MAX && value >= -METRIC_MAGNITUDE_MAX);
}

/** The value of a metric in a reading; null when it has none. */
export function metricValueOf(reading: Reading, metric: string): number | null {
  const common = commonValueOf(reading, metric);
  if (common !== null) return common;
  if (reading.metrics === NO_METRICS) return null;
  const value = reading.metrics[metric];
  return typeof value === 'number' ? value : null;
}

/** Named one by one: to look a name up and then a field by its name takes ten times as long, and each rule asks for each reading. */
function commonValueOf(reading: Reading, metric: string): number | null {
  switch (metric as CommonMetricName) {
    case 'temperature':
      return reading.temperature;
    case 'humidity':
      return reading.humidity;
    case 'pressure':
      return reading.pressure;
    case 'battery':
      return reading.battery;
    case 'voltage':
      return reading.voltage;
    case 'current':
      return reading.current;
    case 'power':
      return reading.power;
    case 'co2':
      return reading.co2;
    case 'illuminance':
      return reading.illuminance;
    default:
      return null;
  }
}
