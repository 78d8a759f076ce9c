// The invariants of exactly-once design that can be checked on what was read back from the output topics of one partition, without
// knowing the input. Each check returns the violations it found, in words; an empty list is a pass.

import type { ReadingOutcome } from '../../../src/core/outcome.ts';
import type { ProfilesStep } from './fold-steps.ts';
import type { AggregateRow, AlertRow } from './output-rows.ts';

/** One record of the journal, as JSON has it. */
export interface JournalRecord {
  readonly txnSeq: number;
  /** The transaction holds the input offsets from (inclusive) to (exclusive). */
  readonly from: number;
  readonly to: number;
  readonly P: number;
  /** Changes of profiles that this transaction applied. */
  readonly profiles?: ProfilesStep['changes'];
  readonly tick: boolean;
  readonly settingsId: string;
  readonly settings?: unknown;
  readonly counts: Readonly<Record<string, number>>;
}

const OUTCOMES: ReadonlySet<string> = new Set<ReadingOutcome>([
  'counted',
  'not_aggregatable',
  'duplicate',
  'undecodable',
  'misrouted',
  'future',
  'ancient',
  'state_limit',
]);

/** I3: txnSeq without gap or repeat. I8: P never decreases. And the slices join without gap or overlap. */
export function journalViolations(journal: readonly JournalRecord[], options: { firstTxnSeq?: number } = {}): string[] {
  const violations: string[] = [];
  const first = journal[0];
  if (first && options.firstTxnSeq !== undefined && first.txnSeq !== options.firstTxnSeq) {
    violations.push(`I3: the first txnSeq is ${first.txnSeq}, not ${options.firstTxnSeq}`);
  }
  journal.forEach((record, index) => {
    const at = `journal[${index}] txnSeq ${record.txnSeq}`;
    violations.push(...shapeViolations(record, at));
    const previous = journal[index - 1];
    if (!previous) return;
    if (record.txnSeq !== previous.txnSeq + 1) violations.push(`I3: ${at} comes after txnSeq ${previous.txnSeq}`);
    if (record.P < previous.P) violations.push(`I8: ${at} has P ${record.P}, before it was ${previous.P}`);
    if (record.from !== previous.to) violations.push(`I3: ${at} begins at ${record.from}, the one before ended at ${previous.to}`);
    if (record.settingsId !== previous.settingsId && (record.settings === undefined || record.from !== record.to)) {
      violations.push(`${at} runs settings ${record.settingsId} without a change of settings; before they were ${previous.settingsId}`);
    }
  });
  return violations;
}

function shapeViolations(record: JournalRecord, at: string): string[] {
  const violations: string[] = [];
  const counted = Object.values(record.counts).reduce((sum, n) => sum + n, 0);
  if (record.from > record.to) violations.push(`${at} ends at ${record.to}, before it begins at ${record.from}`);
  if (record.tick && record.from !== record.to) violations.push(`${at} is a tick and holds offsets ${record.from} to ${record.to}`);
  const isChange = record.settings !== undefined || record.profiles !== undefined;
  if (record.from === record.to && !record.tick && !isChange) violations.push(`${at} does nothing`);
  if (record.from !== record.to && record.profiles !== undefined) violations.push(`${at} changes profiles and holds readings`);
  if (record.from === record.to && counted !== 0) violations.push(`${at} holds no offset and counts ${counted} readings`);
  for (const outcome of Object.keys(record.counts)) if (!OUTCOMES.has(outcome)) violations.push(`${at} counts the outcome '${outcome}'`);
  return violations;
}

/** I5 against the journal: in every transaction, the outcomes add up to the records of the log between its offsets. */
export function outcomeCountViolations(journal: readonly JournalRecord[], logOffsets: readonly number[]): string[] {
  const violations: string[] = [];
  const offsets = [...logOffsets].sort((a, b) => a - b);
  let next = 0;
  for (const record of journal) {
    while (next < offsets.length && offsets[next]! < record.from) next += 1;
    const begin = next;
    while (next < offsets.length && offsets[next]! < record.to) next += 1;
    const counted = Object.values(record.counts).reduce((sum, n) => sum + n, 0);
    if (counted !== next - begin) {
      violations.push(
        `I5: txnSeq ${record.txnSeq} counts ${counted} outcomes; the log has ${next - begin} records in [${record.from}, ${record.to})`,
      );
    }
  }
  return violations;
}

