import type { RecordReader } from '../../src/core/record-batch.ts';
import type { Decoded, ValueDecoder } from '../../src/registry/value-decoder-port.ts';

/** A value as it stands in a record, which may be the one that a reader stands on; loads its schema first when it is not known yet. */
export async function decodeValue<Value>(
  decoder: ValueDecoder<Value>,
  { buffer, valueStart, valueEnd }: Pick<RecordReader, 'buffer' | 'valueStart' | 'valueEnd'>,
): Promise<Decoded<Value>> {
  const decoded = decoder.decode(buffer, valueStart, valueEnd);
  if (decoded.kind !== 'unknown_schema') return decoded;
  await decoder.load(decoded.schemaId);
  return decoder.decode(buffer, valueStart, valueEnd);
}
