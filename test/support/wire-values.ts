import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import avro from 'avsc';
import type { TopicRecord } from './read-topic.ts';

// Values in the Confluent wire format, decoded for tests without the product's codec: a zero byte, a schema id of four bytes, Avro.

const PREFIX_BYTES = 5;

/** Decodes the values of one topic by one of the files in schemas/. */
export class WireValues<Row extends { deviceId: string }> {
  readonly #type: avro.Type;
  readonly #ids: ReadonlySet<number>;

  private constructor(type: avro.Type, ids: ReadonlySet<number>) {
    this.#type = type;
    this.#ids = ids;
  }

  /** Asks the registry which of the ids that occur in the records stand for exactly the schema of the file. */
  static async of<Row extends { deviceId: string }>(
    file: string,
    records: readonly TopicRecord[],
    registryUrl: string,
  ): Promise<WireValues<Row>> {
    const path = new URL(`../../schemas/${file}.avsc`, import.meta.url);
    const schema = JSON.parse(readFileSync(path, 'utf8')) as avro.Schema;
    const ids = new Set<number>();
    for (const id of new Set(records.map(({ value }) => schemaIdOf(value)))) {
      if (id !== null && isDeepStrictEqual(await registeredSchema(registryUrl, id), schema)) ids.add(id);
    }
    return new WireValues<Row>(avro.Type.forSchema(schema, { omitRecordMethods: true }), ids);
  }

  /** null when the value has another form, another schema, bytes left over, or a number that is none. */
  decode({ value }: TopicRecord): Row | null {
    const id = schemaIdOf(value);
    if (id === null || !this.#ids.has(id)) return null;
    try {
      const decoded = plain(this.#type.fromBuffer(value.subarray(PREFIX_BYTES)) as object) as Row;
      return hasOnlyFiniteNumbers(decoded) ? decoded : null;
    } catch {
      return null;
    }
  }

  /** For topics that hold nothing else. Throws where there is something else, or its key is not the device's id. */
  row(record: TopicRecord): Row {
    const decoded = this.decode(record);
    const where = `${record.topic}-${record.partition} offset ${record.offset}`;
    if (decoded === null) throw new Error(`${where} cannot be decoded: ${record.value.toString('hex', 0, 64)}`);
    if (record.key !== decoded.deviceId) throw new Error(`${where} has the key ${record.key} and is about ${decoded.deviceId}`);
    return decoded;
  }
}

function schemaIdOf(value: Buffer): number | null {
  return value.length >= PREFIX_BYTES && value[0] === 0 ? value.readUInt32BE(1) : null;
}

async function registeredSchema(registryUrl: string, id: number): Promise<unknown> {
  const answer = await fetch(`${registryUrl}/schemas/ids/${id}`, { signal: AbortSignal.timeout(10_000) });
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`the registry answers ${answer.status} for schema ${id}`);
  return JSON.parse(((await answer.json()) as { schema: string }).schema);
}

/** The library's records are classes of its own; a test wants plain fields. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

function hasOnlyFiniteNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.values(value).every(hasOnlyFiniteNumbers);
}
