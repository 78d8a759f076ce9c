import type { DeviceProfile, ProfileChange } from '../core/device-profile.ts';
import { canonicalText, type FoldSettings } from '../core/fold-settings.ts';
import { IngotError } from '../errors.ts';

// The records that tell where a partition stands. They are JSON: one of each in a transaction, and people read them.

/** Keys of the state topic that are no devices: `$` is not allowed in a device id. */
export const PROGRESS_KEY = '$progress';
export const SETTINGS_KEY = '$settings';
/** In front of the device id, the key of its profile. */
export const PROFILE_KEY_PREFIX = '$profile:';

/** The last record folded, by which a replaced log is noticed. */
export interface LastFolded {
  readonly offset: number;
  readonly appendTimeMs: number;
  /** CRC-32C of the record's value. */
  readonly crc: number;
}

/** Where a partition stands: written in every transaction. */
export interface Progress {
  readonly groupId: string;
  readonly foldVersion: number;
  /** C: offset of the next record to fold. */
  readonly nextOffset: number;
  readonly lastFolded: LastFolded | null;
  /** P, epoch ms; -1 before the first record. */
  readonly clockMs: number;
  /** Counts the transactions of the partition: 1, 2, ... */
  readonly txnSeq: number;
  readonly settingsId: string;
  /** Position in the `devices` topic up to which profiles were applied. */
  readonly devicesOffset: number;
}

/** The settings in force, whole. */
export interface SettingsRecord {
  readonly id: string;
  /** SETTINGS_VERSION of the process that brought them. */
  readonly version: number;
  /** When that process started, epoch ms: among equal versions the later start wins. */
  readonly startedAtMs: number;
  /** Partitions of the readings topic; pinned, because another count would move devices between partitions. */
  readonly partitions: number;
  readonly settings: FoldSettings;
}

/** One transaction, as the audit trail keeps it: with these and the log anyone can repeat the fold. */
export interface JournalEntry {
  readonly txnSeq: number;
  readonly from: number;
  readonly to: number;
  readonly P: number;
  readonly tick: boolean;
  readonly settingsId: string;
  /** Present when this transaction changed the settings. */
  readonly settings?: FoldSettings;
  /** Repeated once a day, so that the fold can be begun there. */
  readonly settingsInForce?: FoldSettings;
  /** Present when this transaction changed profiles, in the order in which they were applied. */
  readonly profiles?: readonly ProfileChange[];
  /** Repeated once a day, over as many transactions as it takes: the fold can be begun after the one with which nothing is left. */
  readonly profilesInForce?: { readonly profiles: readonly ProfileChange[]; readonly left: number };
  /** Present when `--accept-loss` skipped records that were gone. */
  readonly lost?: { readonly from: number; readonly to: number };
  readonly counts: Readonly<Record<string, number>>;
  readonly late: number;
  readonly notJudged: number;
}

export function encodeJson(value: Progress | SettingsRecord | JournalEntry): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** IngotError `STATE_UNREADABLE` when the value is not what the key promises. */
export function decodeProgress(value: Buffer): Progress {
  const parsed = parse(value, PROGRESS_KEY) as Partial<Progress>;
  if (!Number.isSafeInteger(parsed.nextOffset) || !Number.isSafeInteger(parsed.txnSeq) || typeof parsed.groupId !== 'string') {
    throw unreadable(PROGRESS_KEY);
  }
  return parsed as Progress;
}

/** Equal profiles have equal bytes. */
export function encodeProfile(profile: DeviceProfile): Buffer {
  return Buffer.from(canonicalText(profile));
}

/** IngotError `STATE_UNREADABLE` when the value is not what the key promises. */
export function decodeProfile(value: Buffer, key: string): DeviceProfile {
  const parsed = parse(value, key) as Partial<DeviceProfile>;
  if (typeof parsed.labels !== 'object' || typeof parsed.thresholds !== 'object' || !Array.isArray(parsed.disabledRules))
    throw unreadable(key);
  return parsed as DeviceProfile;
}

/** IngotError `STATE_UNREADABLE` when the value is not what the key promises. */
export function decodeSettings(value: Buffer): SettingsRecord {
  const parsed = parse(value, SETTINGS_KEY) as Partial<SettingsRecord>;
  if (typeof parsed.id !== 'string' || typeof parsed.settings !== 'object') throw unreadable(SETTINGS_KEY);
  return parsed as SettingsRecord;
}

/** Whether two settings say the same, whatever the versions of their rules. */
export function isSameSettings(a: FoldSettings, b: FoldSettings): boolean {
  const withoutVersions = (settings: FoldSettings): string =>
    canonicalText({ ...settings, rules: settings.rules.map((rule) => ({ ...rule, version: 0 })) });
  return withoutVersions(a) === withoutVersions(b);
}

function parse(value: Buffer, key: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString('utf8'));
  } catch (cause) {
    throw unreadable(key, cause);
  }
  if (typeof parsed !== 'object' || parsed === null) throw unreadable(key);
  return parsed;
}

function unreadable(key: string, cause?: unknown): IngotError {
  return new IngotError(
    'STATE_UNREADABLE',
    `The record ${key} of the state topic cannot be read: it was written by another version of Ingot, or is damaged.`,
    {
      cause,
    },
  );
}
