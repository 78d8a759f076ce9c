import type { ReadingOutcome } from '../../src/core/outcome.ts';
import { ALERT_IGNORED_FIELDS, firstDifference, firstTotalDifference } from './oracle/compare.ts';
import { type FoldOracle, foldAll } from './oracle/fold-oracle.ts';
import type { OracleRule, OracleSettings, RecordStep } from './oracle/fold-steps.ts';
import { type CountedReading, totalsOfParts, totalsOfReadings } from './oracle/group-by-oracle.ts';
import { alertViolations, countViolations, journalViolations, outcomeCountViolations, partViolations } from './oracle/invariants.ts';
import { stepsOfJournal } from './oracle/journal-steps.ts';
import { metricValuesOf } from './oracle/metric-values.ts';
import type { LogDump, PartitionDump } from './topic-dump.ts';

// Judges a dump of the topics: what came out must be what one sequential fold of the log and its journal gives (I1), exactly and in order,
// and keep the invariants I3, I5, I6 and I8 of exactly-once.md. The fold is that of the oracle.

export interface FoldVerdict {
  /** In words; empty when all is well. */
  readonly violations: readonly string[];
  readonly outcomes: ReadonlyMap<ReadingOutcome, number>;
  /** Alerts that were raised, and those of them that have ended. Without a violation each was raised once, and ended once if at all (I6). */
  readonly episodes: { readonly raised: number; readonly ended: number };
  /** Every reading of the log is folded, and every window is closed. */
  readonly isSettled: boolean;
}

/** The settings as the journal has them: those of the product, in JSON. */
interface JournaledSettings {
  readonly windowSizeMs: number;
  readonly graceMs: number;
  readonly idleMs: number;
  readonly batchSize: number;
  readonly skewMs: number;
  readonly pastLimitMs: number | null;
  readonly openPartsPerDeviceMax: number;
  readonly devicesPerPartitionMax: number;
  readonly duplicateOffsets: number;
  readonly rules: readonly OracleRule[];
}

function oracleSettings(journaled: unknown): OracleSettings {
  const {
    windowSizeMs: windowMs,
    openPartsPerDeviceMax: maxOpenParts,
    devicesPerPartitionMax: maxDevices,
    ...rest
  } = journaled as JournaledSettings;
  const { graceMs, idleMs, batchSize, skewMs, pastLimitMs, duplicateOffsets, rules } = rest;
  return { windowMs, graceMs, idleMs, batchSize, skewMs, pastLimitMs, maxOpenParts, maxDevices, duplicateOffsets, rules };
}

