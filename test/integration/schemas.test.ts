import { beforeAll, describe, expect, it } from 'vitest';
import { OUR_SCHEMAS, READING_SCHEMA, subjectOf } from '../../src/registry/our-schemas.ts';
import { createSchemaRegistry, type SchemaRegistry } from '../../src/registry/registry-client.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { freshName, stack } from '../support/stack.ts';

// `ingot schemas` as a user types it, on a real registry.

describe('ingot schemas', () => {
  const prefix = `${freshName('cli')}.`;
  const environment = { KAFKA_TOPIC_PREFIX: prefix };
  let registry: SchemaRegistry;
  beforeAll(() => {
    registry = createSchemaRegistry({ url: stack().registryUrl });
  });
  const run = (line: string, more: Record<string, string> = {}) => runIngot(`schemas ${line}`.split(' '), { ...environment, ...more });

  it('lists what is missing, registers it, and lists it again', async () => {
    const before = jsonLines((await run('list')).out);
    expect(before.map(({ subject, standing }) => [subject, standing])).toEqual(
      OUR_SCHEMAS.map((schema) => [subjectOf(schema, prefix), 'not registered']),
    );
    const registered = await run('register');
    expect([registered.code, jsonLines(registered.out)]).toEqual([0, expect.objectContaining({ length: OUR_SCHEMAS.length })]);
    const after = jsonLines((await run('list')).out);
    expect(after).toEqual(
      OUR_SCHEMAS.map(({ compatibility, file, topic }) => ({
        subject: `${prefix}${topic}-value`,
        version: 1,
        id: expect.any(Number),
        compatibility,
        file,
        standing: 'up to date',
      })),
    );
    expect(jsonLines((await run('register')).out)).toEqual(jsonLines(registered.out));
  });

  it('shows the text with everything that the file says', async () => {
    const { code, out } = await run('show readings');
    expect([code, JSON.parse(out)]).toEqual([0, JSON.parse(READING_SCHEMA.text)]);
    expect(JSON.parse((await run(`show --subject ${prefix}readings-value --version 1`)).out)).toEqual(JSON.parse(out));
  });

  it('names what is not there', async () => {
    const missing = await run('show readings --version 9');
    expect([missing.code, missing.err]).toEqual([4, expect.stringContaining(`no version 9 of ${prefix}readings-value`)]);
    const unknown = await run('register --subject nowhere');
    expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining("no schema 'nowhere'")]);
  });

  it('checks, and ends with 4 and the name of the field when a file cannot follow', async () => {
    const checked = await run('check');
    expect([checked.code, jsonLines(checked.out).every(({ compatible }) => compatible === true)]).toEqual([0, true]);
    // As if a later version had made a field mandatory that ours does not write.
    const other = `${freshName('cli')}.`;
    const newer = READING_SCHEMA.text
      .replace('"fields": [', '"fields": [{"name": "deviceId2", "type": "string"},')
      .replace('"deviceId"', '"deviceName"');
    await registry.register(`${other}readings-value`, newer);
    await registry.setCompatibility(`${other}readings-value`, 'BACKWARD_TRANSITIVE');
    const refused = await run('check --subject readings', { KAFKA_TOPIC_PREFIX: other });
    expect(refused.code).toBe(4);
    expect(jsonLines(refused.out)).toEqual([
      {
        subject: `${other}readings-value`,
        latest: 1,
        compatible: false,
        why: 'field deviceId is missing in version 1, and has no default in schemas/sensor-reading.avsc',
      },
    ]);
    const registering = await run('register --subject readings', { KAFKA_TOPIC_PREFIX: other });
    expect([registering.code, registering.err]).toEqual([4, expect.stringContaining('field deviceId is missing in version 1')]);
    expect(await registry.version(`${other}readings-value`, 2)).toBeNull();
  });

  it('says that nobody answers, and what to check', async () => {
    const { code, err } = await run('list', { SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1' });
    expect([code, err]).toEqual([3, expect.stringContaining('SCHEMA_REGISTRY_URL')]);
  });
});
