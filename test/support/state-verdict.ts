import { nameUuid } from '../../src/aggregator/name-uuid.ts';
import { encodeProfile, PROFILE_KEY_PREFIX, PROGRESS_KEY, type Progress, SETTINGS_KEY } from '../../src/aggregator/progress.ts';
import { encodeDeviceState } from '../../src/aggregator/state-codec.ts';
import type { FoldSettings } from '../../src/core/fold-settings.ts';
import { PartitionFold } from '../../src/core/partition-fold.ts';
import type { JournalRecord } from './oracle/invariants.ts';
import { partitionOfKey } from './oracle/murmur2.ts';
import { replayedReading } from './replayed-reading.ts';
import type { PartitionDump } from './topic-dump.ts';

// I4: what the state topic holds of a partition, byte by byte, is the state of the product's own fold of the log and its journal, in one go
// from the beginning.

type JournalEntry = JournalRecord & { readonly settings?: FoldSettings };

export interface StateOf {
  /** How many partitions there are. */
  readonly partitions: number;
  readonly readingsTopic: string;
}

/** What a compacted topic comes to: the newest value of each key, tombstones taken away. */
export function newestByKey(records: Iterable<{ readonly key: string | null; readonly raw: Buffer | null }>): Map<string, Buffer> {
  const newest = new Map<string, Buffer>();
  for (const { key, raw } of records) {
    if (raw === null) newest.delete(key!);
    else newest.set(key!, raw);
  }
  return newest;
}

/** In words; empty when all is well. `stored` are the newest values of the state partition by key. */
export function stateDifferences(stored: ReadonlyMap<string, Buffer>, dump: PartitionDump, of: StateOf): string[] {
  const fold = foldOfJournal(dump, of);
  const expected = new Map([...fold.allDevices()].map((device) => [device.deviceId, encodeDeviceState(device)]));
  for (const [deviceId, profile] of fold.allProfiles) expected.set(PROFILE_KEY_PREFIX + deviceId, encodeProfile(profile));
  const found = new Map(stored);
  const progress = JSON.parse(found.get(PROGRESS_KEY)!.toString()) as Progress;
  for (const key of [PROGRESS_KEY, SETTINGS_KEY]) found.delete(key);
  const differences: string[] = [];
  for (const key of new Set([...expected.keys(), ...found.keys()])) {
    const [wanted, value] = [expected.get(key)?.toString('hex'), found.get(key)?.toString('hex')];
    if (wanted !== value) differences.push(`I4: the state of ${key} is ${value}, not ${wanted}`);
  }
  if (progress.clockMs !== fold.clockMs) differences.push(`I4: the clock is ${progress.clockMs}, not ${fold.clockMs}`);
  return differences;
}

function foldOfJournal(dump: PartitionDump, { partitions, readingsTopic: topic }: StateOf): PartitionFold {
  const { partition, readings } = dump;
  const journal = dump.journal as readonly JournalEntry[];
  const first = journal[0]!;
  const fold = new PartitionFold({ topic, partition, settings: first.settings!, uuid: nameUuid });
  let { settingsId } = first;
  for (const entry of journal) {
    if (entry.settingsId !== settingsId) fold.changeSettings(entry.settings!);
    settingsId = entry.settingsId;
    for (const record of readings) {
      if (record.offset < entry.from || record.offset >= entry.to) continue;
      const { offset, timestampMs, key, headers, reading } = record;
      if (reading === null) fold.reject(offset, timestampMs, 'undecodable');
      else if (key === reading.deviceId && partitionOfKey(key, partitions) === partition) {
        const replayed = replayedReading(reading, { appendTime: timestampMs, headers });
        fold.reading(offset, timestampMs, replayed.reading, replayed.firstAppendTimeMs);
      } else fold.reject(offset, timestampMs, 'misrouted');
    }
    if (entry.profiles !== undefined) fold.changeProfiles(entry.profiles);
    if (entry.tick) fold.tick(entry.P);
  }
  return fold;
}
