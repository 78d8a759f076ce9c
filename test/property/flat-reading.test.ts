import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeReading } from '../../src/core/decode-reading.ts';
import { identitySeed } from '../../src/core/identity.ts';
import { COMMON_METRICS } from '../../src/core/reading.ts';
import { createEncoder, parseAvroType } from '../../src/registry/avro-codec.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { ReadingTranscoder } from '../../src/registry/reading-transcoder.ts';

// The short way from JSON bytes to Avro bytes says nothing else than the long one: decode, then encode.

const RUNS = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 3_000);
/** More runs take longer, on a busy machine a millisecond each. */
const TIMEOUT_MS = 60_000 + RUNS * 10;
const RECEIVED_AT = 1_795_252_383_999;
const SCHEMA_ID = 77;
const MAX_PAYLOAD_BYTES = 65_536;
const encoder = createEncoder({ schemaId: SCHEMA_ID, type: parseAvroType(READING_SCHEMA.text) });
const transcoder = new ReadingTranscoder({ schemaId: SCHEMA_ID });

/** True when the short way knew the message. Within other bytes, as a packet is within a chunk. */
function compare(text: string | Buffer, deviceId = 'd1'): boolean {
  const payload = Buffer.from(text as string);
  const topic = `devices/${deviceId}/telemetry`;
  const bytes = Buffer.concat([Buffer.from('{"seq":1}'), payload, Buffer.from('1234567890}],"')]);
  const origin = { key: Buffer.from(deviceId), identitySeed: identitySeed(topic) };
  const message = { bytes, payloadStart: 9, payloadEnd: 9 + payload.length, receivedAt: RECEIVED_AT };
  const short = transcoder.transcode(message, origin);
  if (short === null) return false;
  const long = decodeReading({ topic, payload, receivedAt: RECEIVED_AT }, MAX_PAYLOAD_BYTES);
  if (long.kind !== 'reading') throw new Error(`taken: ${payload.toString('latin1')}, but ${long.reason} ${long.detail}`);
  expect(Buffer.from(short).toString('hex'), payload.toString('latin1')).toBe(encoder.encode(long.reading).toString('hex'));
  expect(transcoder.ignoredFields).toBe(long.ignoredFields);
  return true;
}

const commonNames = COMMON_METRICS.map((metric) => metric.name);
const name = fc.oneof(
  fc.constantFrom('ts', 'seq', 'id', 'deviceId', 'status', 'aggregatable', 'metrics', 'rssi', 'a', 'b', '5', '__proto__', ''),
  fc.constantFrom(...commonNames),
  fc.stringMatching(/^[ -~]{0,12}$/),
);
const numberText = fc.oneof(
  fc.double().map((value) => String(value)),
  fc.double({ min: -500, max: 5_000, noNaN: true }).map((value) => value.toFixed(3)),
  fc.integer().map((value) => String(value)),
  fc.stringMatching(/^-?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?$/),
  fc.constantFrom(
    '1795252383511',
    '-0',
    '0',
    '-0.0',
    '9007199254740993',
    '1e3',
    '00',
    '.5',
    '1.',
    '-',
    '+1',
    'NaN',
    '0.1',
    '123456789012345678',
  ),
);
const valueText = fc.oneof(
  { weight: 6, arbitrary: numberText },
  fc.constantFrom('true', 'false', 'null', 'tru', 'nulll', '[]', '{}', '"d1"', '""', '"ok"', '"a\\"b"', '"ü"', '"\t"', '[1,{"a":[]}]'),
  fc.stringMatching(/^[ -~]{0,140}$/).map((text) => JSON.stringify(text)),
  fc.jsonValue().map((value) => JSON.stringify(value)),
);
const blank = fc.constantFrom('', '', '', ' ', '\n', '\t ', '\r\n', '\u00a0');
const pair = fc
  .tuple(name, valueText, blank, blank)
  .map(([key, value, before, after]) => `${before}${JSON.stringify(key)}${after}:${before}${value}${after}`);
const object = (inner: fc.Arbitrary<string>) => fc.array(inner, { maxLength: 30 }).map((pairs) => `{${pairs.join(',')}}`);
const nested = object(pair).map((text) => `"metrics":${text}`);
const payloadText = fc
  .tuple(object(fc.oneof({ weight: 12, arbitrary: pair }, nested)), blank, blank)
  .map(([text, before, after]) => before + text + after);

