import { describe, expect, it } from 'vitest';
import { ALERT_SCHEMA, OUR_SCHEMAS, READING_SCHEMA } from '../../src/registry/our-schemas.ts';
import { findSchemaId, registerSchema, requireSchema, subjectSchema } from '../../src/registry/register-schemas.ts';
import type { SchemaRegistry } from '../../src/registry/registry-client.ts';
import { freshName } from '../support/stack.ts';

/** What Ingot expects of a Schema Registry; run against a real one and against the one in memory. */
export function registryContract(open: () => SchemaRegistry): void {
  const withField = (text: string, field: object): string => {
    const schema = JSON.parse(text) as { fields: object[] };
    return JSON.stringify({ ...schema, fields: [...schema.fields, field] });
  };

  describe('a subject', () => {
    it('is empty before its first version', async () => {
      const registry = open();
      const subject = `${freshName('none')}-value`;
      expect(await registry.version(subject, 'latest')).toBeNull();
      expect(await registry.idOf(subject, READING_SCHEMA.text)).toBeNull();
      expect(await registry.compatibilityOf(subject)).toBeNull();
      expect(await registry.canFollow(subject, READING_SCHEMA.text)).toBe(true);
    });

    it('takes its compatibility before its first version, and keeps it', async () => {
      const registry = open();
      const subject = `${freshName('level')}-value`;
      await registry.setCompatibility(subject, 'FULL_TRANSITIVE');
      expect(await registry.compatibilityOf(subject)).toBe('FULL_TRANSITIVE');
      await registry.register(subject, ALERT_SCHEMA.text);
      expect(await registry.compatibilityOf(subject)).toBe('FULL_TRANSITIVE');
    });

    it('gives one id to one text, and the text back by id and by version', async () => {
      const registry = open();
      const subject = `${freshName('text')}-value`;
      const schemaId = await registry.register(subject, READING_SCHEMA.text);
      expect(await registry.register(subject, READING_SCHEMA.text)).toBe(schemaId);
      expect(await registry.idOf(subject, READING_SCHEMA.text)).toBe(schemaId);
      expect(await registry.version(subject, 'latest')).toMatchObject({ subject, version: 1, schemaId });
      const found = await registry.schemaOf(schemaId);
      expect(found?.schemaType).toBe('AVRO');
      // doc and logicalType are still there: the text was registered, not what a library makes of it.
      expect(JSON.parse(found!.text)).toEqual(JSON.parse(READING_SCHEMA.text));
      expect(await registry.subjects()).toContain(subject);
    });

    it('refuses a version that cannot follow', async () => {
      const registry = open();
      const subject = `${freshName('refuse')}-value`;
      await registry.setCompatibility(subject, 'BACKWARD_TRANSITIVE');
      await registry.register(subject, READING_SCHEMA.text);
      const incompatible = withField(READING_SCHEMA.text, { name: 'zone', type: 'string' });
      expect(await registry.canFollow(subject, incompatible)).toBe(false);
      await expect(registry.register(subject, incompatible)).rejects.toMatchObject({ code: 'SCHEMA_INCOMPATIBLE' });
      const compatible = withField(READING_SCHEMA.text, { name: 'zone', type: 'string', default: '' });
      expect(await registry.canFollow(subject, compatible)).toBe(true);
      await registry.register(subject, compatible);
      expect(await registry.version(subject, 'latest')).toMatchObject({ version: 2 });
      expect(await registry.version(subject, 1)).toMatchObject({ version: 1 });
    });
  });

  it('says null for an id that it does not know', async () => {
    expect(await open().schemaOf(2_000_000_000)).toBeNull();
  });

  describe('our schemas', () => {
    it.each(OUR_SCHEMAS)('$name is registered once, under its compatibility', async (schema) => {
      const registry = open();
      const target = subjectSchema(schema, `${freshName('ours')}.`);
      expect(await findSchemaId(registry, target)).toBeNull();
      await expect(requireSchema(registry, target)).rejects.toMatchObject({ code: 'SCHEMA_NOT_REGISTERED' });
      const schemaId = await registerSchema(registry, target);
      expect(await registerSchema(registry, target)).toBe(schemaId);
      expect(await requireSchema(registry, target)).toBe(schemaId);
      expect(await registry.compatibilityOf(target.subject)).toBe(schema.compatibility);
      expect(await registry.version(target.subject, 'latest')).toMatchObject({ version: 1 });
    });

    // Three aggregators that were started together ended each other's start: the registry refuses all but one of those that come at once.
    it('are registered once by many that come at the same moment', async () => {
      const registry = open();
      for (const schema of OUR_SCHEMAS) {
        const target = subjectSchema(schema, `${freshName('together')}.`);
        const ids = await Promise.all(Array.from({ length: 6 }, () => registerSchema(registry, target)));
        expect(new Set(ids).size).toBe(1);
        expect(await registry.version(target.subject, 'latest')).toMatchObject({ version: 1, schemaId: ids[0] });
        expect(await registry.compatibilityOf(target.subject)).toBe(schema.compatibility);
      }
    });

    it('are found when somebody registered them with other white space', async () => {
      const registry = open();
      const target = subjectSchema(READING_SCHEMA, `${freshName('space')}.`);
      const schemaId = await registry.register(target.subject, JSON.stringify(JSON.parse(READING_SCHEMA.text)));
      expect(await requireSchema(registry, target)).toBe(schemaId);
    });

    it('leave a compatibility that somebody has set', async () => {
      const registry = open();
      const target = subjectSchema(READING_SCHEMA, `${freshName('kept')}.`);
      await registry.setCompatibility(target.subject, 'FULL_TRANSITIVE');
      await registerSchema(registry, target);
      expect(await registry.compatibilityOf(target.subject)).toBe('FULL_TRANSITIVE');
    });

    it('are refused by name of the field when they cannot follow, and nothing is added', async () => {
      const registry = open();
      const target = subjectSchema(READING_SCHEMA, `${freshName('broken')}.`);
      await registerSchema(registry, target);
      const changed = { ...target, schema: { ...READING_SCHEMA, text: withField(READING_SCHEMA.text, { name: 'zone', type: 'string' }) } };
      for (const attempt of [registerSchema, requireSchema]) {
        await expect(attempt(registry, changed)).rejects.toMatchObject({
          code: 'SCHEMA_INCOMPATIBLE',
          message: expect.stringContaining('field zone is missing in version 1, and has no default'),
        });
      }
      expect(await registry.version(target.subject, 'latest')).toMatchObject({ version: 1 });
    });
  });
}
