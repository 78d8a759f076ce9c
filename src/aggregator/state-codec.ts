import { readFileSync } from 'node:fs';
import avro from 'avsc';
import type { AlertState } from '../core/alert-lifecycle.ts';
import { DeviceState } from '../core/device-state.ts';
import { OpenPart } from '../core/open-part.ts';
import { Accumulator } from '../core/window-aggregate.ts';
import { IngotError } from '../errors.ts';

// A device's state as a record of the state topic: one byte for the format, then Avro by the internal schema. Everything is sorted, so that
// equal states have equal bytes.

const FORMAT_VERSION = 2;

interface EncodedAccumulator extends Omit<Accumulator, 'add' | 'sum'> {
  metric: string;
}

interface EncodedPart {
  start: number;
  end: number;
  part: number;
  firstHeard: number;
  late: boolean;
  readings: number;
  metrics: EncodedAccumulator[];
}

interface EncodedDevice {
  deviceId: string;
  maxT: number;
  lastHeard: number;
  closedUpTo: number;
  parts: EncodedPart[];
  alerts: (AlertState & { ruleId: string })[];
}

const deviceStateType = avro.Type.forSchema(
  JSON.parse(readFileSync(new URL('../../schemas/internal/device-state.avsc', import.meta.url), 'utf8')) as avro.Schema,
);

/** The value of a device's record in the state topic. */
export function encodeDeviceState(device: DeviceState): Buffer {
  const encoded: EncodedDevice = {
    deviceId: device.deviceId,
    maxT: device.maxT,
    lastHeard: device.lastHeard,
    closedUpTo: device.closedUpTo,
    parts: [...device.openParts].sort((a, b) => a.start - b.start || a.part - b.part).map(encodePart),
    alerts: [...device.alerts].map(([ruleId, alert]) => ({ ...alert, ruleId })).sort((a, b) => (a.ruleId < b.ruleId ? -1 : 1)),
  };
  const body = deviceStateType.toBuffer(encoded);
  const value = Buffer.allocUnsafe(body.length + 1);
  value[0] = FORMAT_VERSION;
  body.copy(value, 1);
  return value;
}

/** The opposite. IngotError `STATE_UNREADABLE` when the bytes are no device state of this version. */
export function decodeDeviceState(value: Buffer): DeviceState {
  if (value[0] !== FORMAT_VERSION) throw unreadable(`format ${value[0]}, expected ${FORMAT_VERSION}`);
  let encoded: EncodedDevice;
  try {
    encoded = deviceStateType.fromBuffer(value.subarray(1)) as EncodedDevice;
  } catch (cause) {
    throw unreadable('not a device state', cause);
  }
  const device = new DeviceState(encoded.deviceId);
  device.maxT = encoded.maxT;
  device.lastHeard = encoded.lastHeard;
  device.closedUpTo = encoded.closedUpTo;
  device.openParts = encoded.parts.map(decodePart);
  for (const { ruleId, ...alert } of encoded.alerts) device.alerts.set(ruleId, { ...alert });
  return device;
}

function encodePart(part: OpenPart): EncodedPart {
  return {
    start: part.start,
    end: part.end,
    part: part.part,
    firstHeard: part.firstHeard,
    late: part.late,
    readings: part.readings,
    metrics: part.metrics().map(([metric, accumulator]) => Object.assign(accumulatorFields(accumulator), { metric })),
  };
}

function accumulatorFields(from: Omit<EncodedAccumulator, 'metric'>): Omit<EncodedAccumulator, 'metric'> {
  return {
    count: from.count,
    min: from.min,
    max: from.max,
    partialSum: from.partialSum,
    compensation: from.compensation,
    runningMean: from.runningMean,
    m2: from.m2,
    first: from.first,
    firstTime: from.firstTime,
    last: from.last,
    lastTime: from.lastTime,
  };
}

function decodePart(encoded: EncodedPart): OpenPart {
  const part = new OpenPart(encoded);
  part.readings = encoded.readings;
  for (const metric of encoded.metrics) part.restore(metric.metric, Object.assign(new Accumulator(), accumulatorFields(metric)));
  return part;
}

function unreadable(what: string, cause?: unknown): IngotError {
  return new IngotError(
    'STATE_UNREADABLE',
    `A record of the state topic cannot be read: ${what}. It was written by another version of Ingot, or is damaged.`,
    {
      cause,
    },
  );
}
