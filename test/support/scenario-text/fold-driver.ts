// What a scenario needs of a fold: three verbs, each answering with what was written because of it. The oracle and the product's
// core are driven through this; an adapter for another fold is a few lines.

import type { ReadingOutcome } from '../../../src/core/outcome.ts';
import type { Reading } from '../../../src/core/reading.ts';
import type { OracleSettings, OracleSetup } from '../oracle/fold-steps.ts';
import type { AggregateRow, AlertRow, DeadLetter } from '../oracle/output-rows.ts';

export interface DriverRecord {
  readonly offset: number;
  readonly appendTime: number;
  readonly key: string | null;
  /** null when the bytes could not be decoded. */
  readonly reading: Reading | null;
}

/** What one step wrote, each list in the order of its topic. */
export interface DriverOutputs {
  readonly aggregates: readonly AggregateRow[];
  readonly alerts: readonly AlertRow[];
  readonly deadLetters: readonly DeadLetter[];
  /** What became of the record; null for a tick and a change of settings. */
  readonly outcome: ReadingOutcome | null;
}

/** One partition being folded. */
export interface FoldDriver {
  record(record: DriverRecord): DriverOutputs;
  /** Moves the partition clock to `P`, never back. */
  tick(P: number): DriverOutputs;
  /** Takes the settings as a user gives them: the fold counts the versions of changed rules up itself. */
  settings(settings: OracleSettings): DriverOutputs;
}

export interface FoldDriverKind {
  readonly name: string;
  create(setup: OracleSetup): FoldDriver;
}
