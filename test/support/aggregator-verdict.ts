import { nameUuid } from '../../src/aggregator/name-uuid.ts';
import { encodeProfile, PROFILE_KEY_PREFIX, PROGRESS_KEY, type Progress, SETTINGS_KEY } from '../../src/aggregator/progress.ts';
import { encodeDeviceState } from '../../src/aggregator/state-codec.ts';
import type { FoldSettings } from '../../src/core/fold-settings.ts';
import { PartitionFold } from '../../src/core/partition-fold.ts';
import { type AggregatorWorld, TOPICS } from './aggregator-world.ts';
import { foldVerdict } from './fold-verdict.ts';
import type { JournalRecord } from './oracle/invariants.ts';
import { partitionOfKey } from './oracle/murmur2.ts';
import type { AggregateRow, AlertRow } from './oracle/output-rows.ts';
import { replayedReading } from './replayed-reading.ts';
import { decodeReading } from './simulated-process.ts';
import type { DumpedReading, PartitionDump } from './topic-dump.ts';

// What a story must have come to: the outputs of one sequential fold by the oracle (I1, I3, I5, I6, I8), its state byte by byte (I4), and
// the group's offset at the end of it (I2).

type JournalEntry = JournalRecord & { readonly settings?: FoldSettings };

const asJson = <Row>({ value }: { readonly value: string | null }): Row => JSON.parse(value!) as Row;

function dumpPartition(world: AggregatorWorld, partition: number): PartitionDump {
  const of = (topic: string) => world.committed(topic, partition);
  const topicRecord = (record: ReturnType<typeof of>[number], topic: string) => ({
    ...record,
    topic,
    partition,
    value: record.raw ?? Buffer.alloc(0),
    hasValue: record.raw !== null,
  });
  return {
    partition,
    readings: of(TOPICS.readings).map((record) => ({ ...topicRecord(record, TOPICS.readings), reading: decodeReading(record.raw!) })),
    journal: of(TOPICS.journal).map(asJson<JournalEntry>),
    aggregates: of(TOPICS.aggregates).map(asJson<AggregateRow>),
    alerts: of(TOPICS.alerts).map(asJson<AlertRow>),
    deadLetters: of(TOPICS.readingsDlq).map((record) => topicRecord(record, TOPICS.readingsDlq)),
    bridgeDeadLetters: [],
  };
}

/** In words; empty when all is well. */
export function storyViolations(world: AggregatorWorld, busyPartition: number): string[] {
  const partitions = Array.from({ length: world.partitions }, (_, partition) => dumpPartition(world, partition));
  const busy = partitions[busyPartition]!;
  const failures = world.processes.filter(({ failure }) => failure !== null).map(({ name, failure }) => `${name} gave up: ${failure}`);
  if (failures.length > 0) return failures;
  const progress = latestState(world, busyPartition).get(PROGRESS_KEY);
  const { nextOffset } = JSON.parse(progress?.toString() ?? '{}') as Progress;
  return [
    ...foldVerdict({ partitions, abortedTransactions: 0 }, TOPICS.readings).violations,
    ...stateDifferences(world, busy),
    ...(nextOffset === world.logEnd ? [] : [`the log ends at ${world.logEnd}, and was folded up to ${nextOffset}`]),
    ...(world.committedOffset === nextOffset ? [] : [`I2: the group's offset is ${world.committedOffset}, the progress ${nextOffset}`]),
  ];
}

/** The state topic after compaction. */
function latestState(world: AggregatorWorld, partition: number): Map<string, Buffer> {
  const latest = new Map<string, Buffer>();
  for (const { key, raw } of world.committed(TOPICS.state, partition)) {
    if (raw === null) latest.delete(key!);
    else latest.set(key!, raw);
  }
  return latest;
}

/** I4: the state as written against that of the product's own fold, in one go from the beginning. */
function stateDifferences(world: AggregatorWorld, { partition, journal, readings }: PartitionDump): string[] {
  const fold = foldOfJournal(journal as readonly JournalEntry[], readings, { partition, partitions: world.partitions });
  const expected = new Map([...fold.allDevices()].map((device) => [device.deviceId, encodeDeviceState(device)]));
  for (const [deviceId, profile] of fold.allProfiles) expected.set(PROFILE_KEY_PREFIX + deviceId, encodeProfile(profile));
  const found = latestState(world, partition);
  const progress = JSON.parse(found.get(PROGRESS_KEY)!.toString()) as Progress;
  for (const key of [PROGRESS_KEY, SETTINGS_KEY]) found.delete(key);
  const differences: string[] = [];
  for (const deviceId of new Set([...expected.keys(), ...found.keys()])) {
    const [wanted, stored] = [expected.get(deviceId)?.toString('hex'), found.get(deviceId)?.toString('hex')];
    if (wanted !== stored) differences.push(`I4: the state of ${deviceId} is ${stored}, not ${wanted}`);
  }
  if (progress.clockMs !== fold.clockMs) differences.push(`I4: the clock is ${progress.clockMs}, not ${fold.clockMs}`);
  return differences;
}

function foldOfJournal(
  journal: readonly JournalEntry[],
  readings: readonly DumpedReading[],
  { partition, partitions }: { partition: number; partitions: number },
): PartitionFold {
  const first = journal[0]!;
  const fold = new PartitionFold({ topic: TOPICS.readings, partition, settings: first.settings!, uuid: nameUuid });
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
