// What a scenario needs of a fold: four verbs, each answering with what was written because of it. The oracle and the product's
// core are driven through this; an adapter for another fold is a few lines.

import type { ReadingOutcome } from '../../../src/core/outcome.ts';
import type { Reading } from '../../../src/core/reading.ts';
import type { OracleSettings, OracleSetup, OracleStep, ProfilesStep } from '../oracle/fold-steps.ts';
import type { AggregateRow, AlertRow, DeadLetter } from '../oracle/output-rows.ts';

export interface DriverRecord {
  readonly offset: number;
  readonly appendTime: number;
  readonly key: string | null;
  readonly headers?: Readonly<Record<string, string>>;
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
  profiles(changes: ProfilesStep['changes']): DriverOutputs;
}

/** Plays one step of a log. */
export function playStep(driver: FoldDriver, step: OracleStep): DriverOutputs {
  switch (step.kind) {
    case 'record':
      return driver.record(step);
    case 'tick':
      return driver.tick(step.P);
    case 'settings':
      return driver.settings(step.settings);
    case 'profiles':
      return driver.profiles(step.changes);
  }
}

export interface FoldDriverKind {
  readonly name: string;
  create(setup: OracleSetup): FoldDriver;
}
