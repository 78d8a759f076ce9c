import { setTimeout } from 'node:timers/promises';
import { crc32c } from '../core/crc32c.ts';
import type { DeviceProfile } from '../core/device-profile.ts';
import type { FoldSettings } from '../core/fold-settings.ts';
import { PartitionFold } from '../core/partition-fold.ts';
import type { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { TopicPartition, Watermarks } from '../kafka/log-port.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import { NewestValues } from './newest-values.ts';
import {
  decodeProfile,
  decodeProgress,
  decodeSettings,
  PROFILE_KEY_PREFIX,
  PROGRESS_KEY,
  type Progress,
  SETTINGS_KEY,
  type SettingsRecord,
} from './progress.ts';
import { type RangeVerdict, readRange } from './read-range.ts';
import { type RoutedReading, routedReading } from './routed-reading.ts';
import { decodeDeviceState } from './state-codec.ts';

const LEADER_LAG_DEADLINE_MS = 10_000;
const LEADER_LAG_POLL_MS = 250;
const DEVICES_AT_ONCE = 2_000;
/** The first byte of keys that are no device ids. */
const NO_DEVICE = '$'.charCodeAt(0);

/** What the state topic says of a partition, up to the fence. */
export interface StoredState {
  readonly progress: Progress | null;
  readonly settings: SettingsRecord | null;
  /** Newest value per device, still encoded. */
  readonly devices: NewestValues;
  readonly profiles: ReadonlyMap<string, DeviceProfile>;
}

/** What reading back a partition needs. */
type StateSource = Pick<AggregatorContext, 'topics' | 'partitions' | 'decoder' | 'admin' | 'restore'>;

/** Reads the state partition, committed records only, up to and including the fence. */
export async function readStoredState(context: StateSource, partition: number, fenceOffset: number): Promise<StoredState> {
  const topic = context.topics.state;
  const devices = new NewestValues();
  const profiles = new Map<string, Buffer>();
  let progress: Buffer | null = null;
  let settings: Buffer | null = null;
  const { logStartOffset } = await watermarksOf(context, topic, partition);
  const onRecord = (reader: RecordReader): null => {
    const key = reader.buffer.toString('utf8', reader.keyStart, reader.keyEnd);
    const { buffer, valueStart, valueEnd } = reader;
    if (reader.buffer[reader.keyStart] !== NO_DEVICE) {
      if (valueStart < 0) devices.delete(key);
      else devices.set(key, buffer, valueStart, valueEnd);
      return null;
    }
    const value = valueStart < 0 ? null : Buffer.from(buffer.subarray(valueStart, valueEnd));
    if (key === PROGRESS_KEY) progress = value;
    else if (key === SETTINGS_KEY) settings = value;
    else if (key.startsWith(PROFILE_KEY_PREFIX)) {
      if (value === null) profiles.delete(key);
      else profiles.set(key, value);
    }
    return null;
  };
  await readRange(context.restore, { topic, partition }, { from: logStartOffset, to: fenceOffset + 1, onRecord });
  return {
    progress: progress === null ? null : decodeProgress(progress),
    settings: settings === null ? null : decodeSettings(settings),
    devices,
    profiles: new Map([...profiles].map(([key, value]) => [key.slice(PROFILE_KEY_PREFIX.length), decodeProfile(value, key)])),
  };
}

/** Itself, and the marker of its abort. */
const RECORDS_OF_A_FENCE = 2;

/**
 * Refuses to begin at the log's start when anything says that this partition was folded before: its outputs would be written twice.
 * IngotError `STATE_LOST`. Fences and aborted transactions leave traces in the log too, but none that a committed reader sees.
 * What a later owner has written since our fence says nothing about what was there before: IngotError `PARTITION_TAKEN_OVER`.
 */
export async function assertFirstStart(context: AggregatorContext, partition: number, fenceOffset: number): Promise<void> {
  const { topics, groupId } = context;
  const traces: string[] = [];
  for (const topic of [topics.state, topics.journal, topics.aggregates]) {
    if (await wasWritten(context, { topic, partition })) traces.push(`${topic}-${partition} holds or has held records`);
  }
  const committed = (await context.admin.committedOffsets(groupId, topics.readings))[partition] ?? null;
  if (committed !== null) traces.push(`group ${groupId} has committed offset ${committed}`);
  if (traces.length === 0) return;
  const { highWatermark } = await watermarksOf(context, topics.state, partition);
  if (highWatermark > fenceOffset + RECORDS_OF_A_FENCE) {
    throw new IngotError('PARTITION_TAKEN_OVER', `Another process has fenced ${topics.state}-${partition} since this one did.`);
  }
  throw new IngotError(
    'STATE_LOST',
    `There is no progress record for partition ${partition} in ${topics.state}, but ${traces.join(', and ')}. The state was lost: 'ingot rebuild-state' makes it anew from readings and journal; or restore the topic, or use new topics.`,
  );
}

/** Whether a committed record is, or was before its deletion, in the partition. */
export async function wasWritten(context: StateSource, at: TopicPartition): Promise<boolean> {
  const { logStartOffset, highWatermark } = await watermarksOf(context, at.topic, at.partition);
  if (logStartOffset > 0) return true;
  let found = false;
  const onRecord = (): 'enough' => {
    found = true;
    return 'enough';
  };
  await readRange(context.restore, at, { from: 0, to: highWatermark, onRecord });
  return found;
}

/**
 * Where to go on: C, checked against the log as it is now. IngotErrors `LOG_TRUNCATED`, `LOG_REPLACED`.
 * A partition whose folded records were all deleted by retention, and nothing after them, goes on (docs/decisions/0003).
 */
export async function checkedPosition(
  context: AggregatorContext,
  partition: number,
  progress: Progress,
): Promise<{ from: number; lost: number }> {
  const topic = context.topics.readings;
  const { nextOffset, lastFolded } = progress;
  const log = await watermarksReaching(context, partition, nextOffset);
  if (nextOffset > log.highWatermark) {
    throw replaced(topic, partition, `it ends at ${log.highWatermark}, but was folded up to ${nextOffset}`);
  }
  if (nextOffset < log.logStartOffset) {
    if (context.acceptLoss) return { from: log.logStartOffset, lost: log.logStartOffset - nextOffset };
    throw new IngotError(
      'LOG_TRUNCATED',
      `${topic}-${partition} begins at ${log.logStartOffset}, but was folded only up to ${nextOffset}: up to ${log.logStartOffset - nextOffset} readings are gone. --accept-loss goes on after the gap.`,
    );
  }
  if (lastFolded === null || lastFolded.offset < log.logStartOffset) return { from: nextOffset, lost: 0 };
  let found = '';
  const onRecord = (reader: RecordReader): null => {
    const crc = reader.valueStart < 0 ? 0 : crc32c(reader.buffer, reader.valueStart, reader.valueEnd);
    found = `${reader.offset} ${reader.timestampMs} ${crc}`;
    return null;
  };
  await readRange(context.restore, { topic, partition }, { from: lastFolded.offset, to: lastFolded.offset + 1, onRecord });
  const expected = `${lastFolded.offset} ${lastFolded.appendTimeMs} ${lastFolded.crc}`;
  if (found !== expected) throw replaced(topic, partition, `the record at offset ${lastFolded.offset} is not the one that was folded`);
  return { from: nextOffset, lost: 0 };
}

/** A fold with the stored devices and clock, under the settings that they were made with. */
export async function foldOf(
  context: Pick<AggregatorContext, 'topics' | 'uuid'>,
  partition: number,
  stored: StoredState,
  settings: FoldSettings,
): Promise<PartitionFold> {
  const fold = new PartitionFold({ topic: context.topics.readings, partition, settings, uuid: context.uuid });
  for (const [deviceId, profile] of stored.profiles) fold.restoreProfile(deviceId, profile);
  let restored = 0;
  for (const [, chunk, start, end] of stored.devices.entries()) {
    fold.restoreDevice(decodeDeviceState(chunk, start, end));
    restored += 1;
    // Heartbeats go out in between.
    if (restored % DEVICES_AT_ONCE === 0) await nextTurn();
  }
  if (stored.progress !== null) fold.restoreClock(stored.progress.clockMs);
  return fold;
}

/** What else waits for this thread comes first. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Fills the table of identities from the records before the position. */
export async function restoreIdentities(context: StateSource, partition: number, fold: PartitionFold, position: number): Promise<void> {
  const topic = context.topics.readings;
  const { logStartOffset } = await watermarksOf(context, topic, partition);
  const from = Math.max(logStartOffset, position - fold.settings.duplicateOffsets);
  const enter = (reader: RecordReader, routed: RoutedReading): void => {
    if (routed.kind === 'value') fold.restoreIdentity(routed.value.identity, reader.offset, reader.timestampMs);
  };
  const onRecord = (reader: RecordReader): RangeVerdict => {
    const routed = routedReading(reader, context, partition);
    if (routed.kind === 'unknown_schema') return withSchema(reader, routed.schemaId);
    enter(reader, routed);
    return null;
  };
  // Loaded where it is met: the decoder keeps so many schemas and no more, and a range may have been written under more than that.
  const withSchema = async (reader: RecordReader, schemaId: number): Promise<null> => {
    await context.decoder.load(schemaId);
    enter(reader, routedReading(reader, context, partition));
    return null;
  };
  await readRange(context.restore, { topic, partition }, { from, to: position, onRecord });
}

async function watermarksOf(context: Pick<AggregatorContext, 'admin'>, topic: string, partition: number): Promise<Watermarks> {
  const marks = (await context.admin.watermarks(topic))[partition];
  if (marks === undefined) throw new IngotError('PARTITIONS_CHANGED', `${topic} has no partition ${partition}.`);
  return marks;
}

/** The watermarks once the high one has reached the offset; a new leader's may lag behind for a moment. */
async function watermarksReaching(context: AggregatorContext, partition: number, offset: number): Promise<Watermarks> {
  const deadlineMs = performance.now() + LEADER_LAG_DEADLINE_MS;
  for (;;) {
    const log = await watermarksOf(context, context.topics.readings, partition);
    if (log.highWatermark >= offset || performance.now() > deadlineMs) return log;
    await setTimeout(LEADER_LAG_POLL_MS);
  }
}

function replaced(topic: string, partition: number, what: string): IngotError {
  return new IngotError('LOG_REPLACED', `${topic}-${partition} is not the log that the state was made from: ${what}.`);
}
