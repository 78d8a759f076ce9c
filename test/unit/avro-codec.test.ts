import { readFileSync } from 'node:fs';
import avro from 'avsc';
import { describe, expect, it } from 'vitest';

import { COMMON_METRICS, type Reading } from '../../src/core/reading.ts';
import { readSchemaId, WIRE_PREFIX_BYTES } from '../../src/core/wire-format.ts';
import { createEncoder, createReader, parseAvroType } from '../../src/registry/avro-codec.ts';

import { AGGREGATE_SCHEMA, ALERT_SCHEMA } from '../../src/registry/our-schemas.ts';
import { aggregate, alert, resolved } from '../support/sink-records.ts';

const SENSOR_READING = readFileSync(new URL('../../schemas/sensor-reading.avsc', import.meta.url), 'utf8');

const reading: Reading = {
  deviceId: 'pump-7',
  eventTime: 1_700_000_000_123,
  receivedAt: 1_700_000_000_456,
  eventTimeSource: 'DEVICE',
  identity: 2 ** 53 - 3,
  sequence: 12,
  messageId: null,
  aggregatable: true,
  status: 'ok',
  temperature: 21.5,
  humidity: null,
  pressure: null,
  battery: 99,
  voltage: null,
  current: null,
  power: null,
  co2: null,
  illuminance: null,
  metrics: { 'vibration.x': 0.25 },
  attributes: {},
};

type SchemaJson = { fields: { name: string; type: unknown; default?: unknown }[] };

/** The schema's text after a change of its parsed form. */
function changed(change: (schema: SchemaJson) => void): string {
  const schema = JSON.parse(SENSOR_READING) as SchemaJson;
  change(schema);
  return JSON.stringify(schema);
}

function record(fields: readonly unknown[]): string {
  return JSON.stringify({ type: 'record', name: 'SensorReading', namespace: 'io.ingot.telemetry', fields });
}

describe('the encoder', () => {
  it('writes the prefix and the Avro bytes of the library', () => {
    const type = parseAvroType(SENSOR_READING);
    const bytes = createEncoder<Reading>({ schemaId: 0x01020304, type }).encode(reading);
    expect(readSchemaId(bytes, 0, bytes.length)).toBe(0x01020304);
    expect(bytes.subarray(WIRE_PREFIX_BYTES)).toEqual(type.toBuffer(reading));
  });

  it('gives the same memory again, and grows when a value does not fit', () => {
    const type = parseAvroType(SENSOR_READING);
    const encoder = createEncoder<Reading>({ schemaId: 1, type });
    const first = encoder.encode(reading);
    expect(encoder.encode({ ...reading, deviceId: 'pump-8' }).buffer).toBe(first.buffer);
    const long = { ...reading, status: 'é'.repeat(50_000) };
    expect(encoder.encode(long).subarray(WIRE_PREFIX_BYTES)).toEqual(type.toBuffer(long));
    expect(readSchemaId(encoder.encode(long), 0, WIRE_PREFIX_BYTES)).toBe(1);
  });

  it('refuses a value without bound', () => {
    const encoder = createEncoder<Reading>({ schemaId: 1, type: parseAvroType(SENSOR_READING) });
    expect(() => encoder.encode({ ...reading, status: 'x'.repeat(9_000_000) })).toThrow(/more than 8388608 bytes/);
  });

  it.each<[string, object]>([
    ['deviceId is no string: 7', { deviceId: 7 }],
    ['deviceId is no string: undefined', { deviceId: undefined }],
    ['eventTime is no safe integer: 1.5', { eventTime: 1.5 }],
    ['sequence is no safe integer: 9007199254740992', { sequence: 2 ** 53 }],
    ['temperature is no number: "21"', { temperature: '21' }],
    ['aggregatable is no boolean: null', { aggregatable: null }],
    ['eventTimeSource is no symbol of UNKNOWN, DEVICE, BRIDGE: "SUN"', { eventTimeSource: 'SUN' }],
    ['metrics is no map: null', { metrics: null }],
    ['metrics is no number: "x"', { metrics: { a: 'x' } }],
  ])('says: %s', (message, wrong) => {
    const encoder = createEncoder<object>({ schemaId: 1, type: parseAvroType(SENSOR_READING) });
    expect(() => encoder.encode({ ...reading, ...wrong })).toThrow(message);
    // A value that was refused leaves nothing behind.
    expect(encoder.encode(reading).subarray(WIRE_PREFIX_BYTES)).toEqual(parseAvroType(SENSOR_READING).toBuffer(reading));
  });

  it('has a field in Reading for every field of the schema, in the same order', () => {
    const names = (JSON.parse(SENSOR_READING) as SchemaJson).fields.map((field) => field.name);
    expect(names).toEqual(Object.keys({ ...reading, ...{} }).sort((a, b) => names.indexOf(a) - names.indexOf(b)));
    expect(names.filter((name) => COMMON_METRICS.some((metric) => metric.name === name))).toEqual(COMMON_METRICS.map(({ name }) => name));
  });
});

