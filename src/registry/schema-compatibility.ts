// Says by name what makes a schema incompatible with an earlier one. The registry decides; it only does not tell every client why.
// The rules are those of the Avro specification, "Schema Resolution".

/** Something a reader of one schema cannot do with data of another. */
export interface Incompatibility {
  /** Path of field names below the record, for example `evidence.offset`; empty for the record itself. */
  readonly field: string;
  /** For example: `is missing in version 3, and has no default in the new schema`. */
  readonly change: string;
}

type Schema = string | readonly Schema[] | { readonly [key: string]: unknown };
type Named = Map<string, Schema>;
interface Field {
  readonly name: string;
  readonly type: Schema;
  readonly aliases?: readonly string[];
  readonly default?: unknown;
}
/** One side of a comparison. */
export interface ComparedSchema {
  readonly text: string;
  /** What messages call it: `version 3`. */
  readonly label: string;
}
interface Comparison {
  readonly reader: { readonly label: string; readonly types: Named };
  readonly writer: { readonly label: string; readonly types: Named };
  /** Records of the reader that were compared; it ends recursive types. */
  readonly seen: Set<string>;
}

/**
 * What keeps data of the writer from being read with the reader's schema. Empty: nothing does.
 * Throws SyntaxError when a text is not JSON.
 */
export function incompatibilities(reader: ComparedSchema, writer: ComparedSchema): readonly Incompatibility[] {
  const readerSchema = JSON.parse(reader.text) as Schema;
  const writerSchema = JSON.parse(writer.text) as Schema;
  return compare(readerSchema, writerSchema, '', {
    reader: { label: reader.label, types: namedTypes(readerSchema) },
    writer: { label: writer.label, types: namedTypes(writerSchema) },
    seen: new Set(),
  });
}

// What each primitive may be read as, besides itself.
const PROMOTIONS: ReadonlyMap<string, readonly string[]> = new Map([
  ['int', ['long', 'float', 'double']],
  ['long', ['float', 'double']],
  ['float', ['double']],
  ['string', ['bytes']],
  ['bytes', ['string']],
]);

function compare(readerSchema: Schema, writerSchema: Schema, field: string, comparison: Comparison): readonly Incompatibility[] {
  const reader = resolve(readerSchema, comparison.reader.types);
  const writer = resolve(writerSchema, comparison.writer.types);
  if (isUnion(writer)) return writer.flatMap((branch) => compare(reader, branch, field, comparison));
  if (isUnion(reader)) {
    if (reader.some((branch) => compare(branch, writer, field, { ...comparison, seen: new Set(comparison.seen) }).length === 0)) return [];
    // The branch of the same kind tells more than "none of them fits".
    const alike = reader.find((branch) => kindOf(resolve(branch, comparison.reader.types)) === kindOf(writer));
    return alike === undefined ? differentTypes(field, { reader, writer }, comparison) : compare(alike, writer, field, comparison);
  }
  const kind = kindOf(reader);
  if (kind !== kindOf(writer)) {
    return PROMOTIONS.get(kindOf(writer))?.includes(kind) ? [] : differentTypes(field, { reader, writer }, comparison);
  }
  if (typeof reader === 'string' || typeof writer === 'string') return [];
  switch (kind) {
    case 'array':
      return compare(reader.items as Schema, writer.items as Schema, field, comparison);
    case 'map':
      return compare(reader.values as Schema, writer.values as Schema, field, comparison);
    case 'enum':
      return compareEnums(reader, writer, field, comparison);
    case 'fixed':
      return reader.size === writer.size ? [] : differs(field, `size ${writer.size}`, `size ${reader.size}`, comparison);
    case 'record':
      return compareRecords(reader, writer, field, comparison);
    default:
      return [];
  }
}

type SchemaObject = Exclude<Schema, string | readonly Schema[]>;

function compareRecords(reader: SchemaObject, writer: SchemaObject, path: string, comparison: Comparison): readonly Incompatibility[] {
  const name = String(reader.name);
  if (name !== writer.name && !(reader.aliases as string[] | undefined)?.includes(String(writer.name))) {
    return differs(path, `record ${writer.name}`, `record ${name}`, comparison);
  }
  if (comparison.seen.has(name)) return [];
  comparison.seen.add(name);
  const written = new Map((writer.fields as Field[]).map((field) => [field.name, field]));
  return (reader.fields as Field[]).flatMap((field) => {
    const at = path === '' ? field.name : `${path}.${field.name}`;
    const source = [field.name, ...(field.aliases ?? [])].map((known) => written.get(known)).find((match) => match !== undefined);
    if (source !== undefined) return compare(field.type, source.type, at, comparison);
    if (field.default !== undefined) return [];
    return [{ field: at, change: `is missing in ${comparison.writer.label}, and has no default in ${comparison.reader.label}` }];
  });
}

function compareEnums(reader: SchemaObject, writer: SchemaObject, field: string, comparison: Comparison): readonly Incompatibility[] {
  if (reader.default !== undefined) return [];
  const missing = (writer.symbols as string[]).filter((symbol) => !(reader.symbols as string[]).includes(symbol));
  if (missing.length === 0) return [];
  const { reader: ours, writer: theirs } = comparison;
  return [
    { field, change: `has the symbol ${missing.join(', ')} in ${theirs.label} but not in ${ours.label}, where the enum has no default` },
  ];
}

function differentTypes(field: string, schemas: { reader: Schema; writer: Schema }, comparison: Comparison): readonly Incompatibility[] {
  return differs(field, show(schemas.writer), show(schemas.reader), comparison);
}

function differs(field: string, written: string, read: string, comparison: Comparison): readonly Incompatibility[] {
  return [{ field, change: `is ${written} in ${comparison.writer.label}, but ${read} in ${comparison.reader.label}` }];
}

function show(schema: Schema): string {
  return isUnion(schema) ? `[${schema.map(show).join(', ')}]` : kindOf(schema);
}

function isUnion(schema: Schema): schema is readonly Schema[] {
  return Array.isArray(schema);
}

function kindOf(schema: Schema): string {
  if (typeof schema === 'string') return schema;
  if (isUnion(schema)) return 'union';
  return schema.type === 'error' ? 'record' : String(schema.type);
}

/** Unwraps `{"type": "string", ...}` and looks references up. */
function resolve(schema: Schema, types: Named): Schema {
  if (typeof schema === 'string') return types.get(schema) ?? schema;
  if (isUnion(schema)) return schema;
  const { type } = schema;
  if (typeof type === 'string') return isComplex(type) ? schema : resolve(type, types);
  return resolve(type as Schema, types);
}

function isComplex(type: string): boolean {
  return type === 'record' || type === 'error' || type === 'enum' || type === 'fixed' || type === 'array' || type === 'map';
}

/** The types that a schema declares, by full and by short name. */
function namedTypes(schema: Schema, types: Named = new Map(), namespace = ''): Named {
  if (typeof schema === 'string') return types;
  if (isUnion(schema)) {
    for (const branch of schema) namedTypes(branch, types, namespace);
    return types;
  }
  const inner = typeof schema.namespace === 'string' ? schema.namespace : namespace;
  if (typeof schema.name === 'string' && isComplex(String(schema.type))) {
    types.set(schema.name, schema);
    if (inner !== '') types.set(`${inner}.${schema.name}`, schema);
  }
  const children = [schema.items, schema.values, ...((schema.fields as Field[] | undefined) ?? []).map((field) => field.type)];
  if (typeof schema.type === 'object') children.push(schema.type);
  for (const child of children) if (child !== undefined) namedTypes(child as Schema, types, inner);
  return types;
}