/** The outcomes of a whole journal, added up. */
export function totalOutcomes(journal: readonly JournalRecord[]): Map<string, number> {
  const totals = new Map<string, number>();
  for (const { counts } of journal) for (const [outcome, n] of Object.entries(counts)) totals.set(outcome, (totals.get(outcome) ?? 0) + n);
  return totals;
}

/** I5: each (device, metric, windowStart, windowEnd, part) once. */
export function partViolations(rows: readonly AggregateRow[]): string[] {
  const seen = new Map<string, number>();
  const violations: string[] = [];
  rows.forEach((row, index) => {
    const key = JSON.stringify([row.deviceId, row.metric, row.windowStart, row.windowEnd, row.part]);
    const earlier = seen.get(key);
    if (earlier !== undefined) violations.push(`I5: rows ${earlier} and ${index} are the same part ${key}`);
    seen.set(key, index);
  });
  return violations;
}

/** I5: per device and metric, the sum of the rows' counts is the number of counted readings that have this metric. */
export function countViolations(
  rows: readonly AggregateRow[],
  counted: Iterable<{ readonly deviceId: string; readonly values: readonly (readonly [string, number])[] }>,
): string[] {
  const difference = new Map<string, number>();
  const add = (deviceId: string, metric: string, n: number) => {
    const key = JSON.stringify([deviceId, metric]);
    difference.set(key, (difference.get(key) ?? 0) + n);
  };
  for (const row of rows) add(row.deviceId, row.metric, row.count);
  for (const { deviceId, values } of counted) for (const [metric] of values) add(deviceId, metric, -1);
  return [...difference]
    .filter(([, n]) => n !== 0)
    .map(
      ([key, n]) =>
        `I5: ${key} has ${Math.abs(n)} readings ${n > 0 ? 'more in its parts than in the log' : 'in the log that are in no part'}`,
    );
}

/**
 * I6: the alerts of a device and rule alternate between RAISED and RESOLVED or EXPIRED of the same alert, with steps of its ladder in between,
 * numbered without a gap. A stale alert has a rule id of its own.
 */
export function alertViolations(alerts: readonly AlertRow[]): string[] {
  const violations: string[] = [];
  /** The last transition of what is raised. */
  const firing = new Map<string, AlertRow>();
  const seen = new Set<string>();
  alerts.forEach((row, index) => {
    const key = JSON.stringify([row.deviceId, row.ruleId]);
    const at = `I6: alerts[${index}] ${row.transition} of ${key}`;
    const before = firing.get(key);
    if (row.transition === 'RAISED') {
      if (before) violations.push(`${at} comes while ${before.alertId} is firing`);
      if (seen.has(row.alertId)) violations.push(`${at} raises ${row.alertId} a second time`);
      const state = row.ruleId.endsWith(':stale') ? 'STALE' : 'FIRING';
      if (row.transitionNumber !== 1 || row.state !== state || row.resolvedAt !== null)
        violations.push(`${at} is not a first, firing transition`);
      seen.add(row.alertId);
      firing.set(key, row);
      return;
    }
    const isStep = row.transition === 'ESCALATED' || row.transition === 'DEESCALATED';
    if (!before) violations.push(`${at} ${isStep ? 'changes' : 'ends'} nothing`);
    else if (before.alertId !== row.alertId)
      violations.push(`${at} ${isStep ? 'changes' : 'ends'} ${row.alertId}, but ${before.alertId} is firing`);
    else if (row.transitionNumber !== before.transitionNumber + 1)
      violations.push(`${at} has number ${row.transitionNumber} after ${before.transitionNumber}`);
    if (isStep) {
      if (row.state !== 'FIRING' || row.resolvedAt !== null) violations.push(`${at} is not a firing transition`);
      if (before) firing.set(key, row);
      return;
    }
    if (row.state !== 'RESOLVED' || row.resolvedAt === null) violations.push(`${at} is not a final transition`);
    firing.delete(key);
  });
  return violations;
}
