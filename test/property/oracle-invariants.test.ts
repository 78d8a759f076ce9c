// Each check of the invariants accepts a sound read-back and finds the fault that it is there for.

import { describe, expect, test } from 'vitest';
import { foldAll } from '../support/oracle/fold-oracle.ts';
import type { OracleSettings, RecordStep } from '../support/oracle/fold-steps.ts';
import {
  alertViolations,
  countViolations,
  type JournalRecord,
  journalViolations,
  outcomeCountViolations,
  partViolations,
  totalOutcomes,
} from '../support/oracle/invariants.ts';
import { stepsOfJournal } from '../support/oracle/journal-steps.ts';
import { plainReading } from '../support/oracle/plain-reading.ts';

const settings: OracleSettings = {
  windowMs: 1000,
  graceMs: 0,
  idleMs: 1000,
  batchSize: 0,
  skewMs: 0,
  pastLimitMs: null,
  maxOpenParts: 10,
  maxDevices: 10,
  duplicateOffsets: 10,
  rules: [
    {
      id: 'hot',
      version: 1,
      metric: 'temperature',
      direction: 'above',
      threshold: 100,
      deadband: 0,
      forMs: 0,
      offDelayMs: 0,
      severity: 'CRITICAL',
      unit: '',
      labels: {},
      levels: [],
      staleAfterMs: null,
    },
  ],
};

const entry = (txnSeq: number, from: number, to: number, more: Partial<JournalRecord> = {}): JournalRecord => ({
  txnSeq,
  from,
  to,
  P: 1000 * txnSeq,
  tick: false,
  settingsId: 's1',
  counts: from === to ? {} : { counted: to - from },
  ...more,
});

const journal: JournalRecord[] = [
  entry(0, 0, 0, { settings }),
  entry(1, 0, 2),
  entry(2, 2, 2, { tick: true }),
  entry(3, 2, 2, { settings: { ...settings, windowMs: 2000 }, settingsId: 's2' }),
  entry(4, 2, 5, { settingsId: 's2', counts: { counted: 1, duplicate: 1 } }),
];

const withEntry = (index: number, change: Partial<JournalRecord>) =>
  journal.map((record, at) => (at === index ? { ...record, ...change } : record));

/** Offset 3 is a gap, as transactions leave them. */
const temperatures = new Map([
  [0, 101],
  [1, 102],
  [2, 20],
  [4, 105],
]);
const records: RecordStep[] = [...temperatures].map(([offset, temperature]) => ({
  kind: 'record',
  offset,
  appendTime: 500 * offset,
  key: 'd1',
  reading: plainReading({ deviceId: 'd1', eventTime: 500 * offset, temperature }),
}));

describe('the journal', () => {
  test('a sound one has no violation', () => {
    expect(journalViolations(journal, { firstTxnSeq: 0 })).toEqual([]);
    expect(outcomeCountViolations(journal, [0, 1, 2, 4, 5])).toEqual([]);
    expect(totalOutcomes(journal)).toEqual(
      new Map([
        ['counted', 3],
        ['duplicate', 1],
      ]),
    );
  });

  test.each([
    ['a gap of txnSeq', journal.slice(0, 2).concat(journal.slice(3)), 'I3: journal[2] txnSeq 3 comes after txnSeq 1'],
    ['a repeat of txnSeq', withEntry(2, { txnSeq: 1 }), 'I3: journal[2] txnSeq 1 comes after txnSeq 1'],
    ['a P that goes back', withEntry(4, { P: 10 }), 'I8: journal[4] txnSeq 4 has P 10, before it was 3000'],
    ['a gap of offsets', withEntry(4, { from: 3 }), 'I3: journal[4] txnSeq 4 begins at 3, the one before ended at 2'],
    ['a tick with records', withEntry(1, { tick: true }), 'journal[1] txnSeq 1 is a tick and holds offsets 0 to 2'],
    ['an unknown outcome', withEntry(1, { counts: { lost: 2 } }), "journal[1] txnSeq 1 counts the outcome 'lost'"],
    ['settings changed in passing', withEntry(4, { settingsId: 's3' }), 'journal[4] txnSeq 4 runs settings s3'],
    ['a transaction without content', withEntry(2, { tick: false }), 'journal[2] txnSeq 2 does nothing'],
  ])('%s is found', (_name, faulty, message) => {
    expect(journalViolations(faulty).join('\n')).toContain(message);
  });

  test('a late start and a wrong count are found', () => {
    expect(journalViolations(journal.slice(1), { firstTxnSeq: 0 })).toEqual(['I3: the first txnSeq is 1, not 0']);
    expect(outcomeCountViolations(journal, [0, 1, 2, 3, 4])).toEqual(['I5: txnSeq 4 counts 2 outcomes; the log has 3 records in [2, 5)']);
  });

  test('gives the steps in the order in which they were folded', () => {
    const { steps, settings: initial } = stepsOfJournal(journal, records, (journaled) => journaled as OracleSettings);
    expect(initial.windowMs).toBe(1000);
    expect(steps.map((step) => (step.kind === 'record' ? step.offset : step.kind))).toEqual([0, 1, 'tick', 'settings', 2, 4]);
    expect(() => stepsOfJournal(journal.slice(1), records, () => settings)).toThrow('does not begin with settings');
  });
});

describe('the outputs', () => {
  const { aggregates, alerts } = foldAll({ partition: 0, partitionCount: 1, settings }, [...records, { kind: 'tick', P: 1e9 }]);
  const counted = records.map(() => ({ deviceId: 'd1', values: [['temperature', 1]] as const }));

  test('of a fold have no violation', () => {
    expect(partViolations(aggregates)).toEqual([]);
    expect(countViolations(aggregates, counted)).toEqual([]);
    expect(alerts.map(({ transition }) => transition)).toEqual(['RAISED', 'RESOLVED', 'RAISED', 'EXPIRED']);
    expect(alertViolations(alerts)).toEqual([]);
  });

  test('a part written twice is found', () => {
    expect(partViolations([...aggregates, aggregates[0]!])[0]).toContain('I5: rows 0 and 3 are the same part');
  });

  test('a reading lost or counted twice is found', () => {
    expect(countViolations(aggregates.slice(1), counted)).toEqual([
      'I5: ["d1","temperature"] has 2 readings in the log that are in no part',
    ]);
    expect(countViolations(aggregates, counted.slice(1))).toEqual([
      'I5: ["d1","temperature"] has 1 readings more in its parts than in the log',
    ]);
  });

  test.each([
    ['RAISED twice', [0, 0], 'comes while'],
    ['RAISED again with the same id', [0, 1, 0], 'a second time'],
    ['RESOLVED of nothing', [1], 'ends nothing'],
    ['RESOLVED of another alert', [0, 3], 'is firing'],
  ])('%s is found', (_name, indexes, message) => {
    expect(alertViolations(indexes.map((index) => alerts[index]!)).join('\n')).toContain(message);
  });

  test('a wrong transition number or state is found', () => {
    expect(alertViolations([{ ...alerts[0]!, transitionNumber: 2 }])[0]).toContain('is not a first, firing transition');
    expect(alertViolations([alerts[0]!, { ...alerts[1]!, transitionNumber: 3 }])[0]).toContain('has number 3 after 1');
    expect(alertViolations([alerts[0]!, { ...alerts[1]!, state: 'FIRING' }])[0]).toContain('is not a final transition');
  });
});
