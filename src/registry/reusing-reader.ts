import { isUtf8 } from 'node:buffer';
import type avro from 'avsc';
import type { NameTable } from '../core/name-table.ts';
import { NO_METRICS } from '../core/reading.ts';
import { begin, type CompiledReader, PRIMITIVE_READERS, ProgramText, TRUNCATED } from './compiled-reader.ts';

// The reader of readings: the same as compiled-reader.ts makes, but its value is one object that is overwritten, and what nearly every record
// holds is read in place: integers by two words of four bytes instead of a loop over bytes, four fields without a value by one comparison.
// Whatever has another form goes to the readers there, which say what is wrong with it.

/** How a reader may save work when its caller has done with a value before it reads the next one. */
export interface Reuse {
  /** Fields that name a device. */
  readonly names: readonly string[];
  /** Where those names are kept. */
  readonly table: NameTable;
  /** Fields that the caller does not look at: they are checked as ever, and hold nothing. */
  readonly ignored: readonly string[];
  /** Fractions of a larger magnitude are refused, as those are that are not finite. */
  readonly magnitudeMax: number;
}

type ReadInto = (from: Buffer, view: DataView, start: number, end: number) => number;

/** A reader that gives the same object each time, overwritten. The type must be a record of ours. */
export function compileReusingReader<Value extends object>(type: avro.Type, reuse: Reuse): CompiledReader<Value> {
  const program = new ReusingText(reuse);
  const { fields } = type as avro.types.RecordType;
  // Made whole at once, so that all its fields have their places; what holds a fraction once is a number without a box from then on.
  const literal = fields.map(({ name, type: of }) => `${name}: ${of.typeName === 'long' ? '-0.5' : 'null'}`).join(', ');
  const source = `'use strict'; const t = { ${literal} }; return [t, (b, v, p, e) => {
    const w4 = v.byteLength - 4, w8 = v.byteLength - 8; let l = 0, h = 0, m = 0, d = 0.5;
    ${program.statementsFor(fields).join('\n')}
    return p; }];`;
  const make = new Function('r', 's', ...program.constantNames, source) as (...given: unknown[]) => [Value, ReadInto];
  const [value, readInto] = make(PRIMITIVE_READERS, IN_PLACE, ...program.constants);
  return (buffer, start, end) => {
    const position = readInto(buffer, begin(buffer, start, end), start, end);
    if (position !== end) throw new Error(position > end ? TRUNCATED : `${end - position} bytes are left over after the value`);
    return value;
  };
}

/** Fields whose usual form is one byte are looked at together, as many as a word holds. */
const FIELDS_PER_WORD = 4;
/** The top bit of each byte: set when the integer goes on. */
const GOES_ON = 0x80808080 | 0;

/**
 * Statements that read fields of `t` from the bytes `b` at `p`, which they move on; `v` is the view of the whole buffer, `w4` and `w8` where the last
 * words in it begin, `e` the end of the value; `l`, `h`, `m` (integers) and `d` are free. Only what must not be read or written beyond `e` looks
 * at `e`: `p` never goes back, so in the end it tells whether it was passed.
 */
class ReusingText extends ProgramText {
  readonly #reuse: Reuse;

  constructor(reuse: Reuse) {
    super();
    this.#reuse = reuse;
  }

  statementsFor(fields: readonly avro.types.Field[]): string[] {
    const statements: string[] = [];
    for (let next = 0; next < fields.length; ) {
      const together = usualTogether(fields.slice(next, next + FIELDS_PER_WORD));
      statements.push(together.length > 1 ? this.#together(together) : this.#statementFor(fields[next]!));
      next += Math.max(1, together.length);
    }
    return statements;
  }

  /** Several fields that nearly always have their usual byte, by one comparison. */
  #together(fields: readonly avro.types.Field[]): string {
    const usual = fields.reduce((word, { type }, at) => word | (usualByteOf(type)! << (8 * at)), 0);
    const mask = fields.length === FIELDS_PER_WORD ? '' : ` & ${2 ** (8 * fields.length) - 1}`;
    const taken = fields.map((field) => `${this.#into(field)}${usualValueOf(field.type)};`).join(' ');
    const oneByOne = fields.map((field) => this.#statementFor(field)).join('\n');
    return `if (p <= w4 && (v.getInt32(p, true)${mask}) === ${usual}) { p += ${fields.length}; ${taken} } else { ${oneByOne} }`;
  }

  #into({ name }: avro.types.Field): string {
    return this.#reuse.ignored.includes(name) ? '' : `t.${name} = `;
  }

