// What a fold reads: its settings, and the sequence of records, ticks, changes of settings and of profiles of one partition.
// Words and rules: docs/FOLD.md.

import type { Reading } from '../../../src/core/reading.ts';

export interface OracleRule {
  readonly id: string;
  /** Used as given for an id that the settings before do not have; otherwise the fold counts it up. */
  readonly version: number;
  readonly metric: string;
  readonly direction: 'above' | 'below';
  readonly threshold: number;
  readonly deadband: number;
  readonly forMs: number;
  readonly offDelayMs: number;
  readonly severity: 'INFO' | 'WARNING' | 'CRITICAL';
  readonly unit: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Above the rule's own threshold and severity, which are level 1. */
  readonly levels: readonly OracleLevel[];
  /** null = never. */
  readonly staleAfterMs: number | null;
}

export interface OracleLevel {
  readonly threshold: number;
  readonly severity: 'INFO' | 'WARNING' | 'CRITICAL';
}

/** What a device has of its own. */
export interface OracleProfile {
  readonly labels: Readonly<Record<string, string>>;
  /** By rule id. */
  readonly thresholds: Readonly<Record<string, OracleThreshold>>;
  readonly disabledRules: readonly string[];
}

export interface OracleThreshold {
  readonly threshold: number;
  readonly deadband: number | null;
  readonly levels: readonly OracleLevel[] | null;
}

export interface OracleSettings {
  readonly windowMs: number;
  readonly graceMs: number;
  readonly idleMs: number;
  /** Readings per part; 0 = off. */
  readonly batchSize: number;
  readonly skewMs: number;
  /** null = unlimited. */
  readonly pastLimitMs: number | null;
  readonly maxOpenParts: number;
  readonly maxDevices: number;
  readonly duplicateOffsets: number;
  /** In any order: the fold sorts them by id. */
  readonly rules: readonly OracleRule[];
}

/** One partition of the readings topic, and the settings in force at its beginning. */
export interface OracleSetup {
  readonly partition: number;
  readonly partitionCount: number;
  /** Named in evidence; default 'telemetry.readings'. */
  readonly readingsTopic?: string;
  readonly settings: OracleSettings;
}

export interface RecordStep {
  readonly kind: 'record';
  readonly offset: number;
  readonly appendTime: number;
  readonly key: string | null;
  /** Text by name; of equal names the last one. */
  readonly headers?: Readonly<Record<string, string>>;
  /** null when the bytes could not be decoded. */
  readonly reading: Reading | null;
}

export interface TickStep {
  readonly kind: 'tick';
  readonly P: number;
}

export interface SettingsStep {
  readonly kind: 'settings';
  readonly settings: OracleSettings;
}

export interface ProfilesStep {
  readonly kind: 'profiles';
  /** In the order in which they are applied; null takes the profile away. */
  readonly changes: readonly (readonly [deviceId: string, profile: OracleProfile | null])[];
}

export type OracleStep = RecordStep | TickStep | SettingsStep | ProfilesStep;
