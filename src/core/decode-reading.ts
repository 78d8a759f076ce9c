// The native dialect: JSON on devices/<id>/telemetry becomes a Reading, or a reason why not.
//
//   {"ts": epoch ms, "seq"?: int, "id"?: string, "deviceId"?: string, "temperature"?: number, ..., "status"?: string,
//    "aggregatable"?: boolean, "metrics"?: {name: number}}
//
// Nothing is coerced and nothing is guessed: a message that says something it cannot mean is refused as a whole, because a dead
// letter can be replayed and a wrong number cannot be taken back. Of two equal keys the last one counts (JSON.parse).

import { parseDeviceTopic } from './device-topic.ts';
import { identityOf } from './identity.ts';
import { scanJson } from './json-scan.ts';
import type { BridgeRejectReason } from './outcome.ts';
import type { CutPayload } from './payload-excerpt.ts';
import { COMMON_METRICS, type CommonMetric, type CommonMetricName, METRIC_MAGNITUDE_MAX, type Reading } from './reading.ts';
import { EARLIEST_PLAUSIBLE_EPOCH_MS, LATEST_PLAUSIBLE_EPOCH_MS } from './time.ts';

export interface DeviceMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** When the bridge received it, epoch ms. */
  readonly receivedAt: number;
  /** Set when `payload` is only the beginning. */
  readonly cutPayload?: CutPayload | null;
}

export type DecodeOutcome =
  | {
      readonly kind: 'reading';
      readonly reading: Reading;
      /** Fields that are neither known nor numbers: counted and left out. */
      readonly ignoredFields: number;
    }
  | {
      readonly kind: 'rejected';
      readonly reason: BridgeRejectReason;
      readonly detail: string;
      /** The device of the topic, when the topic names one. */
      readonly deviceId: string | null;
    };

/** What is wrong with one message or one field of it. */
interface Problem {
  readonly reason: BridgeRejectReason;
  readonly detail: string;
}

/** A reading in the making. */
interface Draft {
  readonly reading: Reading;
  metricCount: number;
  ignoredFields: number;
}

const MAX_TEXT_LENGTH = 128;
const MAX_DETAIL_LENGTH = 200;
/** Control characters, marks that change the direction of text, half surrogates: nothing that a name or a status needs. */
const NOT_PRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

const commonMetricByName: ReadonlyMap<string, CommonMetric & { readonly name: CommonMetricName }> = new Map(
  COMMON_METRICS.map((metric) => [metric.name, metric]),
);

/** Inherits no name, not even `constructor`. Unlike those of Object.create(null) its instances are as fast as other objects. */
class MetricTable {
  [name: string]: number;
}
Reflect.deleteProperty(MetricTable.prototype, 'constructor');
Object.setPrototypeOf(MetricTable.prototype, null);

/** Shared by all readings that have none: nobody writes to a reading after this page. */
const NOTHING = Object.freeze(Object.create(null) as Record<string, never>);

/** Decodes one message. Never throws, whatever the bytes. `maxPayloadBytes` is checked before anything looks at them. */
export function decodeReading(message: DeviceMessage, maxPayloadBytes: number): DecodeOutcome {
  const topic = parseDeviceTopic(message.topic);
  if (!topic.ok) return rejected({ reason: topic.reason, detail: `topic ${clip(message.topic)}` }, null);
  const { payload } = message;
  const payloadBytes = message.cutPayload?.payloadBytes ?? payload.length;
  if (payloadBytes === 0) return rejected({ reason: 'empty_payload', detail: 'no bytes' }, topic.deviceId);
  if (payloadBytes > maxPayloadBytes) {
    const detail = `${payloadBytes} bytes, at most ${maxPayloadBytes} are taken`;
    return rejected({ reason: 'payload_too_large', detail }, topic.deviceId);
  }
  const fields = parseObject(payload);
  if (isUnreadable(fields)) return rejected(fields.problem, topic.deviceId);

  const draft: Draft = { reading: emptyReading(topic.deviceId, message.receivedAt), metricCount: 0, ignoredFields: 0 };
  for (const name of Object.keys(fields)) {
    const problem = takeField(draft, name, fields[name]);
    if (problem !== undefined) return rejected(problem, topic.deviceId);
  }
  const { reading } = draft;
  if (draft.metricCount === 0 && reading.status === null) {
    return rejected({ reason: 'no_metrics', detail: 'neither a number nor a status' }, topic.deviceId);
  }
  if (reading.eventTimeSource === 'DEVICE' || reading.sequence !== null || reading.messageId !== null) {
    reading.identity = identityOf(message.topic, payload);
  }
  return { kind: 'reading', reading, ignoredFields: draft.ignoredFields };
}

