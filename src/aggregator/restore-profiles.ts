import type { DeviceProfile, ProfileChange } from '../core/device-profile.ts';
import { canonicalText } from '../core/fold-settings.ts';
import type { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { TopicPartition } from '../kafka/log-port.ts';
import * as events from '../ops/aggregator-events.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import { type SaidOfDevice, saidOfDevice } from './profile-decoding.ts';
import type { TakenProfiles } from './profile-feed.ts';
import { type RangeVerdict, readRange } from './read-range.ts';

// What was said of devices while nobody folded their partition.

/**
 * The changes since the position up to which profiles were applied. When the devices topic no longer holds that position, because it
 * is a new one or was emptied, it is read whole, and what it does not name any more is taken away.
 */
export async function missedProfiles(
  context: AggregatorContext,
  partition: number,
  known: { profiles: ReadonlyMap<string, DeviceProfile>; devicesOffset: number },
): Promise<TakenProfiles> {
  const at = { topic: context.topics.devices, partition };
  const { logStartOffset, highWatermark } = (await context.admin.watermarks(at.topic))[partition]!;
  const isContinued = known.devicesOffset >= logStartOffset && known.devicesOffset <= highWatermark;
  const newest = new Map<string, DeviceProfile | null>();
  if (!isContinued) for (const deviceId of known.profiles.keys()) newest.set(deviceId, null);
  const note = (said: SaidOfDevice): void => {
    if (said.kind === 'change') newest.set(said.deviceId, said.profile);
  };
  const onRecord = (reader: RecordReader): RangeVerdict => {
    const said = saidOfDevice(reader, context.profileDecoder, partition);
    if (said.kind === 'unknown_schema') return withSchema(reader, said.schemaId);
    note(said);
    return null;
  };
  const withSchema = async (reader: RecordReader, schemaId: number): Promise<null> => {
    await context.profileDecoder.load(schemaId);
    note(saidOfDevice(reader, context.profileDecoder, partition));
    return null;
  };
  await readReadable(context, at, { from: isContinued ? known.devicesOffset : logStartOffset, to: highWatermark, onRecord });
  return { changes: changesOf(known.profiles, newest), nextOffset: highWatermark };
}

/**
 * As `readRange`, but over batches that cannot be read: anybody may write profiles, and the readings do not stop for that. Rejects with no
 * error of the log that would mean a decision if the readings had it.
 */
async function readReadable(context: AggregatorContext, at: TopicPartition, range: Parameters<typeof readRange>[2]): Promise<void> {
  for (let { from } = range; from < range.to; ) {
    try {
      return await readRange(context.restore, at, { ...range, from });
    } catch (error) {
      if (!(error instanceof IngotError)) throw error;
      if (error.code === 'OFFSET_OUT_OF_RANGE') throw new Error(`${at.topic}-${at.partition} has changed meanwhile`, { cause: error });
      if (error.code !== 'CORRUPT_BATCH' && error.code !== 'COMPRESSED_INPUT') throw error;
      const { nextOffset } = error.details;
      from = Math.max(from + 1, typeof nextOffset === 'number' ? nextOffset : 0);
      events.profileBatchRefused({ partition: at.partition, nextOffset: from, error: error.message });
    }
  }
}

/** Bounds what a partition keeps in memory and in its state: about 1 KiB each, at most 32 KiB (core/device-profile-record.ts). */
const PROFILES_PER_PARTITION_MAX = 100_000;

/** Those that change something and for which there is room, in the order of device id. */
export function changesOf(
  known: ReadonlyMap<string, DeviceProfile>,
  newest: Iterable<readonly [string, DeviceProfile | null]>,
): ProfileChange[] {
  const text = (profile: DeviceProfile | null | undefined): string => canonicalText(profile ?? null);
  const changed = [...newest].filter(([deviceId, profile]) => text(profile) !== text(known.get(deviceId)));
  let room = PROFILES_PER_PARTITION_MAX - known.size;
  const isRefused = ([deviceId, profile]: ProfileChange): boolean => {
    if (profile === null) room += 1;
    else if (!known.has(deviceId)) room -= 1;
    return profile !== null && !known.has(deviceId) && room < 0;
  };
  const sorted = changed.sort(([a], [b]) => (a < b ? -1 : 1));
  const refused = new Set(sorted.filter(isRefused));
  if (refused.size === 0) return sorted;
  events.profilesRefused(refused.size, PROFILES_PER_PARTITION_MAX);
  return sorted.filter((change) => !refused.has(change));
}