  #statementFor(field: avro.types.Field): string {
    const { name, type } = field;
    const { ignored, magnitudeMax, names, table } = this.#reuse;
    const into = this.#into(field);
    const max = this.constant(magnitudeMax);
    const isIgnored = ignored.includes(name);
    const anyhow = `r.seek(p); ${into}${this.#anyhow(type, isIgnored)}; p = r.tell();`;
    if (names.includes(name)) {
      return `l = b[p] >>> 1; if (b[p] < 0x80 && (b[p] & 1) === 0 && p + 1 + l <= e) { t.${name} = s.name(${this.constant(table)}, v, p + 1, p + 1 + l); p += 1 + l; } else { ${anyhow} }`;
    }
    const long = (at: string): string => (isIgnored ? skipLong(at, anyhow) : readLong(at, { into, anyhow }));
    switch (type.typeName) {
      case 'long':
        return long('p');
      case 'map':
        return `if (b[p] === 0) { p++; ${into}s.noEntries; } else { ${anyhow} }`;
      case 'boolean':
        return `if (b[p] <= 1) { ${into}b[p] === 1; p++; } else { ${anyhow} }`;
      case 'enum': {
        const beyond = Math.min(2 * (type as avro.types.EnumType).symbols.length, 0x80);
        return isIgnored ? `if (b[p] < ${beyond} && (b[p] & 1) === 0) { p++; } else { ${anyhow} }` : anyhow;
      }
      case 'union:unwrapped': {
        const presents: { [typeName: string]: string } = {
          double: `if (b[p] === 2 && p + 9 <= e) { d = v.getFloat64(p + 1, true); if (!(d <= ${max} && d >= -${max})) s.tooLarge(); ${into}d; p += 9; } else`,
          long: `if (b[p] === 2) { ${long('p + 1')} } else`,
        };
        const optional = (type as avro.types.UnwrappedUnionType).types[1]!;
        return `if (b[p] === 0) { p++; ${into}null; } else ${presents[optional.typeName] ?? ''} { ${anyhow} }`;
      }
      case 'double':
        throw new Error('a fraction that is always there has no reader that sees to its bound');
      default:
        return anyhow;
    }
  }

  /** The expression for whatever form it has. */
  #anyhow(type: avro.Type, isIgnored: boolean): string {
    const expression = this.expressionFor(type);
    const isOfFractions = type.typeName === 'map' && (type as unknown as { valuesType: avro.Type }).valuesType.typeName === 'double';
    return isOfFractions && !isIgnored ? `s.bounded(${expression}, ${this.constant(this.#reuse.magnitudeMax)})` : expression;
  }
}

/** An integer of five to eight bytes, as times and hashes are, from two words. */
function readLong(at: string, { into, anyhow }: { into: string; anyhow: string }): string {
  return `if (${at} <= w8 && ((l = v.getInt32(${at}, true)) & ${GOES_ON}) === ${GOES_ON} && (m = ~(h = v.getInt32(${at} + 4, true)) & ${GOES_ON}) !== 0) {
    m &= -m; h &= (m - 1) | 0; p = ${at} + 4 + ((39 - Math.clz32(m)) >>> 3);
    l = (l & 0x7f007f) | ((l & 0x7f007f00) >>> 1); l = (l & 0x3fff) | ((l >>> 2) & 0xfffc000);
    h = (h & 0x7f007f) | ((h & 0x7f007f00) >>> 1); h = (h & 0x3fff) | ((h >>> 2) & 0xfffc000);
    d = h * 134217728 + (l >>> 1); if ((l & 1) !== 0) d = -d - 1;
    if (d > 9007199254740991 || d < -9007199254740991) s.inexact();
    ${into}d;
  } else { ${anyhow} }`;
}

/** An integer of up to four bytes that nobody asks for: only where it ends. Longer ones have to be read, to see whether they are exact. */
function skipLong(at: string, anyhow: string): string {
  return `m = ${at} <= w4 ? ~v.getInt32(${at}, true) & ${GOES_ON} : 0; if (m !== 0) { p = ${at} + ((39 - Math.clz32(m & -m)) >>> 3); } else { ${anyhow} }`;
}

/** Those of the fields, from the first one on, that have a usual byte; fractions stand not behind others. */
function usualTogether(fields: readonly avro.types.Field[]): readonly avro.types.Field[] {
  const end = fields.findIndex(
    ({ type }, at) => usualByteOf(type) === null || (at > 0 && isOptional(type, 'double') && !isOptional(fields[at - 1]!.type, 'double')),
  );
  return end < 0 ? fields : fields.slice(0, end);
}

/** The one byte that the field nearly always is: nothing of whatever it could be, or true. */
function usualByteOf(type: avro.Type): number | null {
  if (type.typeName === 'boolean') return 1;
  // A counter is there with each reading of a device, or with none.
  if (type.typeName === 'map' || (type.typeName === 'union:unwrapped' && !isOptional(type, 'long'))) return 0;
  return null;
}

function usualValueOf(type: avro.Type): string {
  return type.typeName === 'boolean' ? 'true' : type.typeName === 'map' ? 's.noEntries' : 'null';
}

function isOptional(type: avro.Type, typeName: string): boolean {
  return type.typeName === 'union:unwrapped' && (type as avro.types.UnwrappedUnionType).types[1]?.typeName === typeName;
}

/** What the text calls by the name `s`. */
const IN_PLACE = {
  /** What every empty map is: most maps are empty, and nobody may change one. */
  noEntries: NO_METRICS,
  /** The string of the bytes [start, end). */
  name(table: NameTable, view: DataView, start: number, end: number): string {
    const place = table.find(view, start, end);
    if (place >= 0) return table.nameAt(place);
    const bytes = Buffer.from(view.buffer, view.byteOffset + start, end - start);
    if (!isUtf8(bytes)) throw new Error('a string is not valid UTF-8');
    return bytes.toString('utf8');
  },
  bounded(entries: Readonly<Record<string, number>>, max: number): Readonly<Record<string, number>> {
    for (const name in entries) if (Math.abs(entries[name]!) > max) return IN_PLACE.tooLarge();
    return entries;
  },
  tooLarge(): never {
    throw new Error('a number is not finite, or larger than any that is measured');
  },
  inexact(): never {
    throw new Error('the precision of an integer would be lost');
  },
} as const;
