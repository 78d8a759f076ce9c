import avro from 'avsc';
import { describe, expect, it } from 'vitest';
import { compileAvroGuard, RefusedSchemaError, SCHEMA_LIMITS } from '../../src/registry/avro-guard.ts';

const record = (...types: unknown[]) => ({ type: 'record', name: 'R', fields: types.map((type, index) => ({ name: `f${index}`, type })) });
const map = { type: 'map', values: 'int' };
const array = { type: 'array', items: 'int' };
const key = (text: string) => [text.length * 2, ...Buffer.from(text)];

/** What the guard of `schema` says of these bytes. */
function judge(schema: unknown, ...bytes: number[]): string | null {
  // In the middle of a larger buffer, so that a look beyond the end would find something.
  const buffer = Buffer.from([0x02, ...bytes, 0x00, 0x00, 0x00]);
  return compileAvroGuard(schema)(buffer, 1, 1 + bytes.length);
}

describe('the guard', () => {
  it.each<[string, unknown, number[]]>([
    ['a boolean', 'boolean', [1]],
    ['a long of ten bytes', 'long', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['a float', 'float', [0, 0, 0x80, 0x3f]],
    ['bytes', 'bytes', [4, 0xff, 0xfe]],
    ['a fixed', { type: 'fixed', name: 'F', size: 3 }, [1, 2, 3]],
    ['an enum', { type: 'enum', name: 'E', symbols: ['A', 'B'] }, [2]],
    ['an array of two blocks', array, [2, 1, 4, 1, 1, 0]],
    ['a block with its size', array, [3, 4, 1, 1, 0]],
    ['a map', map, [2, ...key('a'), 1, 0]],
    ['a union', ['null', 'string'], [2, 2, 0x61]],
    ['a union that holds null', ['string', { type: 'null' }], [2]],
    ['a name used twice', record({ type: 'fixed', name: 'F', size: 1 }, 'F'), [7, 7]],
    ['a name with its namespace', { ...record({ type: 'fixed', name: 'F', size: 1 }, 'a.b.F'), namespace: 'a.b' }, [7, 7]],
    ['a logical type', { type: { type: 'long', logicalType: 'timestamp-millis' } }, [2]],
    ['text of several bytes per character', 'string', [4, 0xc3, 0xa9]],
  ])('admits %s', (_, schema, bytes) => {
    expect(judge(schema, ...bytes)).toBeNull();
  });

  it.each<[string, unknown, number[], string]>([
    ['nothing', 'boolean', [], 'cut off'],
    ['another boolean', 'boolean', [2], 'neither 0 nor 1'],
    ['a long that does not end', 'long', Array(12).fill(0xff), 'too long'],
    ['an int that is too long', 'int', [0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 'too long'],
    ['a cut int', 'int', [0xff], 'cut off'],
    ['a float that is infinite', 'float', [0, 0, 0x80, 0x7f], 'not finite'],
    ['a double that is no number', 'double', [0, 0, 0, 0, 0, 0, 0xf8, 0x7f], 'not finite'],
    ['half a double', 'double', [0, 0, 0, 0], 'cut off'],
    ['bytes of negative length', 'bytes', [3], 'length is negative'],
    ['bytes that are missing', 'bytes', [6, 1, 2], 'cut off'],
    ['a string of 2^62 characters', 'string', [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], 'cut off'],
    ['a string that is no UTF-8', 'string', [2, 0xff], 'UTF-8'],
    ['a fixed that is cut', { type: 'fixed', name: 'F', size: 3 }, [1, 2], 'cut off'],
    ['a symbol beyond the last', { type: 'enum', name: 'E', symbols: ['A', 'B'] }, [4], 'enum index'],
    ['a symbol before the first', { type: 'enum', name: 'E', symbols: ['A', 'B'] }, [1], 'enum index'],
    ['a branch beyond the last', ['null', 'string'], [4], 'union index'],
    ['an array of 2^40 items', array, [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1, 0], 'block count'],
    ['an array that does not end', array, [2, 1], 'block count'],
    ['a block that is shorter than it says', array, [3, 6, 1, 1, 0], 'not as long as it says'],
    ['a block of negative size', array, [3, 3, 1, 1, 0], 'not as long as it says'],
    ['a map with the key __proto__', map, [2, ...key('__proto__'), 1, 0], '__proto__'],
    ['a byte too many', 'int', [2, 2], '1 bytes are left over'],
  ])('refuses %s', (_, schema, bytes, problem) => {
    expect(judge(schema, ...bytes)).toContain(problem);
  });

  it('refuses schemas beyond its limits', () => {
    const wide = record(...Array.from({ length: SCHEMA_LIMITS.nodes }, () => 'int'));
    const deep = JSON.parse(`${'{"type":"array","items":'.repeat(SCHEMA_LIMITS.depth + 1)}"int"${'}'.repeat(SCHEMA_LIMITS.depth + 1)}`);
    for (const schema of [wide, deep, 'null', 7, null, { type: 'record', name: 'R' }, { type: 'enum' }, { type: 'fixed', name: 'F' }]) {
      expect(() => compileAvroGuard(schema)).toThrow(RefusedSchemaError);
    }
  });

  it('admits whatever the library has written', () => {
    const schema = record(
      'boolean',
      'int',
      'long',
      'float',
      'double',
      'bytes',
      'string',
      { type: 'enum', name: 'E', symbols: ['A', 'B', 'C'] },
      { type: 'fixed', name: 'F', size: 5 },
      { type: 'array', items: { type: 'record', name: 'I', fields: [{ name: 'x', type: ['null', 'double'] }] } },
      { type: 'map', values: { type: 'array', items: 'string' } },
      ['null', 'long', 'string'],
    );
    const type = avro.Type.forSchema(schema as avro.Schema);
    const guard = compileAvroGuard(schema);
    for (let run = 0; run < 300; run++) {
      const bytes = type.toBuffer(type.random());
      expect(guard(bytes, 0, bytes.length)).toBeNull();
    }
  });
});
