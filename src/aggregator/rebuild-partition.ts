import type { Alert } from '../core/alert-record.ts';
import { FOLD_VERSION } from '../core/fold-settings.ts';
import { RecordsEncoder } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { EncodedRecords } from '../kafka/log-port.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import {
  encodeJson,
  encodeProfile,
  PROFILE_KEY_PREFIX,
  PROGRESS_KEY,
  type Progress,
  SETTINGS_KEY,
  type SettingsRecord,
} from './progress.ts';
import { readRange } from './read-range.ts';
import { type TakenAlerts, takeOpenAlerts } from './rebuild-alerts.ts';
import { type RepeatedFold, repeatFold } from './rebuild-fold.ts';
import { findRebuildStart, type RebuildStart } from './rebuild-journal.ts';
import { readStoredState, wasWritten } from './restore.ts';
import { decodeDeviceState, encodeDeviceState } from './state-codec.ts';

// Rebuilds the state of a partition from the readings and the journal, up to the end of the journal: fence, repeat the fold in silence,
// write the state in one transaction. Nothing else is written, so nothing is written twice.

/** What a rebuild needs of an aggregator's surroundings. */
export interface RebuildContext
  extends Pick<AggregatorContext, 'groupId' | 'topics' | 'partitions' | 'decoder' | 'uuid' | 'admin' | 'restore' | 'openLane'> {
  readonly alertDecoder: ValueDecoder<Alert>;
}

export type RebuildOutcome =
  /** Its state is as it should be; nothing was written. */
  | { readonly kind: 'whole' }
  /** Nothing was ever folded. */
  | { readonly kind: 'unused' }
  | { readonly kind: 'rebuilt'; readonly report: RebuildReport };

export interface RebuildReport {
  readonly nextOffset: number;
  readonly devices: number;
  readonly openParts: number;
  readonly transactions: number;
  /** In sentences; empty when the state is exactly that which was lost. */
  readonly inexact: readonly string[];
}

/**
 * IngotErrors `STATE_LOST` (there is no journal to repeat), `STATE_UNREADABLE`, `LOG_REPLACED` (readings and journal do not belong together),
 * `TRANSACTION_IN_DOUBT` (try again), and those of reading the log.
 */
export async function rebuildPartition(context: RebuildContext, partition: number): Promise<RebuildOutcome> {
  const lane = context.openLane(partition);
  try {
    const fenceOffset = await lane.fence({ topic: context.topics.state, partition });
    const stored = await inspectState(context, partition, fenceOffset);
    if (stored.isWhole) return { kind: 'whole' };
    const start = await findRebuildStart(context, partition);
    if (start === null) {
      await assertUnused(context, partition);
      return { kind: 'unused' };
    }
    await assertReadable(context, partition, start);
    const repeated = await repeatFold(context, partition, start);
    if (start.isFromBeginning && repeated.deviating > 0) throw notTheLog(context, partition, repeated);
    const alerts = start.isFromBeginning ? null : await takeOpenAlerts(context, partition, repeated.fold);
    await lane.commit(stateRecords(context, partition, { start, repeated, leftovers: stored.keys }));
    return { kind: 'rebuilt', report: reportOf(start, repeated, alerts) };
  } finally {
    await lane.close();
  }
}

/** The keys that the state topic holds, and whether they are a state that an aggregator would go on with. */
async function inspectState(
  context: RebuildContext,
  partition: number,
  fenceOffset: number,
): Promise<{ keys: Set<string>; isWhole: boolean }> {
  const at = { topic: context.topics.state, partition };
  const { logStartOffset } = (await context.admin.watermarks(at.topic))[partition]!;
  const keys = new Set<string>();
  const onRecord = (reader: { buffer: Buffer; keyStart: number; keyEnd: number }): null => {
    keys.add(reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd));
    return null;
  };
  await readRange(context.restore, at, { from: logStartOffset, to: fenceOffset + 1, onRecord });
  try {
    const stored = await readStoredState(context, partition, fenceOffset);
    for (const [, chunk, start, end] of stored.devices.entries()) decodeDeviceState(chunk, start, end);
    return { keys, isWhole: stored.progress !== null && stored.settings !== null };
  } catch (error) {
    if (error instanceof IngotError && error.code === 'STATE_UNREADABLE') return { keys, isWhole: false };
    throw error;
  }
}

async function assertUnused(context: RebuildContext, partition: number): Promise<void> {
  const { aggregates, readings, journal } = context.topics;
  const written = await wasWritten(context, { topic: aggregates, partition });
  const committed = (await context.admin.committedOffsets(context.groupId, readings))[partition] ?? null;
  if (!written && committed === null) return;
  throw new IngotError(
    'STATE_LOST',
    `${journal}-${partition} is empty too, so nothing tells how far the readings were folded. Use new topics.`,
  );
}