describe('the reader', () => {
  const readerType = parseAvroType(SENSOR_READING);
  const own = createReader<Reading>({ writerText: SENSOR_READING, readerType });

  it('gives back what was encoded, maps without a prototype', () => {
    const bytes = readerType.toBuffer(reading);
    const value = own.read(bytes, 0, bytes.length);
    expect({ ...value }).toEqual({ ...reading });
    expect(Object.getPrototypeOf(value.metrics)).toBeNull();
    expect(Object.getPrototypeOf(value.attributes)).toBeNull();
  });

  it('reads in the middle of a buffer', () => {
    const bytes = readerType.toBuffer(reading);
    const padded = Buffer.concat([Buffer.alloc(9, 0xff), bytes, Buffer.alloc(3, 0xff)]);
    expect(own.read(padded, 9, 9 + bytes.length).deviceId).toBe('pump-7');
  });

  it.each([1, 5, 40])('refuses a value cut off by %i bytes', (missing) => {
    const bytes = readerType.toBuffer(reading);
    expect(() => own.read(bytes, 0, bytes.length - missing)).toThrow(/cut off|left over|out of range|block count/);
  });

  it('refuses bytes after the value', () => {
    const bytes = Buffer.concat([readerType.toBuffer(reading), Buffer.from([0])]);
    expect(() => own.read(bytes, 0, bytes.length)).toThrow('1 bytes are left over');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('refuses %d as a metric', (temperature) => {
    const bytes = readerType.toBuffer({ ...reading, temperature });
    expect(() => own.read(bytes, 0, bytes.length)).toThrow('not finite');
  });

  it('refuses a map that claims 2^50 entries', () => {
    // The map `metrics` holds one entry of 20 bytes; what follows is the empty map `attributes`.
    const bytes = readerType.toBuffer({ ...reading, metrics: {} });
    const count = Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x04]);
    const hostile = Buffer.concat([bytes.subarray(0, bytes.length - 2), count, Buffer.from([0, 0])]);
    expect(() => own.read(hostile, 0, hostile.length)).toThrow('block count');
  });

  it("refuses the map key '__proto__', and takes other odd keys as they are", () => {
    const odd = Object.fromEntries([
      ['constructor', 1],
      ['toString', 2],
      ['_proto_', 3],
    ]);
    const bytes = readerType.toBuffer({ ...reading, metrics: odd });
    expect({ ...own.read(bytes, 0, bytes.length).metrics }).toEqual(odd);
    const renamed = Buffer.from(bytes.toString('latin1').replace('\x0e_proto_', '\x12__proto__'), 'latin1');
    expect(() => own.read(renamed, 0, renamed.length)).toThrow('__proto__');
  });

  it('refuses a string that is not UTF-8', () => {
    const bytes = readerType.toBuffer(reading);
    bytes[bytes.indexOf('pump')] = 0xff;
    expect(() => own.read(bytes, 0, bytes.length)).toThrow('UTF-8');
  });
});

describe('aggregates and alerts', () => {
  it.each([
    [AGGREGATE_SCHEMA, aggregate()],
    [ALERT_SCHEMA, alert()],
    [ALERT_SCHEMA, resolved({ value: null, labels: { site: 'é', line: '' }, evidence: [] })],
  ])('come back as they were encoded (%#)', (schema, value) => {
    const type = parseAvroType(schema.text);
    const bytes = createEncoder<object>({ schemaId: 1, type }).encode(value);
    const read = createReader<{ labels: object }>({ writerText: schema.text, readerType: type }).read(
      bytes,
      WIRE_PREFIX_BYTES,
      bytes.length,
    );
    expect({ ...read, labels: { ...read.labels } }).toEqual(value);
    expect(Object.keys(read)).toEqual((JSON.parse(schema.text) as SchemaJson).fields.map((field) => field.name));
  });
});

