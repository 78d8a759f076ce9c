import { readFileSync } from 'node:fs';
import avro from 'avsc';
import { Accumulator, type AccumulatorNumbers } from '../core/accumulator.ts';
import { type AlertPhase, AlertState } from '../core/alert-state.ts';
import { DeviceState } from '../core/device-state.ts';
import { OpenPart } from '../core/open-part.ts';
import { IngotError } from '../errors.ts';
import { AvroBytes } from './avro-bytes.ts';

// A device's state as a record of the state topic: one byte for the format, then Avro by the internal schema. Everything is sorted, so that
// equal states have equal bytes.

const FORMAT_VERSION = 2;

/** In the order of the schema. */
const PHASES: readonly AlertPhase[] = ['NORMAL', 'PENDING', 'FIRING', 'RECOVERING'];

interface EncodedAccumulator extends AccumulatorNumbers {
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
  alerts: Omit<AlertState, 'next'>[];
}

const deviceStateType = avro.Type.forSchema(
  JSON.parse(readFileSync(new URL('../../schemas/internal/device-state.avsc', import.meta.url), 'utf8')) as avro.Schema,
);

/** The value of a device's record in the state topic. */
export function encodeDeviceState(device: DeviceState): Buffer {
  return Buffer.from(new DeviceStateEncoder().encode(device));
}

/**
 * Writes states field by field, in the order of the schema: with many devices this is most of what the aggregator does, and the library
 * takes ten times as long. A test compares the bytes.
 */
export class DeviceStateEncoder {
  private readonly bytes = new AvroBytes();

  /** The same as `encodeDeviceState`, in a view that the next call overwrites. */
  encode(device: DeviceState): Buffer {
    const { bytes } = this;
    bytes.reset();
    bytes.byte(FORMAT_VERSION);
    bytes.string(device.deviceId);
    bytes.long(device.maxT);
    bytes.long(device.lastHeard);
    bytes.long(device.closedUpTo);
    const parts = device.openParts;
    if (parts.length > 1) parts.sort((a, b) => a.start - b.start || a.part - b.part);
    this.block(parts, (part) => this.part(part));
    const { alerts } = device;
    if (alerts.length > 1) alerts.sort((a, b) => (a.ruleId < b.ruleId ? -1 : 1));
    this.block(alerts, (alert) => this.alert(alert));
    return bytes.taken();
  }

  private block<Item>(items: readonly Item[], write: (item: Item) => void): void {
    if (items.length > 0) this.bytes.long(items.length);
    for (const item of items) write(item);
    this.bytes.long(0);
  }

  private part(part: OpenPart): void {
    const { bytes } = this;
    bytes.long(part.start);
    bytes.long(part.end);
    bytes.long(part.part);
    bytes.long(part.firstHeard);
    bytes.boolean(part.late);
    bytes.long(part.readings);
    this.block(part.metrics(), ([metric, accumulator]) => this.accumulator(metric, accumulator));
  }

  private accumulator(metric: string, from: Accumulator): void {
    const { bytes } = this;
    bytes.string(metric);
    bytes.long(from.count);
    bytes.double(from.min);
    bytes.double(from.max);
    bytes.double(from.partialSum);
    bytes.double(from.compensation);
    bytes.double(from.runningMean);
    bytes.double(from.m2);
    bytes.double(from.first);
    bytes.long(from.firstTime);
    bytes.double(from.last);
    bytes.long(from.lastTime);
  }

  private alert(alert: AlertState): void {
    const { bytes } = this;
    bytes.string(alert.ruleId);
    bytes.long(PHASES.indexOf(alert.phase));
    bytes.long(alert.lastJudged);
    bytes.long(alert.judgedHeard);
    bytes.double(alert.lastValue);
    bytes.long(alert.raisedAt);
    bytes.long(alert.firstBreachOffset);
    bytes.long(alert.recoveringSince);
    bytes.long(alert.timerAt);
    bytes.double(alert.peak);
    bytes.long(alert.sampleCount);
    bytes.long(alert.level);
    bytes.long(alert.transitions);
    bytes.long(alert.staleSince);
    bytes.long(alert.staleHeard);
  }
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
  for (const part of encoded.parts) device.addPart(decodePart(part));
  for (const { ruleId, ...alert } of encoded.alerts) device.addAlert(Object.assign(new AlertState(ruleId), alert));
  return device;
}

function decodePart(encoded: EncodedPart): OpenPart {
  const part = new OpenPart(encoded);
  part.readings = encoded.readings;
  for (const metric of encoded.metrics) part.restore(metric.metric, Accumulator.of(metric));
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
