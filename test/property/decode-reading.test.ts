import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeReading } from '../../src/core/decode-reading.ts';
import { BRIDGE_REJECT_REASONS } from '../../src/core/outcome.ts';
import { COMMON_METRICS } from '../../src/core/reading.ts';

const RECEIVED_AT = 1_795_252_383_999;
const VALID = Buffer.from('{"ts":1795252383511,"seq":7,"id":"a","temperature":20.5,"status":"ok","metrics":{"rpm":1500.25},"note":"é[{:"}');

/** Whatever comes out must be sound: a known reason, or finite numbers in their ranges. */
function expectSound(topic: string, payload: Buffer): void {
  const outcome = decodeReading({ topic, payload, receivedAt: RECEIVED_AT }, 4096);
  if (outcome.kind === 'rejected') {
    expect(BRIDGE_REJECT_REASONS).toContain(outcome.reason);
    expect(outcome.detail.length).toBeLessThan(210);
    return;
  }
  const { reading } = outcome;
  for (const { name, min, max } of COMMON_METRICS) {
    const value = reading[name];
    if (value !== null) expect(value >= min && value <= max && !Object.is(value, -0)).toBe(true);
  }
  for (const value of Object.values(reading.metrics)) expect(Number.isFinite(value) && !Object.is(value, -0)).toBe(true);
  expect(Number.isSafeInteger(reading.eventTime)).toBe(true);
  expect(Number.isSafeInteger(reading.identity)).toBe(true);
  expect(JSON.parse(JSON.stringify(reading))).toEqual({ ...reading, metrics: { ...reading.metrics }, attributes: {} });
}

describe('decoding never throws', () => {
  it('on random bytes and topics', () => {
    fc.assert(fc.property(fc.string(), fc.uint8Array({ maxLength: 300 }), (topic, bytes) => expectSound(topic, Buffer.from(bytes))));
  });

  it('on any JSON', () => {
    const names = fc.oneof(fc.constantFrom('ts', 'seq', 'id', 'deviceId', 'status', 'metrics', 'temperature', '__proto__'), fc.string());
    const message = fc.dictionary(names, fc.oneof(fc.double(), fc.integer(), fc.jsonValue()), { noNullPrototype: true });
    fc.assert(fc.property(message, (value) => expectSound('devices/d1/telemetry', Buffer.from(JSON.stringify(value)))));
  });

  it('on valid messages with some bytes changed', () => {
    const change = fc.tuple(fc.nat(VALID.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), fc.nat(VALID.length), (changes, length) => {
        const payload = Buffer.from(VALID);
        for (const [at, byte] of changes) payload[at] = byte;
        expectSound('devices/d1/telemetry', payload.subarray(0, length + 1));
      }),
    );
  });

  it('decodes the same message to the same reading', () => {
    const finite = fc.double({ min: -1e100, max: 1e100, noNaN: true });
    fc.assert(
      fc.property(
        fc.double({ min: -273, max: 3000, noNaN: true }),
        fc.dictionary(fc.stringMatching(/^[a-z]{1,9}_m$/), finite),
        (temperature, metrics) => {
          const payload = Buffer.from(JSON.stringify({ seq: 1, temperature, metrics }));
          const outcome = decodeReading({ topic: 'devices/d1/telemetry', payload, receivedAt: RECEIVED_AT }, 65_536);
          if (Object.keys(metrics).length > 60) return;
          if (outcome.kind !== 'reading') throw new Error(outcome.detail);
          expect(outcome.reading.temperature).toBe(temperature + 0);
          expect({ ...outcome.reading.metrics }).toEqual(
            Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, value + 0])),
          );
        },
      ),
    );
  });
});

it('what is no UTF-8 is refused as a strict decoder refuses it, and nothing else is', () => {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  // U+FFFD by itself, a byte order mark, halves of characters, anything.
  const piece = fc.oneof(
    fc.constantFrom(...['\ufffd', '\ufeff', '\u00e9', '\u{1f321}', 'a'].map((text) => Buffer.from(text))),
    fc.uint8Array({ min: 0x80, maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  );
  const payloads = fc.array(piece, { minLength: 1, maxLength: 4 }).map((pieces) => {
    return Buffer.concat([Buffer.from('{"temperature":1,"note":"'), ...pieces, Buffer.from('"}')]);
  });
  fc.assert(
    fc.property(payloads, (payload) => {
      let isUtf8 = true;
      try {
        strict.decode(payload);
      } catch {
        isUtf8 = false;
      }
      const outcome = decodeReading({ topic: 'devices/d1/telemetry', payload, receivedAt: 1_795_252_383_999 }, 65_536);
      expect(outcome).toMatchObject(isUtf8 ? { kind: 'reading' } : { kind: 'rejected', reason: 'invalid_utf8' });
    }),
    { numRuns: Number(process.env['INGOT_PROPERTY_RUNS'] ?? 2_000) },
  );
});
