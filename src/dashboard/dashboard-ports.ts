import type { AggregatorLedger } from '../ops/aggregator-events.ts';
import type { BridgeLedger } from '../ops/bridge-events.ts';

/** What bridge and aggregator of this process have counted; null for one that does not run here. */
export interface LedgerSnapshot {
  readonly bridge: BridgeLedger | null;
  readonly aggregator: Pick<AggregatorLedger, 'consumed' | 'outcomes'> | null;
}

/** Null when the page runs alone: then the ledger is with the processes that keep it. */
export type LedgerSource = () => LedgerSnapshot | null;

/** Record values out of the wire format. */
export interface FeedDecoder<Value> {
  /**
   * Decodes the bytes buffer[start, end). Never throws. `undecodable` is final for these bytes; an unknown schema has to be loaded first, and
   * then the same bytes are decoded again.
   */
  decode(buffer: Buffer, start: number, end: number): DecodedValue<Value>;
  /** Fetches a schema. Resolves also when the registry knows no such id: then `decode` says undecodable. Rejects when the registry is away. */
  load(schemaId: number): Promise<void>;
}

export type DecodedValue<Value> =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'unknown_schema'; readonly schemaId: number }
  | { readonly kind: 'undecodable' };
