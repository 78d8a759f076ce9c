import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { type AlertLevel, type AlertRule, misplacedLevel, SEVERITIES, type Severity } from '../core/alert-rule.ts';
import { unitOf } from '../core/reading.ts';
import { IngotError } from '../errors.ts';
import { parseDuration } from './duration.ts';
import { whyNoYaml, whyUnreadable } from './file-failure.ts';

// rules.yaml: the alert rules of an installation. It replaces the built-in rule. Everything that is wrong is said at once.

const RULE_ID = /^[A-Za-z0-9._-]{1,64}$/;
const RULES_MAX = 1_000;
const KNOWN_FIELDS = new Set([
  'id',
  'metric',
  'above',
  'below',
  'deadband',
  'for',
  'offDelay',
  'severity',
  'levels',
  'staleAfter',
  'unit',
  'labels',
]);

/** The rules of a file, sorted by id. IngotError `CONFIG_INVALID` with every problem. */
export function readRulesFile(path: string): AlertRule[] {
  const { rules, problems } = rulesIn(path);
  if (problems.length > 0) throw new IngotError('CONFIG_INVALID', problems.join('\n'));
  return rules;
}

/** What is wrong with a file of rules, a sentence each; empty when it is valid. */
export function rulesFileProblems(path: string): readonly string[] {
  return rulesIn(path).problems;
}

function rulesIn(path: string): ReturnType<typeof parseRules> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return { rules: [], problems: [`RULES_FILE: ${path}: ${whyUnreadable(error)}; allowed is a readable YAML file.`] };
  }
  const { rules, problems } = parseRules(text);
  return { rules, problems: problems.map((problem) => `RULES_FILE: ${path}: ${problem}`) };
}

