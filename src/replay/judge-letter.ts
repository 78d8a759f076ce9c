import { decodeReading } from '../core/decode-reading.ts';
import { formatDuration } from '../core/duration-text.ts';
import { partitionForKey } from '../core/murmur2.ts';
import { hasValidOrigin, hasValidValues, type Reading } from '../core/reading.ts';
import { firstAppendTimeOf, REPLAY_WAIT_MAX_MS } from '../core/replay-headers.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import { type DeadLetter, headerText } from './dead-letter.ts';
import type { ReadingEncoder, ReplayLimits } from './replay-ports.ts';

// Whether a letter would be a reading now. The cause may have been mended since: a limit raised, a schema registered, a clock passed.

/** A letter that can be appended to the readings. */
export interface Replayable {
  readonly kind: 'replayable';
  readonly key: Buffer;
  /** Partition of the readings. */
  readonly partition: number;
  readonly value: Buffer;
  readonly firstAppendTimeMs: number;
  /** Of the message, 0 when it has none: two letters with the same one hold the same message. */
  readonly identity: number;
}

export type Verdict =
  | Replayable
  | { readonly kind: 'refused'; readonly reason: string; readonly detail: string }
  /** To be loaded, then judged again. */
  | { readonly kind: 'unknown_schema'; readonly schemaId: number };

export interface Judge {
  readonly decoder: ValueDecoder<Reading>;
  readonly encoder: ReadingEncoder;
  readonly limits: ReplayLimits;
  readonly partitions: number;
  readonly nowMs: number;
}

/** A letter of the bridge: the message goes through the decoding of today and becomes Avro under the schema of today. */
export function judgeMessage(letter: DeadLetter, judge: Judge): Verdict {
  const payload = letter.value ?? Buffer.alloc(0);
  const wholeBytes = headerText(letter, 'payload-bytes');
  if (wholeBytes !== null) {
    const detail = `only the first ${payload.length} of ${wholeBytes} bytes were kept, so the message has to be sent again`;
    return refused(headerText(letter, 'failure-reason') ?? 'payload_too_large', detail);
  }
  const message = { topic: headerText(letter, 'original-topic') ?? '', payload, receivedAt: receivedAtMs(letter) };
  const outcome = decodeReading(message, judge.limits.maxPayloadBytes);
  if (outcome.kind === 'rejected') return refused(outcome.reason, outcome.detail);
  const problem = timeProblem(outcome.reading, letter, judge);
  // The encoder's view is valid only until its next call.
  return problem ?? replayable(letter, outcome.reading, Buffer.from(judge.encoder.encode(outcome.reading)), judge);
}

/** A letter of the aggregator: the bytes are those of the original record, and stay so. */
export function judgeReading(letter: DeadLetter, judge: Judge): Verdict {
  const { value } = letter;
  if (value === null) return refused('undecodable', 'it has no value');
  const decoded = judge.decoder.decode(value, 0, value.length);
  if (decoded.kind === 'unknown_schema') return decoded;
  if (decoded.kind === 'undecodable') return refused('undecodable', decoded.detail);
  const reading = decoded.value;
  if (!hasValidOrigin(reading) || !hasValidValues(reading)) {
    return refused('undecodable', 'the device id, the event time or a value is not one that a reading may have');
  }
  return timeProblem(reading, letter, judge) ?? replayable(letter, reading, value, judge);
}

function replayable(letter: DeadLetter, reading: Reading, value: Buffer, { limits, partitions }: Judge): Verdict {
  if (value.length > limits.valueBytesMax) {
    return refused('record_too_large', `${value.length} bytes, the readings topic takes ${limits.valueBytesMax}`);
  }
  // Not the letter's own key: a misrouted record has a wrong one, or none.
  const key = Buffer.from(reading.deviceId);
  const partition = partitionForKey(key, partitions);
  const firstAppendTimeMs = firstAppendTimeOf(letter.headers, letter.appendTimeMs);
  return { kind: 'replayable', key, partition, value, firstAppendTimeMs, identity: reading.identity };
}

/** What the aggregator would refuse anyway, with the settings that this process has. */
function timeProblem({ eventTime }: Reading, letter: DeadLetter, { limits, nowMs }: Judge): Verdict | null {
  const { skewMs, pastLimitMs } = limits;
  const said = `event time ${new Date(eventTime).toISOString()} is`;
  if (eventTime > nowMs + skewMs) {
    return refused(
      'future',
      `${said} still ${formatDuration(eventTime - nowMs)} ahead; EVENT_TIME_SKEW here allows ${formatDuration(skewMs)}`,
    );
  }
  const claimedMs = firstAppendTimeOf(letter.headers, letter.appendTimeMs);
  const firstAppendTimeMs = claimedMs < nowMs - REPLAY_WAIT_MAX_MS ? nowMs : claimedMs;
  if (pastLimitMs === null || eventTime >= firstAppendTimeMs - pastLimitMs) return null;
  return refused(
    'ancient',
    `${said} ${formatDuration(firstAppendTimeMs - eventTime)} before it came; EVENT_TIME_PAST_LIMIT here allows ${formatDuration(pastLimitMs)}`,
  );
}

/** When the bridge received the message: the event time of one that says none. */
function receivedAtMs(letter: DeadLetter): number {
  const text = headerText(letter, 'timestamp') ?? '';
  const timeMs = /^\d{1,15}$/.test(text) ? Number(text) : letter.appendTimeMs;
  return Math.min(timeMs, letter.appendTimeMs);
}

function refused(reason: string, detail: string): Verdict {
  return { kind: 'refused', reason, detail };
}
