import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameTable } from '../../src/core/name-table.ts';
import { COMMON_METRICS, hasValidValues, METRIC_MAGNITUDE_MAX, type Reading } from '../../src/core/reading.ts';
import { createEncoder, createReader, parseAvroType } from '../../src/registry/avro-codec.ts';
import { compileAvroGuard } from '../../src/registry/avro-guard.ts';
import { plainReading } from '../support/oracle/plain-reading.ts';

const RUNS = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 2_000);

const SCHEMAS = ['sensor-reading', 'window-aggregate', 'alert'].map((name) => ({
  name,
  text: readFileSync(new URL(`../../schemas/${name}.avsc`, import.meta.url), 'utf8'),
}));

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const long = fc.maxSafeInteger();
const text = fc.string({ unit: 'grapheme', maxLength: 40 });
// The library writes longs below -2^52 wrongly and takes those near 2^53 for a loss of precision. No number of ours comes near either.
const safeLong = long.filter((value) => value >= -(2 ** 52) && value < Number.MAX_SAFE_INTEGER);

const anyReading: fc.Arbitrary<Reading> = fc
  .record({
    deviceId: text,
    eventTime: safeLong,
    receivedAt: safeLong,
    eventTimeSource: fc.constantFrom('UNKNOWN' as const, 'DEVICE' as const, 'BRIDGE' as const),
    identity: safeLong,
    sequence: fc.option(safeLong),
    messageId: fc.option(text),
    aggregatable: fc.boolean(),
    status: fc.option(text),
    common: fc.array(fc.option(finite), { minLength: COMMON_METRICS.length, maxLength: COMMON_METRICS.length }),
    metrics: fc.dictionary(text, finite),
    attributes: fc.dictionary(text, text),
  })
  .map(readingOf);

/** The common metrics into fields of their own, in their order; no key that no decoder takes. */
function readingOf<Rest extends object>({ common, metrics, attributes, ...rest }: Rest & Drawn) {
  return {
    ...rest,
    ...(Object.fromEntries(COMMON_METRICS.map(({ name }, index) => [name, common[index]])) as Record<
      (typeof COMMON_METRICS)[number]['name'],
      number | null
    >),
    metrics: withoutProto(metrics),
    attributes: withoutProto(attributes),
  };
}

interface Drawn {
  readonly common: readonly (number | null)[];
  readonly metrics: Record<string, number>;
  readonly attributes: Record<string, string>;
}

function withoutProto<Value>(map: Record<string, Value>): Record<string, Value> {
  return Object.fromEntries(Object.entries(map).filter(([key]) => key !== '__proto__'));
}

