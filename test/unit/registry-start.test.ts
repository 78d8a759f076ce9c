import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IngotError } from '../../src/errors.ts';
import { READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { startSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { openSchemaStore } from '../../src/registry/schema-store.ts';
import { type MemoryRegistry, memoryRegistry } from '../support/memory-registry.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-registry-'));
});
afterEach(() => rm(folder, { recursive: true }));

const failed = (error: unknown): never => {
  throw error;
};
const openStore = (registryUrl = 'memory:') => openSchemaStore({ file: join(folder, 'schemas.json'), registryUrl, onError: failed });

describe('the copy on disk', () => {
  it('remembers ids and texts over a restart', async () => {
    const store = await openStore();
    await store.keepId('telemetry.readings-value', 'text', 3);
    await store.keepText(9, 'other');
    const again = await openStore();
    expect(again.idOf('telemetry.readings-value', 'text')).toBe(3);
    expect(again.idOf('telemetry.readings-value', 'another text')).toBeNull();
    expect(again.textOf(9)).toBe('other');
    expect(again.textOf(10)).toBeNull();
  });

  it('means nothing for another registry', async () => {
    await (await openStore()).keepText(9, 'other');
    expect((await openStore('http://elsewhere')).textOf(9)).toBeNull();
  });

  it('forgets the ids of a registry that was made anew', async () => {
    const store = await openStore();
    await store.keepId('telemetry.readings-value', 'text', 3);
    await store.keepText(9, 'other');
    await store.keepId('telemetry.readings-value', 'text', 1);
    expect(store.textOf(9)).toBeNull();
    expect(store.idOf('telemetry.readings-value', 'text')).toBe(1);
  });

  it.each(['', '{', '[]', '{"registryUrl": "memory:"}'])('begins anew when the file holds %j', async (content) => {
    await writeFile(join(folder, 'schemas.json'), content);
    const store = await openStore();
    expect(store.textOf(1)).toBeNull();
    await store.keepText(1, 'text');
    expect(JSON.parse(await readFile(join(folder, 'schemas.json'), 'utf8'))).toMatchObject({ texts: { 1: 'text' } });
  });

  it('says that it could not be written, and goes on', async () => {
    const errors: unknown[] = [];
    await writeFile(join(folder, 'file'), '');
    const store = await openSchemaStore({
      file: join(folder, 'file', 'schemas.json'),
      registryUrl: 'x',
      onError: (error) => errors.push(error),
    });
    await store.keepText(1, 'text');
    expect(errors).toHaveLength(1);
    expect(store.textOf(1)).toBe('text');
  });
});

describe('the start', () => {
  let registry: MemoryRegistry;
  beforeEach(() => {
    registry = memoryRegistry();
  });
  const start = async (options: { autoRegister: boolean; deadlineMs?: number; signal?: AbortSignal }) =>
    startSchemaCodecs({ registry, store: await openStore(), topicPrefix: 't.', ...options });

  it('registers what is not there, when it may', async () => {
    await expect((await start({ autoRegister: false })).openEncoder(READING_SCHEMA)).rejects.toMatchObject({
      code: 'SCHEMA_NOT_REGISTERED',
    });
    await (await start({ autoRegister: true })).openEncoder(READING_SCHEMA);
    await (await start({ autoRegister: false })).openEncoder(READING_SCHEMA);
    // The compatibility goes before the first version.
    expect(registry.calls.indexOf('setCompatibility')).toBeLessThan(registry.calls.indexOf('register'));
  });

  it('goes on during an outage with the id of the last start, and asks for nothing afterwards', async () => {
    const reading = { deviceId: 'd', eventTime: 1, receivedAt: 1 } as never;
    const codecs = await start({ autoRegister: true });
    const before = Buffer.from((await codecs.openEncoder(READING_SCHEMA)).encode(reading));
    registry.isAway = true;
    const again = await (await start({ autoRegister: true })).openEncoder(READING_SCHEMA);
    expect(again.encode(reading)).toEqual(before);
  });

  it('goes on with the id of the last start when the registry refuses us, and only then', async () => {
    const refuse = () => Promise.reject(new IngotError('REGISTRY_REFUSED', 'certificate has expired'));
    const startRefused = async () =>
      startSchemaCodecs({ registry: { ...registry, idOf: refuse }, store: await openStore(), topicPrefix: 't.', autoRegister: true });
    await expect((await startRefused()).openEncoder(READING_SCHEMA)).rejects.toMatchObject({ code: 'REGISTRY_REFUSED' });
    await (await start({ autoRegister: true })).openEncoder(READING_SCHEMA);
    await (await startRefused()).openEncoder(READING_SCHEMA);
  });

  it('decodes during an outage what was decoded before it', async () => {
    const codecs = await start({ autoRegister: true });
    const bytes = (await codecs.openEncoder(READING_SCHEMA)).encode({ deviceId: 'd', eventTime: 1, receivedAt: 1 } as never);
    await codecs.openDecoder(READING_SCHEMA).load(1);
    registry.isAway = true;
    const decoder = (await start({ autoRegister: true })).openDecoder(READING_SCHEMA);
    await decoder.load(1);
    expect(decoder.decode(bytes, 0, bytes.length)).toMatchObject({ kind: 'value', value: { deviceId: 'd' } });
    await expect(decoder.load(2)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });

  it('waits for the registry until the deadline', async () => {
    registry.isAway = true;
    await expect((await start({ autoRegister: true, deadlineMs: 300 })).openEncoder(READING_SCHEMA)).rejects.toMatchObject({
      code: 'REGISTRY_UNREACHABLE',
    });
    const waiting = (await start({ autoRegister: true, deadlineMs: 20_000 })).openEncoder(READING_SCHEMA);
    registry.isAway = false;
    await waiting;
  });

  it('waits for a registry that has not read back yet what it gave at the last start', async () => {
    await (await start({ autoRegister: true })).openEncoder(READING_SCHEMA);
    const before = registry;
    registry = memoryRegistry();
    await expect((await start({ autoRegister: false, deadlineMs: 300 })).openEncoder(READING_SCHEMA)).rejects.toMatchObject({
      code: 'SCHEMA_NOT_REGISTERED',
    });
    const waiting = (await start({ autoRegister: false, deadlineMs: 20_000 })).openEncoder(READING_SCHEMA);
    await registry.setCompatibility('t.readings-value', 'BACKWARD_TRANSITIVE');
    await registry.register('t.readings-value', (await before.version('t.readings-value', 'latest'))!.text);
    await waiting;
  });

  it('stops waiting when it is told to', async () => {
    registry.isAway = true;
    const controller = new AbortController();
    const waiting = (await start({ autoRegister: true, signal: controller.signal })).openEncoder(READING_SCHEMA);
    controller.abort();
    await expect(waiting).rejects.toThrow(/abort/i);
  });
});