/** The same from the file's text; the rules are complete only when there are no problems. */
export function parseRules(text: string): { rules: AlertRule[]; problems: string[] } {
  let document: unknown;
  try {
    document = parse(text);
  } catch (error) {
    return { rules: [], problems: [`it is not valid YAML: ${whyNoYaml(error) ?? (error as Error).message}`] };
  }
  const list = isFields(document) ? document['rules'] : undefined;
  if (!Array.isArray(list) || list.length > RULES_MAX) {
    return { rules: [], problems: [`it must hold "rules", a list of at most ${RULES_MAX} rules`] };
  }
  const problems: string[] = [];
  const rules = list.map((entry, index) => parseRule(entry, `rule ${index + 1}`, problems));
  const ids = rules.map((rule) => rule.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) problems.push(`two rules have the id "${id}"`);
  return { rules: rules.sort((a, b) => (a.id < b.id ? -1 : 1)), problems };
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseRule(entry: unknown, place: string, problems: string[]): AlertRule {
  const fields = isFields(entry) ? entry : {};
  const at = typeof fields['id'] === 'string' ? `rule "${fields['id']}"` : place;
  if (!isFields(entry)) problems.push(`${place}: it must be a mapping with id, metric, and above or below`);
  for (const name of Object.keys(fields))
    if (!KNOWN_FIELDS.has(name)) problems.push(`${at}: "${name}" is not known; allowed are ${[...KNOWN_FIELDS].join(', ')}`);
  const direction = thresholdOf(fields, at, problems);
  const severity = severityOf(fields['severity'] ?? 'CRITICAL', at, problems);
  return {
    id: textOf(fields, 'id', { at, problems, pattern: RULE_ID }),
    version: 1,
    metric: textOf(fields, 'metric', { at, problems, pattern: /^[^\p{Cc}]{1,128}$/u }),
    ...direction,
    deadband: numberOf(fields, 'deadband', { at, problems, fallback: 0, min: 0 }),
    forMs: durationOf(fields, 'for', at, problems),
    offDelayMs: durationOf(fields, 'offDelay', at, problems),
    severity,
    unit: ruleUnit(fields, at, problems),
    labels: labelsOf(fields, at, problems),
    levels: levelsOf(fields, { at, problems, ...direction, severity }),
    staleAfterMs: fields['staleAfter'] === undefined ? null : staleAfterOf(fields, at, problems),
  };
}

function thresholdOf(fields: Fields, at: string, problems: string[]): Pick<AlertRule, 'direction' | 'threshold'> {
  const { above, below } = fields;
  if ((above === undefined) === (below === undefined)) problems.push(`${at}: give either "above" or "below"`);
  const direction = above === undefined ? 'below' : 'above';
  return { direction, threshold: numberOf(fields, direction, { at, problems, fallback: 0 }) };
}

interface FieldCheck {
  readonly at: string;
  readonly problems: string[];
}

function textOf(fields: Fields, name: string, { at, problems, pattern }: FieldCheck & { pattern: RegExp }): string {
  const value = fields[name];
  if (typeof value === 'string' && pattern.test(value)) return value;
  problems.push(`${at}: "${name}" must be a text like ${pattern.source}, not ${JSON.stringify(value)}`);
  return '';
}

function numberOf(fields: Fields, name: string, { at, problems, fallback, min }: FieldCheck & { fallback: number; min?: number }): number {
  const value = fields[name];
  if (value === undefined) return fallback;
  // Added to 0, -0 is 0, as it would be after the next restart: settings are kept as JSON.
  if (typeof value === 'number' && Number.isFinite(value) && value >= (min ?? Number.NEGATIVE_INFINITY)) return value + 0;
  problems.push(`${at}: "${name}" must be a number${min === undefined ? '' : ` of at least ${min}`}, not ${JSON.stringify(value)}`);
  return fallback;
}

function durationOf(fields: Fields, name: string, at: string, problems: string[]): number {
  const value = fields[name];
  if (value === undefined || value === 0) return 0;
  const parsed = typeof value === 'string' ? parseDuration(value) : undefined;
  if (parsed !== undefined) return parsed;
  problems.push(`${at}: "${name}" must be a duration such as 250ms, 60s or 5m, not ${JSON.stringify(value)}`);
  return 0;
}

function staleAfterOf(fields: Fields, at: string, problems: string[]): number {
  const durationMs = durationOf(fields, 'staleAfter', at, problems);
  if (durationMs === 0) problems.push(`${at}: "staleAfter" must be longer than 0; leave it out for never`);
  return durationMs;
}

/** The ladder above the rule's own threshold: each level further out and more severe than the one before it. */
function levelsOf(fields: Fields, rule: FieldCheck & Pick<AlertRule, 'direction' | 'threshold' | 'severity'>): AlertLevel[] {
  const { at, problems, direction } = rule;
  const value = fields['levels'] ?? [];
  if (!Array.isArray(value)) {
    problems.push(`${at}: "levels" must be a list like [{${direction}: 120, severity: CRITICAL}], not ${JSON.stringify(value)}`);
    return [];
  }
  const levels = value.map((entry: unknown, index): AlertLevel => {
    const place = `${at}, level ${index + 2}`;
    const level = isFields(entry) ? entry : {};
    if (level[direction] === undefined || level['severity'] === undefined || Object.keys(level).length !== 2)
      problems.push(`${place}: it must be a mapping of "${direction}" and "severity", not ${JSON.stringify(entry)}`);
    const threshold = numberOf(level, direction, { at: place, problems, fallback: 0 });
    return { threshold, severity: severityOf(level['severity'] ?? 'CRITICAL', place, problems) };
  });
  const misplaced = misplacedLevel(rule, levels);
  if (misplaced > 0)
    problems.push(
      `${at}, level ${misplaced}: it must lie further ${direction} and be more severe than the one before it (${SEVERITIES.join(', ')})`,
    );
  return levels;
}

function severityOf(value: unknown, at: string, problems: string[]): Severity {
  const severity = SEVERITIES.find((candidate) => candidate === value);
  if (severity === undefined) problems.push(`${at}: "severity" must be one of ${SEVERITIES.join(', ')}, not ${JSON.stringify(value)}`);
  return severity ?? 'CRITICAL';
}

/** A common metric has its unit; a rule may repeat it, but not contradict it. */
function ruleUnit(fields: Fields, at: string, problems: string[]): string {
  const ofMetric = typeof fields['metric'] === 'string' ? unitOf(fields['metric']) : '';
  if (fields['unit'] === undefined) return ofMetric;
  const unit = textOf(fields, 'unit', { at, problems, pattern: /^[^\p{Cc}]{0,32}$/u });
  if (ofMetric !== '' && unit !== ofMetric)
    problems.push(`${at}: "unit" of ${String(fields['metric'])} is always ${ofMetric}; leave it out`);
  return unit;
}

function labelsOf(fields: Fields, at: string, problems: string[]): Record<string, string> {
  const value = fields['labels'] ?? {};
  if (isFields(value) && Object.values(value).every((text) => typeof text === 'string')) return { ...value } as Record<string, string>;
  problems.push(`${at}: "labels" must map names to texts, not ${JSON.stringify(value)}`);
  return {};
}
