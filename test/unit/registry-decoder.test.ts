import { beforeEach, describe, expect, it, vi } from 'vitest';
import { createEncoder, parseAvroType } from '../../src/registry/avro-codec.ts';
import { ALERT_SCHEMA, READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { NO_SCHEMA_STORE } from '../../src/registry/schema-store.ts';
import { createValueDecoder } from '../../src/registry/value-decoder.ts';
import { type MemoryRegistry, memoryRegistry } from '../support/memory-registry.ts';

const readerType = parseAvroType(READING_SCHEMA.text);
const reading = { deviceId: 'd1', eventTime: 1, receivedAt: 2, temperature: 20 };

function encoded(schemaId: number): Buffer {
  return Buffer.from(createEncoder<object>({ schemaId, type: readerType }).encode(reading));
}

describe('the decoder', () => {
  let registry: MemoryRegistry;
  const decoder = () => createValueDecoder<{ deviceId: string }>({ readerType, registry, store: NO_SCHEMA_STORE });
  beforeEach(() => {
    registry = memoryRegistry();
    registry.put(7, READING_SCHEMA.text);
  });

  it('asks for a schema once, and then decodes without asking', async () => {
    const subject = decoder();
    const bytes = encoded(7);
    expect(subject.decode(bytes, 0, bytes.length)).toEqual({ kind: 'unknown_schema', schemaId: 7 });
    await Promise.all([subject.load(7), subject.load(7), subject.load(7)]);
    await subject.load(7);
    expect(registry.calls).toEqual(['schemaOf']);
    expect(subject.decode(bytes, 0, bytes.length)).toMatchObject({ kind: 'value', value: { deviceId: 'd1' } });
    expect(registry.calls).toEqual(['schemaOf']);
  });

  it('says undecodable for an id that the registry does not know, and asks again a minute later', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const subject = decoder();
      const bytes = encoded(9);
      await subject.load(9);
      expect(subject.decode(bytes, 0, bytes.length)).toMatchObject({ kind: 'undecodable', detail: expect.stringContaining('no schema') });
      vi.advanceTimersByTime(60_001);
      registry.put(9, READING_SCHEMA.text);
      expect(subject.decode(bytes, 0, bytes.length)).toEqual({ kind: 'unknown_schema', schemaId: 9 });
      await subject.load(9);
      expect(subject.decode(bytes, 0, bytes.length).kind).toBe('value');
    } finally {
      vi.useRealTimers();
    }
  });

  it('asks again for an id that a starting registry does not know yet, and takes its records when it does', async () => {
    const subject = createValueDecoder<{ deviceId: string }>({ readerType, registry, store: NO_SCHEMA_STORE, unknownPatienceMs: 30_000 });
    const bytes = encoded(9);
    for (let answer = 0; answer < 5; answer++) {
      await expect(subject.load(9)).rejects.toMatchObject({ code: 'SCHEMA_UNKNOWN', canRetry: true });
      expect(subject.decode(bytes, 0, bytes.length)).toEqual({ kind: 'unknown_schema', schemaId: 9 });
    }
    registry.put(9, READING_SCHEMA.text);
    await subject.load(9);
    expect(subject.decode(bytes, 0, bytes.length).kind).toBe('value');
  });

  it('rejects while the registry is away, and goes on when it is back', async () => {
    const subject = decoder();
    const bytes = encoded(7);
    registry.isAway = true;
    await expect(subject.load(7)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    expect(subject.decode(bytes, 0, bytes.length).kind).toBe('unknown_schema');
    registry.isAway = false;
    await subject.load(7);
    expect(subject.decode(bytes, 0, bytes.length).kind).toBe('value');
  });

  it.each([
    ['another record', ALERT_SCHEMA.text, 'AVRO'],
    ['another kind of schema', 'syntax = "proto3"; message Reading {}', 'PROTOBUF'],
    ['a hostile one', JSON.stringify({ type: 'array', items: 'null' }), 'AVRO'],
  ])('refuses the schema of %s', async (_, text, schemaType) => {
    registry.put(11, text, schemaType);
    const subject = decoder();
    await subject.load(11);
    const bytes = encoded(11);
    expect(subject.decode(bytes, 0, bytes.length)).toMatchObject({ kind: 'undecodable', detail: expect.stringContaining('schema 11') });
  });

  it('says undecodable for what is not in the wire format, and for bytes that do not fit', async () => {
    const subject = decoder();
    await subject.load(7);
    const text = Buffer.from('{"temperature": 21}');
    expect(subject.decode(text, 0, text.length)).toMatchObject({ kind: 'undecodable' });
    const bytes = encoded(7);
    expect(subject.decode(bytes, 0, bytes.length - 1)).toMatchObject({ kind: 'undecodable' });
    expect(subject.decode(bytes, 0, 3)).toMatchObject({ kind: 'undecodable' });
  });

  it('keeps a bounded number of schemas', async () => {
    const subject = decoder();
    for (let schemaId = 100; schemaId < 400; schemaId++) {
      registry.put(schemaId, READING_SCHEMA.text);
      await subject.load(schemaId);
    }
    const kinds = [100, 399].map((schemaId) => subject.decode(encoded(schemaId), 0, encoded(schemaId).length).kind);
    expect(kinds).toEqual(['unknown_schema', 'value']);
  });
});
