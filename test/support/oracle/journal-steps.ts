// Turns the log and the journal of one partition, as they were read back, into the steps that the oracle folds (I1).

import type { OracleSettings, OracleStep, RecordStep } from './fold-steps.ts';
import type { JournalRecord } from './invariants.ts';

/**
 * The steps in the order in which the journal says they were folded. `records` are those of the log, by offset; records beyond
 * the last journaled offset were not folded yet and are left out. The journal must begin with a record that has settings.
 */
export function stepsOfJournal(
  journal: readonly JournalRecord[],
  records: readonly RecordStep[],
  readSettings: (journaled: unknown) => OracleSettings,
): { settings: OracleSettings; steps: OracleStep[] } {
  const first = journal[0];
  if (first?.settings === undefined) throw new Error('the journal does not begin with settings');
  const steps: OracleStep[] = [];
  let settingsId = first.settingsId;
  let next = records.findIndex((record) => record.offset >= first.from);
  if (next < 0) next = records.length;
  for (const entry of journal) {
    if (entry.settings !== undefined && entry.settingsId !== settingsId) {
      steps.push({ kind: 'settings', settings: readSettings(entry.settings) });
      settingsId = entry.settingsId;
    }
    for (let record = records[next]; record && record.offset < entry.to; record = records[++next]) steps.push(record);
    if (entry.profiles !== undefined) steps.push({ kind: 'profiles', changes: entry.profiles });
    if (entry.tick) steps.push({ kind: 'tick', P: entry.P });
  }
  return { settings: readSettings(first.settings), steps };
}