/** What devices send, so that most are known. */
const usual = fc
  .record(
    {
      ts: fc.integer({ min: 1_600_000_000_000, max: 1_900_000_000_000 }),
      seq: fc.maxSafeInteger(),
      id: fc.stringMatching(/^[a-z -]{1,130}$/),
      deviceId: fc.constant('d1'),
      temperature: fc.double({ min: -273, max: 3_000, noNaN: true }),
      humidity: fc.integer({ min: 0, max: 100 }),
      battery: fc.double({ min: 0, max: 100, noNaN: true }).map((value) => Number(value.toFixed(2))),
      co2: fc.integer({ min: 0, max: 5_000 }),
      status: fc.constantFrom('ok', 'on', 'a b', 'x'.repeat(100)),
      aggregatable: fc.boolean(),
      rssi: fc.integer({ min: -120, max: 0 }),
      note: fc.oneof({ weight: 9, arbitrary: fc.stringMatching(/^[ !#-[\]-~]{0,60}$/) }, fc.string()),
      flag: fc.boolean(),
      nothing: fc.constant(null),
      metrics: fc.dictionary(fc.stringMatching(/^[a-z_]{1,20}$/), fc.double({ min: -1e100, max: 1e100, noNaN: true }), {
        maxKeys: 12,
        noNullPrototype: true,
      }),
    },
    { requiredKeys: [] },
  )
  .map((message) => JSON.stringify(message));

describe('the short way', { timeout: TIMEOUT_MS }, () => {
  it('says what the long way says, of anything that looks like JSON', () => {
    fc.assert(
      fc.property(payloadText, (text) => void compare(text)),
      { numRuns: RUNS },
    );
  });

  it('says what the long way says, of what devices send, and knows most of it', () => {
    let known = 0;
    let all = 0;
    fc.assert(
      fc.property(usual, (text) => {
        all++;
        if (compare(text)) known++;
      }),
      { numRuns: RUNS },
    );
    expect(known / all).toBeGreaterThan(0.3);
  });

  it('says what the long way says, of usual messages with some bytes changed or cut off', () => {
    const change = fc.tuple(fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(usual, fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(10), (text, changes, cut) => {
        const payload = Buffer.from(text);
        for (const [at, byte] of changes) payload[at % payload.length] = byte;
        compare(cut > 8 ? payload.subarray(0, payload.length - cut) : payload);
      }),
      { numRuns: RUNS },
    );
  });

  it('rounds every number as JSON.parse does', () => {
    fc.assert(
      fc.property(numberText, (text) => void compare(`{"seq":1,"a":${text},"temperature":${text}}`)),
      { numRuns: RUNS },
    );
  });
});

describe('knows', () => {
  it.each([
    '{"ts":1795252383511,"seq":7,"temperature":20.5,"humidity":44.1,"battery":87.5,"status":"ok","rssi":-61,"note":"bench"}',
    '{"temperature":21}',
    ' { "status" : "on" , "aggregatable" : false } \n',
    '{"metrics":{"rpm":1500.25,"temperature":3,"ts":5},"id":"a-1","deviceId":"d1"}',
    '{"temperature":-0,"x":-0.0,"y":123456789.0123456789}',
    '{"temperature":2.5e1,"x":-1E-9,"metrics":{ }}',
  ])('%s', (text) => {
    expect(compare(text)).toBe(true);
  });
});

describe('leaves to the decoder', () => {
  it.each([
    '',
    '{}',
    '[]',
    '{"temperature":1}x',
    '{"temperature":1,}',
    '{"temperature":1e}',
    '{"temperature":01}',
    '{"temperature":1,"temperature":2}',
    '{"x":1,"x":2}',
    '{"note":"a","note":"b","temperature":1}',
    '{"5":1}',
    '{"__proto__":1}',
    '{"ts":1,"temperature":1}',
    '{"temperature":4000}',
    '{"deviceId":"d2","temperature":1}',
    '{"metrics":{"a":"b"}}',
    '{"metrics":{}}',
    '{"metrics":{"a":1,}}',
    '{"a":[1],"temperature":1}',
    '{"status":""}',
    '{"status":"\\u0041"}',
    '{"status":"é"}',
    '{"seq":1.5,"temperature":1}',
    '{"note":"only"}',
    '{"temperature":null}',
    '{"":1}',
  ])('%s', (text) => {
    expect(compare(text)).toBe(false);
  });
});
