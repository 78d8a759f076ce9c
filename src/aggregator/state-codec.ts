import { Accumulator, NO_VALUES } from '../core/accumulator.ts';
import { type AlertPhase, AlertState } from '../core/alert-state.ts';
import { DeviceState } from '../core/device-state.ts';
import { OpenPart } from '../core/open-part.ts';
import { IngotError } from '../errors.ts';
import { AvroBytes } from './avro-bytes.ts';
import { AvroReader } from './avro-reader.ts';

// A device's state as a record of the state topic: one byte for the format, then Avro by the internal schema. Everything is sorted, so that
// equal states have equal bytes.

const FORMAT_VERSION = 2;

/** In the order of the schema. */
const PHASES: readonly AlertPhase[] = ['NORMAL', 'PENDING', 'FIRING', 'RECOVERING'];

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

/** The opposite, of value[start, end). IngotError `STATE_UNREADABLE` when the bytes are no device state of this version. */
export function decodeDeviceState(value: Buffer, start = 0, end = value.length): DeviceState {
  if (value[start] !== FORMAT_VERSION) throw unreadable(`format ${value[start]}, expected ${FORMAT_VERSION}`);
  const from = new AvroReader(value, start + 1, end);
  try {
    const device = readDevice(from);
    if (from.isAtEnd) return device;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw unreadable('not a device state', cause);
  }
  throw unreadable('not a device state: bytes are left after it');
}

/** Field by field, in the order of the schema: a restart waits for this, once for every device and change. */
function readDevice(from: AvroReader): DeviceState {
  const device = new DeviceState(from.string());
  device.maxT = from.long();
  device.lastHeard = from.long();
  device.closedUpTo = from.long();
  from.array(() => device.addPart(readPart(from)));
  from.array(() => device.addAlert(readAlert(from)));
  return device;
}

function readPart(from: AvroReader): OpenPart {
  const part = new OpenPart({
    start: from.long(),
    end: from.long(),
    part: from.long(),
    firstHeard: from.long(),
    late: from.boolean(),
  });
  part.readings = from.long();
  from.array(() => part.restore(from.name(), readAccumulator(from)));
  return part;
}

/** The numbers of an accumulator stand in the order of the schema. */
function readAccumulator(from: AvroReader): Accumulator {
  const numbers = NO_VALUES.slice();
  numbers[0] = from.long(); // count
  for (let place = 1; place < 8; place += 1) numbers[place] = from.double(); // min to first
  numbers[8] = from.long(); // first time
  numbers[9] = from.double(); // last
  numbers[10] = from.long(); // last time
  return new Accumulator(numbers);
}

function readAlert(from: AvroReader): AlertState {
  const alert = new AlertState(from.name());
  alert.phase = phaseOf(from.long());
  alert.lastJudged = from.long();
  alert.judgedHeard = from.long();
  alert.lastValue = from.double();
  alert.raisedAt = from.long();
  alert.firstBreachOffset = from.long();
  alert.recoveringSince = from.long();
  alert.timerAt = from.long();
  alert.peak = from.double();
  alert.sampleCount = from.long();
  alert.level = from.long();
  alert.transitions = from.long();
  alert.staleSince = from.long();
  alert.staleHeard = from.long();
  return alert;
}

function phaseOf(index: number): AlertPhase {
  const phase = PHASES[index];
  if (phase === undefined) throw new RangeError(`there is no phase ${index}`);
  return phase;
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
