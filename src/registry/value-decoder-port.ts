// What every stage takes from the registry: values out of the wire format.

export type Decoded<Value> =
  | {
      readonly kind: 'value';
      readonly value: Value;
      /** Set when each fraction is known to be of no larger magnitude than was asked for. */
      readonly isBounded?: boolean;
    }
  /** Load the schema, then decode the same bytes again. */
  | { readonly kind: 'unknown_schema'; readonly schemaId: number }
  /** Final for these bytes. */
  | { readonly kind: 'undecodable'; readonly detail: string };

export interface ValueDecoder<Value> {
  /** Decodes the value in buffer[start, end). Never throws. */
  decode(buffer: Buffer, start: number, end: number): Decoded<Value>;
  /**
   * Fetches a schema, once however many ask. Resolves also when the schema is refused, or when the registry has said for long enough that
   * it knows no such id: then `decode` says undecodable. Rejects with IngotError `SCHEMA_UNKNOWN` (the registry may be starting),
   * `REGISTRY_UNREACHABLE` or `REGISTRY_REFUSED`: try again after a second or so.
   */
  load(schemaId: number): Promise<void>;
}