describe('readings', () => {
  const writerText = SCHEMAS[0]!.text;
  const type = parseAvroType(writerText);
  const encoder = createEncoder<Reading>({ schemaId: 7, type });
  const reader = createReader<Reading>({ writerText, readerType: type });

  it('become the bytes that the library writes, and come back as they were', () => {
    fc.assert(
      fc.property(anyReading, (reading) => {
        const bytes = encoder.encode(reading);
        expect(bytes.subarray(5)).toEqual(type.toBuffer(reading));
        const value = reader.read(bytes, 5, bytes.length);
        expect({ ...value, metrics: { ...value.metrics }, attributes: { ...value.attributes } }).toEqual({ ...reading });
      }),
    );
  });

  it('are read from damaged bytes only if guard and library read them too, and then as the same values', () => {
    const flip = fc.record({ at: fc.nat(), to: fc.nat(255) });
    const guard = compileAvroGuard(JSON.parse(writerText));
    fc.assert(
      fc.property(anyReading, fc.array(flip, { minLength: 1, maxLength: 4 }), (reading, flips) => {
        const bytes = Buffer.from(encoder.encode(reading).subarray(5));
        for (const { at, to } of flips) bytes[at % bytes.length] = to;
        const value = valueOrNull(() => reader.read(bytes, 0, bytes.length));
        if (value === null) return;
        expect(guard(bytes, 0, bytes.length)).toBeNull();
        // The library reads longs below -2^52 wrongly.
        if ([value.eventTime, value.receivedAt, value.identity, value.sequence ?? 0].some((long) => long < -(2 ** 52))) return;
        expect({ ...value, metrics: { ...value.metrics }, attributes: { ...value.attributes } }).toEqual({ ...type.fromBuffer(bytes) });
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a reader that overwrites its value', () => {
  const writerText = SCHEMAS[0]!.text;
  const type = parseAvroType(writerText);
  const encoder = createEncoder<Reading>({ schemaId: 7, type });
  const plain = createReader<Reading>({ writerText, readerType: type });
  const ignored = ['eventTimeSource', 'sequence', 'messageId', 'status', 'attributes'] as const;
  const reuse = { names: ['deviceId'], table: new NameTable(), ignored, magnitudeMax: METRIC_MAGNITUDE_MAX };
  const reusing = createReader<Reading>({ writerText, readerType: type, reuse });
  const unseen = { eventTimeSource: null, sequence: null, messageId: null, status: null, attributes: null };

  /** What the reader gives is what the other one does, but for fields that nobody asks for, and null for values beyond the bounds. */
  const expectSame = (bytes: Buffer, end: number): void => {
    const expected = valueOrNull(() => plain.read(bytes, 0, end));
    const value = valueOrNull(() => reusing.read(bytes, 0, end));
    if (expected === null || !hasValidValues(expected)) expect(value).toBeNull();
    else expect({ ...value, ...unseen }).toEqual({ ...expected, ...unseen });
  };

  // Integers of each length, since each length is read in another way; and fractions on both sides of the bound.
  const longOfBits = fc.nat(52).chain((bits) => fc.maxSafeInteger().map((value) => Math.trunc(value / 2 ** bits)));
  const fraction = fc.oneof(finite, fc.double({ min: -1000, max: 1000, noNaN: true }), fc.constantFrom(1e100, -1e100, 1.01e100, -1.01e100));
  const usual: fc.Arbitrary<Reading> = fc
    .record({
      deviceId: fc.oneof(
        fc.nat(50).map((n) => `device-${n}`),
        text,
      ),
      eventTime: fc.oneof(fc.integer({ min: 1e12, max: 2e12 }), longOfBits),
      receivedAt: longOfBits,
      eventTimeSource: fc.constantFrom('UNKNOWN' as const, 'DEVICE' as const, 'BRIDGE' as const),
      identity: fc.oneof(fc.nat({ max: Number.MAX_SAFE_INTEGER }), longOfBits),
      sequence: fc.option(longOfBits, { freq: 2 }),
      messageId: fc.option(text, { freq: 1 }),
      aggregatable: fc.boolean(),
      status: fc.option(text, { freq: 1 }),
      common: fc.array(fc.option(fraction, { freq: 1 }), { minLength: COMMON_METRICS.length, maxLength: COMMON_METRICS.length }),
      metrics: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, fc.dictionary(text, fraction)),
      attributes: fc.oneof({ weight: 3, arbitrary: fc.constant({}) }, fc.dictionary(text, text)),
    })
    .map(readingOf);

  const flip = fc.record({ at: fc.nat(), to: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff)) });
  const behind = fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 12 }));

  it('takes and refuses what the other one does, whatever stands behind the value, and gives the same values', () => {
    fc.assert(
      fc.property(fc.oneof(anyReading, usual), fc.array(flip, { maxLength: 3 }), fc.nat(20), behind, (reading, flips, cut, rest) => {
        const whole = Buffer.from(encoder.encode(reading).subarray(5));
        for (const { at, to } of flips) whole[at % whole.length] = to;
        const end = whole.length - (cut > 15 ? cut : 0);
        // The fewer bytes are behind the value, the sooner words no longer fit.
        expectSame(Buffer.concat([whole, rest]), Math.max(0, end));
      }),
      { numRuns: RUNS },
    );
  });

  it('does so wherever the bytes end', () => {
    fc.assert(
      fc.property(usual, behind, (reading, rest) => {
        const whole = encoder.encode(reading).subarray(5);
        const bytes = Buffer.concat([whole, rest]);
        for (let end = 0; end <= bytes.length; end += 1) expectSame(bytes, end);
        for (let length = 0; length <= whole.length; length += 1) expectSame(Buffer.from(whole.subarray(0, length)), length);
      }),
      {
        // Of a hundred bytes each end is tried.
        numRuns: Math.ceil(RUNS / 50),
      },
    );
  });

  it('reads integers of any bytes alike', () => {
    const rest = Buffer.from(encoder.encode(plainReading({ deviceId: '', eventTime: 0 })).subarray(5 + 2));
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(0x7f), fc.integer({ min: 0x80, max: 0xff }), fc.constantFrom(0x80, 0xff)), { maxLength: 11 }),
        (integer) => {
          const bytes = Buffer.concat([Buffer.of(0), Buffer.from(integer), rest]);
          expectSame(bytes, bytes.length);
        },
      ),
      { numRuns: RUNS },
    );
  });
});

function valueOrNull<Value>(read: () => Value): Value | null {
  try {
    return read();
  } catch {
    return null;
  }
}

describe('random bytes', () => {
  it.each(SCHEMAS)('never do worse to $name than an Error', ({ text: writerText }) => {
    const reader = createReader({ writerText, readerType: parseAvroType(writerText) });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        const bytes = Buffer.from(random);
        try {
          reader.read(bytes, 0, bytes.length);
        } catch (error) {
          expect((error as Error).message).toMatch(/cut off|left|out of range|as it says|boolean|integer|finite|UTF-8|__proto__/);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('any schema', () => {
  const leaf = fc.constantFrom('boolean', 'int', 'long', 'float', 'double', 'bytes', 'string', 'null', 'Missing', 7, null);
  const { schema } = fc.letrec((tie) => ({
    schema: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.record({ type: fc.constant('array'), items: tie('schema') }),
      fc.record({ type: fc.constant('map'), values: tie('schema') }),
      fc.array(tie('schema'), { maxLength: 3 }),
      fc.record({ type: fc.constant('fixed'), name: fc.constantFrom('F', 'G'), size: fc.integer({ min: -1, max: 20 }) }),
      fc.record({ type: fc.constant('enum'), name: fc.constantFrom('E', 'R'), symbols: fc.array(fc.constantFrom('A', 'B', '1')) }),
      fc.record({
        type: fc.constant('record'),
        name: fc.constantFrom('R', 'SensorReading', 'a.b.R'),
        fields: fc.array(fc.record({ name: fc.constantFrom('a', 'b', 'next', '__proto__'), type: tie('schema') }), { maxLength: 4 }),
      }),
    ),
  }));

  it('of another writer is refused or gives a reader, and that reader survives any bytes', () => {
    const extra = fc.tuple(schema, fc.uint8Array({ maxLength: 60 }));
    const own = JSON.parse(SCHEMAS[0]!.text) as { fields: unknown[] };
    const readerType = parseAvroType(SCHEMAS[0]!.text);
    fc.assert(
      fc.property(extra, ([type, random]) => {
        const writerText = JSON.stringify({ ...own, fields: [{ name: 'extra', type }, ...own.fields] });
        try {
          createReader({ writerText, readerType }).read(Buffer.from(random), 0, random.length);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect((error as Error).message).not.toContain('disagree');
        }
      }),
      { numRuns: 1000 },
    );
  });
});