describe('schemas of other writers', () => {
  const readerType = parseAvroType(SENSOR_READING);

  it('fills what an older writer did not know with defaults, and leaves out what a newer one added', () => {
    const writerText = changed((schema) => {
      schema.fields = schema.fields.filter(({ name }) => name !== 'illuminance' && name !== 'attributes');
      schema.fields.push({ name: 'tags', type: { type: 'array', items: 'string' }, default: [] });
    });
    const bytes = parseAvroType(writerText).toBuffer({ ...reading, tags: ['a', 'b'] });
    const value = createReader<Reading>({ writerText, readerType }).read(bytes, 0, bytes.length);
    expect({ ...value }).toEqual({ ...reading });
  });

  it('reads a symbol it does not know as the default', () => {
    const writerText = changed((schema) => {
      const source = schema.fields.find(({ name }) => name === 'eventTimeSource')!;
      (source.type as { symbols: string[] }).symbols.push('GATEWAY');
    });
    const bytes = parseAvroType(writerText).toBuffer({ ...reading, eventTimeSource: 'GATEWAY' });
    expect(createReader<Reading>({ writerText, readerType }).read(bytes, 0, bytes.length).eventTimeSource).toBe('UNKNOWN');
  });

  it('reads blocks with a size, as Go writers make them, and refuses a false size', () => {
    const own = createReader<Reading>({ writerText: SENSOR_READING, readerType });
    const bytes = readerType.toBuffer({ ...reading, metrics: {} });
    const entry = Buffer.concat([Buffer.from([2]), Buffer.from('x'), Buffer.alloc(8)]);
    const blocks = (size: number) =>
      Buffer.concat([bytes.subarray(0, bytes.length - 2), Buffer.from([1, size * 2]), entry, Buffer.from([0, 0])]);
    const good = blocks(entry.length);
    expect({ ...own.read(good, 0, good.length).metrics }).toEqual({ x: 0 });
    const bad = blocks(entry.length - 1);
    expect(() => own.read(bad, 0, bad.length)).toThrow('not as long as it says');
  });

  it.each([
    ['an array of null', record([{ name: 'deviceId', type: { type: 'array', items: 'null' } }]), 'null outside a union'],
    ['a recursive type', record([{ name: 'next', type: ['null', 'SensorReading'] }]), "recursive in 'SensorReading'"],
    ['an empty record', record([{ name: 'x', type: { type: 'record', name: 'Empty', fields: [] } }]), 'without fields'],
    ['a fixed of size 0', record([{ name: 'x', type: { type: 'fixed', name: 'Nothing', size: 0 } }]), 'no size'],
    ['a name like __proto__', record([{ name: '__proto__', type: 'int' }]), "the name '__proto__'"],
    ['an unknown type', record([{ name: 'x', type: 'Nowhere' }]), "unknown type 'Nowhere'"],
    ['another record', SENSOR_READING.replace('"SensorReading"', '"Other"'), 'cannot be read as'],
    ['no JSON', 'record', 'cannot be read as'],
    [
      'a deep type',
      record([{ name: 'x', type: JSON.parse(`${'{"type":"array","items":'.repeat(50)}"int"${'}'.repeat(50)}`) }]),
      'nested deeper',
    ],
    ['a field of another type', changed((schema) => void (schema.fields[0]!.type = 'boolean')), 'cannot be read as'],
  ])('refuses %s', (_, writerText, message) => {
    expect(() => createReader({ writerText, readerType })).toThrow(message);
  });

  it('lets no schema of the library cost more than its bytes: what is refused would take the library for ever', () => {
    const text = JSON.stringify({ type: 'array', items: 'null' });
    const bytes = Buffer.from([0x80, 0x80, 0x80, 0x08, 0x00]);
    // 2^23 here, so that the test itself survives what 2^28 would not.
    expect((avro.Type.forSchema(JSON.parse(text) as avro.Schema).fromBuffer(bytes) as unknown[]).length).toBe(2 ** 23);
    expect(() => createReader({ writerText: text, readerType })).toThrow('null outside a union');
  });
});
