import avro from 'avsc';
import { describe, expect, it } from 'vitest';
import { incompatibilities } from '../../src/registry/schema-compatibility.ts';

type Field = { name: string; type: unknown; default?: unknown; aliases?: string[] };

const record = (...fields: Field[]): object => ({ type: 'record', name: 'R', namespace: 'io.ingot', fields });

function compare(reader: object, writer: object) {
  return incompatibilities({ text: JSON.stringify(reader), label: 'the new schema' }, { text: JSON.stringify(writer), label: 'version 1' });
}

const enumOf = (symbols: string[], fallback?: string) => ({
  type: 'enum',
  name: 'E',
  symbols,
  ...(fallback === undefined ? {} : { default: fallback }),
});
const a: Field = { name: 'a', type: 'int' };
const node = (...more: Field[]) => record({ name: 'next', type: ['null', 'R'], default: null }, ...more);

describe('what keeps a schema from reading earlier data', () => {
  it.each<[string, object, object, string, string]>([
    [
      'a field without a default',
      record(a, { name: 'b', type: 'int' }),
      record(a),
      'b',
      'is missing in version 1, and has no default in the new schema',
    ],
    ['another type', record({ name: 'a', type: 'string' }), record(a), 'a', 'is int in version 1, but string in the new schema'],
    ['a narrower number', record(a), record({ name: 'a', type: 'long' }), 'a', 'is long in version 1, but int in the new schema'],
    ['a value that was optional', record(a), record({ name: 'a', type: ['null', 'int'] }), 'a', 'is null in version 1, but int'],
    [
      'a lost branch',
      record({ name: 'a', type: ['null', 'int'] }),
      record({ name: 'a', type: ['null', 'string'] }),
      'a',
      'is string in version 1, but [null, int]',
    ],
    [
      'a lost symbol',
      record({ name: 'e', type: enumOf(['A']) }),
      record({ name: 'e', type: enumOf(['A', 'B']) }),
      'e',
      'has the symbol B in version 1 but not',
    ],
    ['another record', { ...record(a), name: 'S' }, record(a), '', 'is record R in version 1, but record S in the new schema'],
    [
      'a field of a record in an array',
      record({ name: 'list', type: { type: 'array', items: { type: 'record', name: 'I', fields: [a, { name: 'b', type: 'int' }] } } }),
      record({ name: 'list', type: { type: 'array', items: { type: 'record', name: 'I', fields: [a] } } }),
      'list.b',
      'is missing in version 1',
    ],
    [
      'another size',
      record({ name: 'f', type: { type: 'fixed', name: 'F', size: 4 } }),
      record({ name: 'f', type: { type: 'fixed', name: 'F', size: 8 } }),
      'f',
      'is size 8 in version 1, but size 4',
    ],
    ['a recursive type', node({ name: 'b', type: 'int' }), node(), 'b', 'is missing in version 1'],
  ])('%s', (_, reader, writer, field, change) => {
    expect(compare(reader, writer)).toEqual([{ field, change: expect.stringContaining(change) }]);
    expect(libraryReads(reader, writer)).toBe(false);
  });

  it.each<[string, object, object]>([
    ['the same schema', record(a), record(a)],
    ['a field with a default', record(a, { name: 'b', type: 'int', default: 0 }), record(a)],
    ['a field that is no longer read', record(a), record(a, { name: 'b', type: 'int' })],
    ['a wider number', record({ name: 'a', type: 'double' }), record(a)],
    ['a value that became optional', record({ name: 'a', type: ['null', 'int'], default: null }), record(a)],
    ['a renamed field with an alias', record({ name: 'b', type: 'int', aliases: ['a'] }), record(a)],
    [
      'a lost symbol where the enum has a default',
      record({ name: 'e', type: enumOf(['A'], 'A') }),
      record({ name: 'e', type: enumOf(['A', 'B']) }),
    ],
    ['a logical type', record({ name: 'a', type: { type: 'long', logicalType: 'timestamp-millis' } }), record(a)],
    ['a recursive type that is the same', node(a), node(a)],
  ])('not: %s', (_, reader, writer) => {
    expect(compare(reader, writer)).toEqual([]);
    expect(libraryReads(reader, writer)).toBe(true);
  });

  it('names every field at once', () => {
    const reader = record({ name: 'x', type: 'int' }, { name: 'y', type: 'int' }, { ...a, type: 'string' });
    expect(compare(reader, record(a)).map(({ field }) => field)).toEqual(['x', 'y', 'a']);
  });
});

/** The library's own opinion. */
function libraryReads(reader: object, writer: object): boolean {
  try {
    avro.Type.forSchema(reader as avro.Schema).createResolver(avro.Type.forSchema(writer as avro.Schema));
    return true;
  } catch {
    return false;
  }
}
