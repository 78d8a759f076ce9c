import { PROGRESS_KEY, type Progress } from '../../src/aggregator/progress.ts';
import { type AggregatorWorld, TOPICS } from './aggregator-world.ts';
import { foldVerdict } from './fold-verdict.ts';
import type { JournalRecord } from './oracle/invariants.ts';
import type { AggregateRow, AlertRow } from './oracle/output-rows.ts';
import { decodeReading } from './simulated-process.ts';
import { newestByKey, stateDifferences } from './state-verdict.ts';
import type { PartitionDump } from './topic-dump.ts';

// What a story must have come to: the outputs of one sequential fold by the oracle (I1, I3, I5, I6, I8), its state byte by byte (I4), and
// the group's offset at the end of it (I2).

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
    journal: of(TOPICS.journal).map(asJson<JournalRecord>),
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
  const state = newestByKey(world.committed(TOPICS.state, busyPartition));
  const { nextOffset } = JSON.parse(state.get(PROGRESS_KEY)?.toString() ?? '{}') as Progress;
  return [
    ...foldVerdict({ partitions, abortedTransactions: 0 }, TOPICS.readings).violations,
    ...stateDifferences(state, busy, { partitions: world.partitions, readingsTopic: TOPICS.readings }),
    ...(nextOffset === world.logEnd ? [] : [`the log ends at ${world.logEnd}, and was folded up to ${nextOffset}`]),
    ...(world.committedOffset === nextOffset ? [] : [`I2: the group's offset is ${world.committedOffset}, the progress ${nextOffset}`]),
  ];
}