export function foldVerdict(dump: LogDump, readingsTopic: string): FoldVerdict {
  const outcomes = new Map<ReadingOutcome, number>();
  const violations: string[] = [];
  let isSettled = true;
  for (const partition of dump.partitions) {
    const judged = partitionVerdict(partition, { partitionCount: dump.partitions.length, readingsTopic });
    violations.push(...judged.violations.map((text) => `partition ${partition.partition}: ${text}`));
    for (const outcome of judged.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    isSettled &&= judged.isSettled;
  }
  return { violations, outcomes, episodes: episodesOf(dump), isSettled };
}

function episodesOf({ partitions }: LogDump): FoldVerdict['episodes'] {
  const rows = partitions.flatMap(({ alerts }) => alerts);
  const ended = rows.filter(({ transition }) => transition === 'RESOLVED' || transition === 'EXPIRED');
  return { raised: new Set(rows.map(({ alertId }) => alertId)).size, ended: new Set(ended.map(({ alertId }) => alertId)).size };
}

interface PartitionVerdict {
  readonly violations: readonly string[];
  readonly outcomes: readonly ReadingOutcome[];
  readonly isSettled: boolean;
}

function partitionVerdict(dump: PartitionDump, of: { partitionCount: number; readingsTopic: string }): PartitionVerdict {
  const { partition, journal, readings } = dump;
  if (journal.length === 0) return { violations: ['the journal is empty'], outcomes: [], isSettled: false };
  const records = readings.map(
    ({ offset, timestampMs: appendTime, key, headers, reading }): RecordStep => ({
      kind: 'record',
      offset,
      appendTime,
      key,
      headers,
      reading,
    }),
  );
  const { settings, steps } = stepsOfJournal(journal, records, oracleSettings);
  const expected = foldAll({ partition, ...of, settings }, steps);
  const counted = countedReadings(dump, expected);
  const inNoPart = countViolations(dump.aggregates, counted);
  const violations = [
    ...journalViolations(journal, { firstTxnSeq: 1 }),
    ...outcomeCountViolations(
      journal,
      readings.map(({ offset }) => offset),
    ),
    ...outputDifferences(dump, expected),
    ...journaledOutcomeDifferences(dump, expected),
    ...partViolations(dump.aggregates),
    ...alertViolations(dump.alerts),
    ...inNoPart,
  ];
  if (inNoPart.length === 0) violations.push(...totalDifferences(dump, counted));
  const end = (readings.at(-1)?.offset ?? -1) + 1;
  const isSettled = journal.at(-1)!.to >= end && inNoPart.length === 0;
  // Beyond the last record there may be markers of transactions.
  if (journal.at(-1)!.to < end) violations.push(`the log ends at ${end}, and was folded up to ${journal.at(-1)!.to}`);
  return { violations, outcomes: [...expected.outcomes.values()], isSettled };
}

/** I1. */
function outputDifferences({ aggregates, alerts, deadLetters, journal }: PartitionDump, expected: FoldOracle): string[] {
  const refused = deadLetters.map(({ headers }) => ({ offset: Number(headers['source-offset']), reason: headers['failure-reason'] }));
  const P = journal.at(-1)!.P;
  return [
    firstDifference(expected.aggregates, aggregates, { name: 'I1: aggregates' }),
    firstDifference(expected.alerts, alerts, { name: 'I1: alerts', ignore: ALERT_IGNORED_FIELDS }),
    firstDifference(expected.deadLetters, refused, { name: 'I1: readings.dlq' }),
    expected.P === P ? null : `I1: the journal ends with P ${P}, the fold with ${expected.P}`,
  ].filter((difference) => difference !== null);
}

/** I5: every transaction counts exactly the outcomes of the readings that it holds. */
function journaledOutcomeDifferences({ journal, readings }: PartitionDump, expected: FoldOracle): string[] {
  const wanted = journal.map((entry) => {
    const within = readings.filter(({ offset }) => offset >= entry.from && offset < entry.to);
    const byOutcome = Map.groupBy(within, ({ offset }) => expected.outcomes.get(offset)!);
    return { txnSeq: entry.txnSeq, counts: Object.fromEntries([...byOutcome].map(([outcome, list]) => [outcome, list.length])) };
  });
  const found = journal.map(({ txnSeq, counts }) => ({ txnSeq, counts }));
  const difference = firstDifference(wanted, found, { name: 'I5: outcomes by transaction' });
  return difference === null ? [] : [difference];
}

/** What was counted, each with the window size that was in force when it was folded. */
function countedReadings({ journal, readings }: PartitionDump, expected: FoldOracle): CountedReading[] {
  let windowMs = 0;
  return journal.flatMap((entry) => {
    if (entry.settings !== undefined) ({ windowMs } = oracleSettings(entry.settings));
    return readings
      .filter(({ offset }) => offset >= entry.from && offset < entry.to && expected.outcomes.get(offset) === 'counted')
      .map(({ offset, reading }) => {
        const { deviceId, eventTime } = reading!;
        return { deviceId, offset, eventTime, windowMs, values: metricValuesOf(reading!) };
      });
  });
}

/** The second oracle: windows by grouping, without any order. */
function totalDifferences({ aggregates }: PartitionDump, counted: readonly CountedReading[]): string[] {
  const difference = firstTotalDifference(totalsOfReadings(counted), totalsOfParts(aggregates), 'I1: totals of windows');
  return difference === null ? [] : [difference];
}
