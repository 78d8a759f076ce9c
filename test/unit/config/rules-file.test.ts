import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseRules, readRulesFile } from '../../../src/config/rules-file.ts';

test('a rule with everything', () => {
  const { rules, problems } = parseRules(`
rules:
  - { id: z-cold, metric: temperature, below: -20, deadband: 2, for: 5m, offDelay: 30s, severity: WARNING, labels: { team: cooling } }
  - { id: a-hot, metric: spindle, above: 80, unit: Cel }
`);
  expect(problems).toEqual([]);
  expect(rules.map(({ id }) => id)).toEqual(['a-hot', 'z-cold']);
  expect(rules[0]).toEqual({
    id: 'a-hot',
    version: 1,
    metric: 'spindle',
    direction: 'above',
    threshold: 80,
    deadband: 0,
    forMs: 0,
    offDelayMs: 0,
    severity: 'CRITICAL',
    unit: 'Cel',
    labels: {},
    levels: [],
    staleAfterMs: null,
  });
  expect(rules[1]).toMatchObject({
    direction: 'below',
    threshold: -20,
    deadband: 2,
    forMs: 300_000,
    offDelayMs: 30_000,
    severity: 'WARNING',
    unit: 'Cel',
    labels: { team: 'cooling' },
  });
});

test('a ladder of severities and a time of silence', () => {
  const { rules, problems } = parseRules(`
rules:
  - { id: cold, metric: temperature, below: 5, severity: INFO, levels: [{ below: 2, severity: WARNING }, { below: -10, severity: CRITICAL }] }
  - { id: hot, metric: temperature, above: 90, staleAfter: 5m }
`);
  expect(problems).toEqual([]);
  const levels = [
    { threshold: 2, severity: 'WARNING' },
    { threshold: -10, severity: 'CRITICAL' },
  ];
  expect(rules[0]).toMatchObject({ threshold: 5, severity: 'INFO', levels, staleAfterMs: null });
  expect(rules[1]).toMatchObject({ levels: [], staleAfterMs: 300_000 });
});

test.each([
  ['levels: 3', '"levels" must be a list like [{above: 120, severity: CRITICAL}], not 3'],
  ['levels: [{ below: 120, severity: CRITICAL }]', 'level 2: it must be a mapping of "above" and "severity"'],
  ['levels: [{ above: 120 }]', 'level 2: it must be a mapping of "above" and "severity"'],
  ['levels: [{ above: 120, severity: RED }]', 'level 2: "severity" must be one of INFO, WARNING, CRITICAL, not "RED"'],
  ['levels: [{ above: hot, severity: CRITICAL }]', 'level 2: "above" must be a number, not "hot"'],
  ['levels: [{ above: 100, severity: CRITICAL }]', 'level 2: it must lie further above and be more severe'],
  ['levels: [{ above: 110, severity: INFO }]', 'level 2: it must lie further above and be more severe'],
  ['levels: [{ above: 110, severity: CRITICAL }, { above: 105, severity: CRITICAL }]', 'level 3: it must lie further above'],
  ['staleAfter: 0', '"staleAfter" must be longer than 0'],
  ['staleAfter: soon', '"staleAfter" must be a duration'],
])('%s is refused', (fields, problem) => {
  const { problems } = parseRules(`rules: [{ id: hot, metric: temperature, above: 100, severity: INFO, ${fields} }]`);
  expect(problems.join('\n')).toContain(problem);
});

test('everything that is wrong is said at once, with the rule and what is allowed', () => {
  const { problems } = parseRules(`
rules:
  - { id: "two words", metric: temperature, above: 1, below: 2, deadband: -1, for: 5, severity: LOUD, colour: red, labels: [a] }
  - { id: twice, metric: m, above: hot }
  - { id: twice, metric: temperature, unit: K, above: 1 }
  - just text
`);
  const text = problems.join('\n');
  for (const part of [
    '"colour" is not known',
    'give either "above" or "below"',
    '"id" must be a text',
    '"deadband" must be a number of at least 0, not -1',
    '"for" must be a duration such as 250ms, 60s or 5m, not 5',
    '"severity" must be one of INFO, WARNING, CRITICAL, not "LOUD"',
    '"labels" must map names to texts',
    'rule "twice": "above" must be a number, not "hot"',
    '"unit" of temperature is always Cel',
    'two rules have the id "twice"',
    'rule 4: it must be a mapping',
  ]) {
    expect(text).toContain(part);
  }
});

test.each([
  ['rules: {', 'it is not valid YAML'],
  ['[]', 'it must hold "rules"'],
  ['', 'it must hold "rules"'],
])('%j is refused', (text, problem) => {
  expect(parseRules(text).problems.join()).toContain(problem);
});

test('what is no YAML is said with its place, and nothing is promised after that', () => {
  expect(parseRules('rules:\n  - { id: a,\nabove: [').problems.join('')).toMatch(/^it is not valid YAML: .+ at line 3, column \d+$/);
});

test('the example of the machine series is valid; a file that is not there is named', () => {
  const path = new URL('../../../examples/nab/rules.yaml', import.meta.url).pathname;
  expect(readFileSync(path, 'utf8')).toContain('rules:');
  expect(readRulesFile(path)).toMatchObject([{ metric: 'machine_temperature', direction: 'above', threshold: 100, deadband: 5 }]);
  expect(() => readRulesFile('/nowhere/rules.yaml')).toThrow('/nowhere/rules.yaml: it cannot be read: there is no such file');
});
