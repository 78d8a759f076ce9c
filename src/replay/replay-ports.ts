import type { Reading } from '../core/reading.ts';
import type { FetchLoop, LogAdmin, TransactionLane } from '../kafka/log-port.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';

/** A reading into the wire format: a view that is valid until the next call. */
export interface ReadingEncoder {
  encode(reading: Reading): Uint8Array;
}

/** Topics of the replay; all have the same number of partitions. */
export interface ReplayTopics {
  readonly readings: string;
  readonly bridgeDeadLetters: string;
  readonly readingDeadLetters: string;
  readonly marks: string;
}

/** What a letter has to pass before it is appended to the readings. */
export interface ReplayLimits {
  readonly maxPayloadBytes: number;
  /** As the aggregator has it; the aggregator judges again. */
  readonly skewMs: number;
  /** null = unlimited. */
  readonly pastLimitMs: number | null;
  /** How large the value of a record of the readings may be. */
  readonly valueBytesMax: number;
}

/** Everything that one run of the replay shares. */
export interface ReplayContext {
  readonly topics: ReplayTopics;
  readonly partitions: number;
  readonly limits: ReplayLimits;
  readonly decoder: ValueDecoder<Reading>;
  readonly encoder: ReadingEncoder;
  readonly admin: LogAdmin;
  /** Reads committed records; a short poll, since nothing is waited for. */
  readonly loop: FetchLoop;
  /** A lane under the transactional id of a partition. */
  readonly openLane: (partition: number) => TransactionLane;
  /** After a first failure; doubled with each that follows. */
  readonly backOffMs: number;
  /** Names this run in its marks: two runs never have the same. */
  readonly runId: string;
  readonly nowMs: () => number;
  /** Aborted: the transaction under way is ended, and nothing more is begun. */
  readonly signal: AbortSignal;
}
