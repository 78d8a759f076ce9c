import { canonicalText, FOLD_VERSION } from '../core/fold-settings.ts';
import type { PartitionFold } from '../core/partition-fold.ts';
import { IngotError } from '../errors.ts';
import * as events from '../ops/aggregator-events.ts';
import type { AggregatorContext, WantedSettings } from './aggregator-ports.ts';
import type { TakenProfiles } from './profile-feed.ts';
import { isSameSettings, type JournalEntry, type LastFolded, type Progress, type SettingsRecord } from './progress.ts';
import { assertFirstStart, checkedPosition, foldOf, readStoredState, restoreIdentities, type StoredState } from './restore.ts';
import { missedProfiles } from './restore-profiles.ts';

/** Everything a partition needs to go on where its last committed transaction ended. */
export interface RestoredPartition {
  readonly fold: PartitionFold;
  readonly position: number;
  readonly txnSeq: number;
  readonly lastFolded: LastFolded | null;
  readonly settings: SettingsRecord;
  /** Position in the devices topic up to which the fold has the profiles, and what was said since. */
  readonly devicesOffset: number;
  readonly missedProfiles: TakenProfiles;
  /** What has to be committed before the first record, null when nothing changed. */
  readonly toJournal: { readonly settings?: SettingsRecord; readonly lost?: JournalEntry['lost'] } | null;
}

/**
 * Restores a partition from the state topic, up to the fence. IngotErrors that refuse to go on: `STATE_LOST`, `STATE_UNREADABLE`,
 * `STATE_OF_OTHER_GROUP`, `PARTITIONS_CHANGED`, `LOG_TRUNCATED`, `LOG_REPLACED`.
 */
export async function restorePartition(context: AggregatorContext, partition: number, fenceOffset: number): Promise<RestoredPartition> {
  const stored = await readStoredState(context, partition, fenceOffset);
  const { progress } = stored;
  if (progress === null) await assertFirstStart(context, partition, fenceOffset);
  else assertOurs(context, partition, progress, stored.settings);
  const { from: position, lost } =
    progress === null ? { from: await logStart(context, partition), lost: 0 } : await checkedPosition(context, partition, progress);
  if (lost > 0) events.lossAccepted(partition, lost);
  const { fold, settings, changed } = await settle(context, partition, stored);
  await restoreIdentities(context, partition, fold, position);
  const devicesOffset = progress?.devicesOffset ?? 0;
  return {
    fold,
    position,
    txnSeq: progress?.txnSeq ?? 0,
    lastFolded: progress?.lastFolded ?? null,
    settings,
    devicesOffset,
    missedProfiles: await missedProfiles(context, partition, { profiles: stored.profiles, devicesOffset }),
    toJournal: toJournal({
      settings: changed ? settings : undefined,
      lost: lost > 0 ? { from: position - lost, to: position } : undefined,
    }),
  };
}

function toJournal(parts: {
  settings: SettingsRecord | undefined;
  lost: JournalEntry['lost'] | undefined;
}): RestoredPartition['toJournal'] {
  if (parts.settings === undefined && parts.lost === undefined) return null;
  return { ...(parts.settings && { settings: parts.settings }), ...(parts.lost && { lost: parts.lost }) };
}

/** Decides which settings rule, and gives the fold that runs them. */
async function settle(
  context: AggregatorContext,
  partition: number,
  stored: StoredState,
): Promise<{ fold: PartitionFold; settings: SettingsRecord; changed: boolean }> {
  const { wanted } = context;
  if (stored.settings === null) {
    const fold = await foldOf(context, partition, stored, wanted.settings);
    return { fold, settings: settingsRecord(context, fold), changed: true };
  }
  const fold = await foldOf(context, partition, stored, stored.settings.settings);
  if (isSameSettings(stored.settings.settings, wanted.settings)) {
    // The higher version is noted, or a process with one in between would overrule it later.
    const changed = wanted.version > stored.settings.version;
    return { fold, settings: changed ? settingsRecord(context, fold) : stored.settings, changed };
  }
  if (!overrules(wanted, stored.settings)) {
    events.settingsOverruled(partition, stored.settings.id);
    return { fold, settings: stored.settings, changed: false };
  }
  fold.changeSettings(wanted.settings);
  const settings = settingsRecord(context, fold);
  events.settingsChanged(partition, settings.id);
  return { fold, settings, changed: true };
}

function overrules(wanted: WantedSettings, stored: SettingsRecord): boolean {
  if (wanted.version !== stored.version) return wanted.version > stored.version;
  return wanted.startedAtMs >= stored.startedAtMs;
}

function settingsRecord(context: AggregatorContext, fold: PartitionFold): SettingsRecord {
  const { version, startedAtMs } = context.wanted;
  const id = context.uuid([canonicalText(fold.settings)]);
  return { id, version, startedAtMs, partitions: context.partitions, settings: fold.settings };
}

function assertOurs(context: AggregatorContext, partition: number, progress: Progress, settings: SettingsRecord | null): void {
  const { topics, groupId, partitions } = context;
  if (progress.groupId !== groupId) {
    throw new IngotError(
      'STATE_OF_OTHER_GROUP',
      `${topics.state} holds the state of group ${progress.groupId}, and this process is of group ${groupId}.`,
    );
  }
  if (settings === null)
    throw new IngotError('STATE_LOST', `${topics.state}-${partition} holds progress but no settings. See 'ingot rebuild-state'.`);
  if (settings.partitions !== partitions) {
    throw new IngotError(
      'PARTITIONS_CHANGED',
      `${topics.readings} has ${partitions} partitions; the state was made with ${settings.partitions}. Devices have moved between partitions: use new topics (KAFKA_TOPIC_PREFIX).`,
    );
  }
  if (progress.foldVersion > FOLD_VERSION) {
    throw new IngotError(
      'STATE_UNREADABLE',
      `The state of ${topics.state}-${partition} was written by a newer version of Ingot (fold ${progress.foldVersion}, this is ${FOLD_VERSION}).`,
    );
  }
}

async function logStart(context: AggregatorContext, partition: number): Promise<number> {
  return (await context.admin.watermarks(context.topics.readings))[partition]?.logStartOffset ?? 0;
}
