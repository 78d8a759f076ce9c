// Every scenario of test/scenarios/*.txt through every fold that there is. The language: test/support/scenario-text/parse-scenario.ts.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { foldDrivers } from '../support/scenario-text/drivers.ts';
import { parseScenarios } from '../support/scenario-text/parse-scenario.ts';
import { runScenario } from '../support/scenario-text/run-scenario.ts';

const folder = new URL('.', import.meta.url);
const fileNames = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe.each(foldDrivers)('$name', (driver) => {
  describe.each(fileNames)('%s', (fileName) => {
    const scenarios = parseScenarios(fileName, readFileSync(new URL(fileName, folder), 'utf8'));
    test.each(scenarios)('$name', (scenario) => {
      runScenario(fileName, scenario, driver);
    });
  });
});

describe('a scenario fails', () => {
  const run = (text: string) => {
    for (const scenario of parseScenarios('text', text)) runScenario('text', scenario, foldDrivers[0]!);
  };
  const raised = 'scenario s\nsettings rule=hot:temperature>100\nat 00:01 read d1 00:01 temperature=101';

  test('when an output is missing, too many, or other than it says', () => {
    expect(() => run(`${raised} => ALERT d1 hot RAISED`)).not.toThrow();
    expect(() => run(`${raised}`)).toThrow(/text:3: s \(oracle\)[\s\S]*expected: nothing more/);
    expect(() => run(`${raised} => ALERT d1 hot RAISED at=00:02`)).toThrow(/transitionAt: expected \d+, got \d+/);
    expect(() => run('scenario s\ntick 00:10 => ALERT d1 hot RAISED')).toThrow(/text:2: [\s\S]*got: {6}nothing more/);
    expect(() => run('scenario s\nat 00:01 bytes d1')).toThrow('got:      OUTCOME undecodable');
    expect(() => run('scenario s\nat 00:01 read d1 00:01 => OUTCOME future')).toThrow('got:      OUTCOME counted');
  });

  test('when its text is wrong, with the line', () => {
    expect(() => run('tick 00:10')).toThrow("text:1: a file begins with 'scenario <name>'");
    expect(() => run('scenario s\n\ntock 00:10')).toThrow("text:3: 'tock 00:10' is no step");
    expect(() => run('scenario s\nsettings windows=60s')).toThrow("text:2: 'windows=60s' is no setting");
    expect(() => run('scenario s\ntick 10')).toThrow("text:2: '10' is no time");
    expect(() => run('scenario s\ntick 00:10 => WINDOW d1 temperature 00:00-01:00 n=1')).toThrow('text:2: a WINDOW says n=<count>');
    expect(() => run('scenario s\nat 00:01 read d1 00:01 temperature=warm')).toThrow("text:2: 'warm' is no number");
  });
});
