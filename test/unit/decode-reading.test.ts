import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type DecodeOutcome, decodeReading } from '../../src/core/decode-reading.ts';

const RECEIVED_AT = 1_795_252_383_999;
const TS = 1_795_252_383_511;
const fixtures = new URL('../fixtures/payloads/', import.meta.url);

function decode(payload: string | Buffer, topic = 'devices/d1/telemetry'): DecodeOutcome {
  return decodeReading({ topic, payload: Buffer.from(payload as string), receivedAt: RECEIVED_AT }, 65_536);
}

function readingOf(payload: string) {
  const outcome = decode(payload);
  if (outcome.kind !== 'reading') throw new Error(`rejected: ${outcome.reason}: ${outcome.detail}`);
  return outcome.reading;
}

describe('what is accepted', () => {
  const lines = readFileSync(new URL('native/accepted.jsonl', fixtures), 'utf8').trim().split('\n');
  it.each(lines)('%s', (line) => {
    const { topic, payload, expect: expected } = JSON.parse(line) as { topic: string; payload: string; expect: object };
    const outcome = decode(payload, topic);
    expect(outcome).toMatchObject({ kind: 'reading', reading: expected });
  });

  it('has all fields of a reading and nothing else', () => {
    expect(readingOf(`{"ts":${TS},"temperature":20.5}`)).toEqual({
      deviceId: 'd1',
      eventTime: TS,
      receivedAt: RECEIVED_AT,
      eventTimeSource: 'DEVICE',
      sequence: null,
      messageId: null,
      identity: expect.any(Number),
      aggregatable: true,
      status: null,
      temperature: 20.5,
      humidity: null,
      pressure: null,
      battery: null,
      voltage: null,
      current: null,
      power: null,
      co2: null,
      illuminance: null,
      metrics: {},
      attributes: {},
    });
  });

  it('turns -0 into 0, in common and in other metrics and in the sequence', () => {
    const reading = readingOf('{"temperature":-0,"tilt":-0.0,"seq":-0}');
    expect(Object.is(reading.temperature, 0)).toBe(true);
    expect(Object.is(reading.metrics['tilt'], 0)).toBe(true);
    expect(Object.is(reading.sequence, 0)).toBe(true);
  });

  it('counts fields that are neither known nor numbers', () => {
    expect(decode('{"temperature":1,"a":"x","b":null,"c":true,"d":{"e":1},"f":[1]}')).toMatchObject({ kind: 'reading', ignoredFields: 5 });
  });

  it('keeps the last of two equal keys, as JSON.parse does', () => {
    expect(decode(readFileSync(new URL('malformed/duplicate-keys.txt', fixtures)))).toMatchObject({ reading: { temperature: 99.9 } });
  });

  it('leaves the year 2100 to the aggregator', () => {
    expect(decode(readFileSync(new URL('malformed/future.txt', fixtures)))).toMatchObject({ reading: { eventTime: 4_102_444_800_000 } });
  });

  it('reads only own fields: a __proto__ key changes no prototype', () => {
    expect(decode('{"temperature":1,"__proto__":{"humidity":5}}')).toMatchObject({
      kind: 'reading',
      reading: { humidity: null },
      ignoredFields: 1,
    });
    expect(decode('{"constructor":5}')).toMatchObject({ reading: { metrics: { constructor: 5 } } });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('identity', () => {
  it.each([`{"ts":${TS},"temperature":1}`, '{"seq":1,"temperature":1}', '{"id":"a","temperature":1}'])('is there with %s', (payload) => {
    expect(readingOf(payload).identity).toBeGreaterThan(0);
  });
  it('is 0 when two equal messages cannot be told apart', () => {
    expect(readingOf('{"temperature":1}').identity).toBe(0);
  });
  it('differs by topic and by payload', () => {
    const ids = [
      ['devices/d1/telemetry', '{"seq":1,"t":1}'],
      ['devices/d2/telemetry', '{"seq":1,"t":1}'],
      ['devices/d1/telemetry', '{"seq":1,"t":2}'],
    ].map(([topic, payload]) => {
      const outcome = decode(payload!, topic);
      return outcome.kind === 'reading' ? outcome.reading.identity : 0;
    });
    expect(new Set(ids).size).toBe(3);
  });
});

const deep = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)},"temperature":1}`;
const wide = (keys: number) => `{${Array.from({ length: keys }, (_, i) => `"m${i}":${i}`).join(',')}}`;

describe('what is refused', () => {
  it.each([
    ['', 'empty_payload', 'no bytes'],
    ['null', 'not_an_object', 'null'],
    ['[1]', 'not_an_object', 'an array'],
    ['20.5', 'not_an_object', 'a number'],
    ['{"temperature":', 'invalid_json', ''],
    ['{"temperature":NaN}', 'invalid_json', ''],
    ['\ufeff{"temperature":1}', 'invalid_json', ''],
    [deep(9), 'json_too_deep', ''],
    ['['.repeat(60_000), 'json_too_deep', ''],
    [wide(65), 'json_too_many_keys', ''],
    ['{"temperature":"12.5"}', 'invalid_metric', 'a string'],
    ['{"temperature":"20,5"}', 'invalid_metric', 'a string'],
    ['{"temperature":null}', 'invalid_metric', 'null'],
    ['{"temperature":true}', 'invalid_metric', 'a boolean'],
    ['{"temperature":1e999}', 'invalid_metric', 'not finite'],
    ['{"other":-1e999}', 'invalid_metric', 'not finite'],
    ['{"other":1e101}', 'metric_out_of_range', '1e+100 either way'],
    ['{"metrics":{"a":"1"}}', 'invalid_metric', 'a string'],
    ['{"metrics":{"a":{"b":1}}}', 'invalid_metric', 'an object'],
    ['{"metrics":[1]}', 'invalid_field', 'an array'],
    ['{"metrics":null}', 'invalid_field', 'null'],
    ['{"a":1,"metrics":{"a":1}}', 'invalid_metric', 'twice'],
    ['{"temperature":1,"metrics":{"temperature":1}}', 'invalid_metric', 'twice'],
    ['{"metrics":{"__proto__":1}}', 'invalid_metric', '__proto__'],
    ['{"":1}', 'invalid_metric', 'name'],
    ['{"a\\u0000b":1}', 'invalid_metric', 'name'],
    ['{"a\\u202eb":1}', 'invalid_metric', 'name'],
    [`{"${'m'.repeat(129)}":1}`, 'invalid_metric', 'name'],
    ['{"temperature":-274}', 'metric_out_of_range', '-273.15'],
    ['{"temperature":5760}', 'metric_out_of_range', '5760'],
    ['{"humidity":100.5}', 'metric_out_of_range', '%RH'],
    ['{"metrics":{"battery":255}}', 'metric_out_of_range', '255'],
    ['{"ts":1795252383,"temperature":1}', 'invalid_timestamp', 'looks like seconds'],
    ['{"ts":1795252383511000,"temperature":1}', 'invalid_timestamp', 'looks like microseconds'],
    ['{"ts":1795252383511000000,"temperature":1}', 'invalid_timestamp', 'looks like nanoseconds'],
    ['{"ts":0,"temperature":1}', 'invalid_timestamp', 'never set'],
    ['{"ts":-1,"temperature":1}', 'invalid_timestamp', ''],
    ['{"ts":1795252383511.5,"temperature":1}', 'invalid_timestamp', 'not an integer'],
    ['{"ts":"2026-11-21T09:13:03+01:00","temperature":1}', 'invalid_timestamp', 'a string'],
    ['{"ts":null,"temperature":1}', 'invalid_timestamp', 'null'],
    ['{"ts":1e999,"temperature":1}', 'invalid_timestamp', ''],
    ['{"seq":1.5,"temperature":1}', 'invalid_sequence', '1.5'],
    ['{"seq":12345678901234567890,"temperature":1}', 'invalid_sequence', 'below 2^53'],
    ['{"seq":"7","temperature":1}', 'invalid_sequence', 'a string'],
    ['{"id":7,"temperature":1}', 'invalid_field', 'id'],
    ['{"status":7}', 'invalid_field', 'status'],
    [`{"status":"${'x'.repeat(129)}"}`, 'invalid_field', 'status'],
    ['{"status":"a\\u0000b"}', 'invalid_field', 'status'],
    ['{"status":"\\ud800"}', 'invalid_field', 'status'],
    ['{"aggregatable":1,"temperature":1}', 'invalid_field', 'aggregatable'],
    ['{"deviceId":"d2","temperature":1}', 'device_id_mismatch', 'd2'],
    ['{"deviceId":1,"temperature":1}', 'device_id_mismatch', 'a number'],
    ['{}', 'no_metrics', ''],
    [`{"ts":${TS},"note":"x"}`, 'no_metrics', ''],
  ])('%.60s: %s', (payload, reason, detail) => {
    expect(decode(payload)).toMatchObject({ kind: 'rejected', reason, deviceId: 'd1', detail: expect.stringContaining(detail) });
  });

  it('keeps to the limits exactly', () => {
    expect(decode(deep(8))).toMatchObject({ kind: 'reading' });
    expect(decode(wide(64))).toMatchObject({ kind: 'reading' });
  });

  it('checks the size on the bytes, before decoding', () => {
    const payload = Buffer.alloc(101, '[');
    expect(decodeReading({ topic: 'devices/d1/telemetry', payload, receivedAt: RECEIVED_AT }, 100)).toMatchObject({
      reason: 'payload_too_large',
      detail: '101 bytes, at most 100 are taken',
    });
  });

  it.each([Buffer.from([0x22, 0xff, 0x22]), Buffer.from([0x22, 0xfe, 0x22]), Buffer.from([0xc0, 0x80])])(
    'bytes that are not UTF-8: %s',
    (bytes) => {
      expect(decode(bytes)).toMatchObject({ reason: 'invalid_utf8' });
    },
  );

  it('treats brackets and colons inside strings as text', () => {
    expect(decode(`{"temperature":1,"note":"${'[{:\\"'.repeat(100)}"}`)).toMatchObject({ kind: 'reading' });
  });

  it.each(['comma-decimal.txt', 'empty.txt', 'json-null.txt', 'proto-pollution.txt'])('the collected trap %s', (file) => {
    expect(decode(readFileSync(new URL(`malformed/${file}`, fixtures)))).toMatchObject({ kind: 'rejected' });
  });

  it('bounds the detail', () => {
    const outcome = decode(`{"deviceId":"${'x'.repeat(10_000)}"}`);
    expect(outcome.kind === 'rejected' && outcome.detail.length).toBeLessThan(210);
  });
});

describe('the topic', () => {
  it.each([
    ['devices/d1/telemetry/x', 'invalid_topic'],
    ['devices/a/b/telemetry', 'invalid_topic'],
    ['devices/telemetry', 'invalid_topic'],
    ['other/d1/telemetry', 'invalid_topic'],
    ['', 'invalid_topic'],
    ['devices//telemetry', 'invalid_device_id'],
    ['devices/a b/telemetry', 'invalid_device_id'],
    ['devices/a\u0000/telemetry', 'invalid_device_id'],
    ['devices/a\u202e/telemetry', 'invalid_device_id'],
    ['devices/d1\n/telemetry', 'invalid_device_id'],
    [`devices/${'x'.repeat(129)}/telemetry`, 'invalid_device_id'],
  ])('%j: %s', (topic, reason) => {
    expect(decode('{"temperature":1}', topic)).toMatchObject({ kind: 'rejected', reason, deviceId: null });
  });
});