async function assertReadable(context: RebuildContext, partition: number, { last }: RebuildStart): Promise<void> {
  const { highWatermark } = (await context.admin.watermarks(context.topics.readings))[partition]!;
  if (last.to <= highWatermark) return;
  const what = `it ends at ${highWatermark}, but was folded up to ${last.to}`;
  throw new IngotError('LOG_REPLACED', `${context.topics.readings}-${partition} is not the log that the journal was made from: ${what}.`);
}

function notTheLog(context: RebuildContext, partition: number, { deviating, transactions }: RepeatedFold): IngotError {
  const what = `${deviating} of ${transactions} transactions come to other counts`;
  return new IngotError('LOG_REPLACED', `${context.topics.readings}-${partition} is not the log that the journal was made from: ${what}.`);
}

/** The whole state. What else is in the topic gets a tombstone. */
function stateRecords(
  context: RebuildContext,
  partition: number,
  { start, repeated, leftovers }: { start: RebuildStart; repeated: RepeatedFold; leftovers: ReadonlySet<string> },
): EncodedRecords[] {
  const { fold, lastFolded } = repeated;
  const { last } = start;
  const values = new Map<string, Buffer | null>([...leftovers].map((key) => [key, null]));
  for (const device of fold.allDevices()) values.set(device.deviceId, encodeDeviceState(device));
  for (const [deviceId, profile] of fold.allProfiles) values.set(PROFILE_KEY_PREFIX + deviceId, encodeProfile(profile));
  // Whoever starts next may bring other settings: which process these came from is not in the journal.
  const settings: SettingsRecord = {
    id: last.settingsId,
    version: 0,
    startedAtMs: 0,
    partitions: context.partitions,
    settings: fold.settings,
  };
  const progress: Progress = {
    groupId: context.groupId,
    foldVersion: FOLD_VERSION,
    nextOffset: last.to,
    lastFolded,
    clockMs: fold.clockMs,
    txnSeq: last.txnSeq,
    settingsId: last.settingsId,
    devicesOffset: 0,
  };
  values.set(SETTINGS_KEY, encodeJson(settings));
  values.set(PROGRESS_KEY, encodeJson(progress));
  return inBatches({ topic: context.topics.state, partition }, values);
}

/** As in slice-writer.ts: below what a broker takes by default. */
const BATCH_BYTES_MAX = 768 * 1024;

function inBatches(at: { topic: string; partition: number }, values: ReadonlyMap<string, Buffer | null>): EncodedRecords[] {
  const batches: EncodedRecords[] = [];
  const encoder = new RecordsEncoder(64 * 1024);
  const baseTimestampMs = Date.now();
  const cut = (): void => {
    if (encoder.count > 0) batches.push({ ...at, records: encoder.take(), count: encoder.count, baseTimestampMs });
    encoder.reset(baseTimestampMs);
  };
  cut();
  for (const [key, value] of values) {
    if (encoder.sizeBytes + (value?.length ?? 0) > BATCH_BYTES_MAX) cut();
    encoder.add(Buffer.from(key), value, baseTimestampMs);
  }
  cut();
  return batches;
}

function reportOf(start: RebuildStart, { fold, transactions, deviating }: RepeatedFold, alerts: TakenAlerts | null): RebuildReport {
  const report = { nextOffset: start.last.to, devices: fold.deviceCount, openParts: fold.openPartCount, transactions };
  if (start.isFromBeginning) return { ...report, inexact: [] };
  const began = start.clockMs < 0 ? 'the first reading that is left' : new Date(start.clockMs).toISOString();
  const { windowSizeMs, graceMs, idleMs } = fold.settings;
  const inexact = [
    `The fold was repeated from offset ${start.readingsFrom} on (${began}): readings or journal before it are gone.`,
    'A device that was not heard since is forgotten: a late reading of it will not be known as late, and a redelivered one may count again.',
  ];
  // No part stays open for longer, so all that were open then have closed meanwhile.
  if (fold.clockMs - start.firstClockMs <= windowSizeMs + graceMs + idleMs && fold.openPartCount > 0) {
    inexact.push(`Windows that were open then miss what they held: of ${fold.openPartCount} open now some may count too little.`);
  }
  if (deviating > 0) inexact.push(`${deviating} of ${transactions} transactions came to other counts than the journal has.`);
  if (alerts !== null && alerts.taken + alerts.dropped + alerts.orphaned > 0) {
    inexact.push(
      `Alerts: ${alerts.taken} that are open were taken over from the alerts topic, ${alerts.dropped} that were never written are dropped, ${alerts.orphaned} open ones have no rule any more and will not end.`,
    );
  }
  return { ...report, inexact };
}
