// The oracle on real data: the machine temperature series of the Numenta Anomaly Benchmark has 21 episodes above 100 with a
// deadband of 5, and 239 without; a loop of ten lines over the file, in another language, counts the same.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { foldAll } from '../support/oracle/fold-oracle.ts';
import type { OracleSettings, RecordStep } from '../support/oracle/fold-steps.ts';
import { alertViolations } from '../support/oracle/invariants.ts';
import { plainReading } from '../support/oracle/plain-reading.ts';
import { applySettingsWords, DEFAULT_SETTINGS } from '../support/scenario-text/scenario-settings.ts';

const series = new URL('../../examples/nab/machine_temperature_system_failure.csv', import.meta.url);
const IMPORTED_AT_MS = Date.UTC(2026, 0, 1);

const records = readFileSync(series, 'utf8')
  .trim()
  .split(/\r?\n/)
  .slice(1)
  .map((line, offset): RecordStep => {
    const [time = '', value = ''] = line.split(',');
    const eventTime = Date.parse(`${time.replace(' ', 'T')}Z`);
    const reading = plainReading({ deviceId: 'machine', eventTime, metrics: { machine_temperature: Number(value) } });
    return { kind: 'record', offset, appendTime: IMPORTED_AT_MS + offset, key: 'machine', reading };
  });

function episodesWith(deadband: string): number {
  const words = ['past=unlimited', 'rule=hot:machine_temperature>100', `deadband=${deadband}`];
  const settings: OracleSettings = applySettingsWords(DEFAULT_SETTINGS, words);
  const { alerts } = foldAll({ partition: 0, partitionCount: 1, settings }, records);
  expect(alertViolations(alerts)).toEqual([]);
  return alerts.filter(({ transition }) => transition === 'RAISED').length;
}

test.each([
  ['5', 21],
  ['0', 239],
])('the machine series with a deadband of %s has %i episodes', (deadband, episodes) => {
  expect(episodesWith(deadband)).toBe(episodes);
});