function rejected(problem: Problem, deviceId: string | null): DecodeOutcome {
  const detail = problem.detail.length > MAX_DETAIL_LENGTH ? `${problem.detail.slice(0, MAX_DETAIL_LENGTH)}...` : problem.detail;
  return { kind: 'rejected', reason: problem.reason, detail, deviceId };
}

type JsonFields = { readonly [name: string]: unknown };

/** Wraps a problem in something that JSON.parse cannot return, so that the two cannot be mixed up. */
class Unreadable {
  readonly problem: Problem;

  constructor(reason: BridgeRejectReason, detail: string) {
    this.problem = { reason, detail };
  }
}

function isUnreadable(value: JsonFields | Unreadable): value is Unreadable {
  return value instanceof Unreadable;
}

function parseObject(payload: Buffer): JsonFields | Unreadable {
  const scan = scanJson(payload);
  if (scan === 'too_deep') return new Unreadable('json_too_deep', 'brackets nested too deeply');
  if (scan === 'too_many_keys') return new Unreadable('json_too_many_keys', 'too many keys');
  // Latin-1 of ASCII bytes is the same text at a third of the cost.
  const text = scan === 'ascii' ? payload.toString('latin1') : utf8Text(payload);
  if (text === null) return new Unreadable('invalid_utf8', 'the payload is not UTF-8');
  try {
    const value = parseJson(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonFields;
    return new Unreadable('not_an_object', `the payload is ${typeName(value)}, not an object`);
  } catch (error) {
    return new Unreadable('invalid_json', (error as Error).message);
  }
}

/** Null when it is none. A strict decoder would tell it by an exception, whose stack costs more than all of this. */
function utf8Text(payload: Buffer): string | null {
  const text = payload.toString('utf8');
  // What is no UTF-8 becomes U+FFFD, which may also be there by itself.
  return !text.includes('\ufffd') || Buffer.from(text, 'utf8').equals(payload) ? text : null;
}

/** The error of what is no JSON comes without a stack: to collect one takes three times as long as everything else that is done for it. */
function parseJson(text: string): unknown {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return JSON.parse(text);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function takeField(draft: Draft, name: string, value: unknown): Problem | undefined {
  switch (name) {
    case 'ts':
      return takeTime(draft.reading, value);
    case 'seq':
      return takeSequence(draft.reading, value);
    case 'id':
      if (!isShortText(value)) return notShortText(name, value);
      draft.reading.messageId = value;
      return undefined;
    case 'deviceId':
      return checkDeviceId(draft.reading, value);
    case 'status':
      if (!isShortText(value)) return notShortText(name, value);
      draft.reading.status = value;
      return undefined;
    case 'aggregatable':
      if (typeof value !== 'boolean') return { reason: 'invalid_field', detail: `aggregatable is ${typeName(value)}, not true or false` };
      draft.reading.aggregatable = value;
      return undefined;
    case 'metrics':
      return takeMetrics(draft, value);
    default:
      if (typeof value === 'number' || commonMetricByName.has(name)) return takeMetric(draft, name, value);
      draft.ignoredFields++;
      return undefined;
  }
}

function takeMetrics(draft: Draft, value: unknown): Problem | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { reason: 'invalid_field', detail: `metrics is ${typeName(value)}, not an object` };
  }
  const fields = value as JsonFields;
  for (const name of Object.keys(fields)) {
    const problem = takeMetric(draft, name, fields[name]);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function takeMetric(draft: Draft, name: string, value: unknown): Problem | undefined {
  if (typeof value !== 'number') return { reason: 'invalid_metric', detail: `${clip(name)} is ${typeName(value)}, not a number` };
  if (!Number.isFinite(value)) return { reason: 'invalid_metric', detail: `${clip(name)} is not finite` };
  const { reading } = draft;
  const common = commonMetricByName.get(name);
  draft.metricCount++;
  if (common !== undefined) {
    if (value < common.min || value > common.max) {
      return { reason: 'metric_out_of_range', detail: `${name} is ${value}, plausible is ${common.min} to ${common.max} ${common.unit}` };
    }
    if (reading[common.name] !== null) return { reason: 'invalid_metric', detail: `${name} is given twice` };
    // Adding 0 turns -0 into 0.
    reading[common.name] = value + 0;
    return undefined;
  }
  if (Math.abs(value) > METRIC_MAGNITUDE_MAX) {
    return { reason: 'metric_out_of_range', detail: `${clip(name)} is ${value}, at most ${METRIC_MAGNITUDE_MAX} either way is taken` };
  }
  if (!isShortText(name) || name === '__proto__')
    return { reason: 'invalid_metric', detail: `${clip(name)} cannot be the name of a metric` };
  if (reading.metrics === NOTHING) reading.metrics = new MetricTable();
  else if (name in reading.metrics) return { reason: 'invalid_metric', detail: `${clip(name)} is given twice` };
  reading.metrics[name] = value + 0;
  return undefined;
}

function takeTime(reading: Reading, value: unknown): Problem | undefined {
  if (typeof value !== 'number') return { reason: 'invalid_timestamp', detail: `ts is ${typeName(value)}, not a number of milliseconds` };
  if (!Number.isInteger(value)) return { reason: 'invalid_timestamp', detail: `ts ${value} is not an integer` };
  if (!isPlausibleEpochMs(value))
    return { reason: 'invalid_timestamp', detail: `ts ${value} is not an epoch in milliseconds${unitHint(value)}` };
  reading.eventTime = value;
  reading.eventTimeSource = 'DEVICE';
  return undefined;
}

function isPlausibleEpochMs(value: number): boolean {
  return value >= EARLIEST_PLAUSIBLE_EPOCH_MS && value <= LATEST_PLAUSIBLE_EPOCH_MS;
}

/** The unit is configuration and never guessed; but whoever looks at the dead letter is told what it probably was. */
function unitHint(value: number): string {
  if (value === 0) return ': looks like a clock that was never set';
  if (isPlausibleEpochMs(value * 1000)) return ': looks like seconds';
  if (isPlausibleEpochMs(value / 1000)) return ': looks like microseconds';
  if (isPlausibleEpochMs(value / 1_000_000)) return ': looks like nanoseconds';
  return '';
}

function takeSequence(reading: Reading, value: unknown): Problem | undefined {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    return {
      reason: 'invalid_sequence',
      detail: `seq is ${typeof value === 'number' ? value : typeName(value)}, not an integer below 2^53`,
    };
  }
  reading.sequence = value + 0;
  return undefined;
}

function checkDeviceId(reading: Reading, value: unknown): Problem | undefined {
  if (value === reading.deviceId) return undefined;
  const given = typeof value === 'string' ? clip(value) : typeName(value);
  return { reason: 'device_id_mismatch', detail: `deviceId is ${given}, the topic says ${reading.deviceId}` };
}

function isShortText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT_LENGTH && isPrintable(value);
}

function isPrintable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Printable ASCII needs no table of Unicode.
    if (code < 0x20 || code > 0x7e) return !NOT_PRINTABLE.test(text);
  }
  return true;
}

function notShortText(name: string, value: unknown): Problem {
  const given = typeof value === 'string' ? 'empty, too long or has unprintable characters' : `${typeName(value)}, not a string`;
  return { reason: 'invalid_field', detail: `${name} is ${given}` };
}

/** A name or value of a stranger, short enough for a header and quoted so that its ends show. */
function clip(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}...` : text);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  switch (typeof value) {
    case 'string':
      return 'a string';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'a boolean';
    default:
      return 'an object';
  }
}

/** All fields at once and always in this order, so that every reading has the same hidden class. */
function emptyReading(deviceId: string, receivedAt: number): Reading {
  return {
    deviceId,
    eventTime: receivedAt,
    receivedAt,
    eventTimeSource: 'BRIDGE',
    sequence: null,
    messageId: null,
    identity: 0,
    aggregatable: true,
    status: null,
    temperature: null,
    humidity: null,
    pressure: null,
    battery: null,
    voltage: null,
    current: null,
    power: null,
    co2: null,
    illuminance: null,
    metrics: NOTHING,
    attributes: NOTHING,
  };
}
