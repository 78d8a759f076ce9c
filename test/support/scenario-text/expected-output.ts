// What stands behind `=>`: the text of an output, and the fields of a row that it pins. A row's fields that are not named are not
// compared; a row that is not named at all is an error.
//
//   WINDOW <device> <metric> <start>-<end> n=<count> <closedBy> [part= min= max= mean= sum= m2= first= last= firstTime= lastTime= unit= labels=site:north,floor:2]
//   ALERT <device> <rule> RAISED|ESCALATED|DEESCALATED|RESOLVED|EXPIRED [raisedAt= at= resolvedAt= value= peak= samples= version= number= threshold= clear= severity= state= unit= metric= labels= evidence=3,7]
//   OUTCOME <outcome>        what became of the record, when it is not `counted`

import type { AggregateRow, AlertRow } from '../oracle/output-rows.ts';
import { parseNumber } from './scenario-settings.ts';
import { formatTime, parseTime } from './scenario-time.ts';

export type OutputKind = 'WINDOW' | 'ALERT' | 'OUTCOME';

export interface ExpectedOutput {
  readonly line: number;
  readonly kind: OutputKind;
  readonly text: string;
  /** Field name of the row to value. */
  readonly fields: ReadonlyMap<string, unknown>;
}

type Word = readonly [field: string, parse: (text: string) => unknown];

const asText: (text: string) => unknown = (text) => text;
const orNone = (parse: (text: string) => unknown) => (text: string) => (text === 'none' ? null : parse(text));
const asLabels = (text: string) => (text === 'none' ? {} : Object.fromEntries(text.split(',').map((label) => label.split(':'))));
const asOffsets = (text: string) => (text === 'none' ? [] : text.split(',').map(parseNumber));

const windowWords: Readonly<Record<string, Word>> = {
  n: ['count', parseNumber],
  part: ['part', parseNumber],
  min: ['min', parseNumber],
  max: ['max', parseNumber],
  mean: ['mean', parseNumber],
  sum: ['sum', parseNumber],
  m2: ['m2', parseNumber],
  first: ['first', parseNumber],
  last: ['last', parseNumber],
  firstTime: ['firstTime', parseTime],
  lastTime: ['lastTime', parseTime],
  unit: ['unit', asText],
  labels: ['labels', asLabels],
};

const alertWords: Readonly<Record<string, Word>> = {
  raisedAt: ['raisedAt', parseTime],
  at: ['transitionAt', parseTime],
  resolvedAt: ['resolvedAt', orNone(parseTime)],
  value: ['value', orNone(parseNumber)],
  peak: ['peakValue', orNone(parseNumber)],
  samples: ['sampleCount', parseNumber],
  version: ['ruleVersion', parseNumber],
  number: ['transitionNumber', parseNumber],
  threshold: ['threshold', parseNumber],
  clear: ['clearThreshold', parseNumber],
  severity: ['severity', asText],
  state: ['state', asText],
  labels: ['labels', asLabels],
  unit: ['unit', asText],
  metric: ['metric', asText],
  evidence: ['evidence', asOffsets],
};

export function parseOutput(text: string, line: number): ExpectedOutput {
  const [kind, ...words] = text.split(/\s+/);
  if (kind === 'WINDOW') return { line, kind, text, fields: parseWindow(words) };
  if (kind === 'ALERT') return { line, kind, text, fields: parseAlert(words) };
  if (kind === 'OUTCOME' && words.length === 1) return { line, kind, text, fields: new Map([['outcome', words[0]]]) };
  throw new Error(`'${text}' is no output: write WINDOW, ALERT or OUTCOME`);
}

function parseWindow(words: readonly string[]): Map<string, unknown> {
  const [deviceId, metric, window = '', ...rest] = words;
  const [, start = '', end = ''] = /^(.+)-([^-]+)$/.exec(window) ?? [];
  const closedBy = rest.find((word) => /^(TIME|COUNT|IDLE|LATE)$/.test(word));
  const fields = new Map<string, unknown>([
    ['deviceId', deviceId],
    ['metric', metric],
    ['windowStart', parseTime(start)],
    ['windowEnd', parseTime(end)],
    ['closedBy', closedBy],
    ...rest.filter((word) => word !== closedBy).map((word) => parseField(word, windowWords)),
  ]);
  if (closedBy === undefined || !fields.has('count')) throw new Error('a WINDOW says n=<count> and TIME, COUNT, IDLE or LATE');
  return fields;
}

function parseAlert(words: readonly string[]): Map<string, unknown> {
  const [deviceId, ruleId, transition = '', ...rest] = words;
  if (!/^(RAISED|ESCALATED|DEESCALATED|RESOLVED|EXPIRED)$/.test(transition)) throw new Error(`an ALERT is not '${transition}'`);
  return new Map<string, unknown>([
    ['deviceId', deviceId],
    ['ruleId', ruleId],
    ['transition', transition],
    ...rest.map((word) => parseField(word, alertWords)),
  ]);
}

function parseField(word: string, words: Readonly<Record<string, Word>>): [string, unknown] {
  const [, name = '', text = ''] = /^([^=]+)=(.*)$/.exec(word) ?? [];
  const known = words[name];
  if (!known) throw new Error(`'${word}' is no field of this output`);
  return [known[0], known[1](text)];
}

export function formatWindow(row: AggregateRow): string {
  const window = `${formatTime(row.windowStart)}-${formatTime(row.windowEnd)}`;
  const values = `min=${row.min} max=${row.max} sum=${row.sum} first=${row.first} last=${row.last}`;
  return `WINDOW ${row.deviceId} ${row.metric} ${window} n=${row.count} ${row.closedBy} part=${row.part} ${values} unit=${row.unit}`;
}

export function formatAlert(row: AlertRow): string {
  const times = `raisedAt=${formatTime(row.raisedAt)} at=${formatTime(row.transitionAt)} resolvedAt=${row.resolvedAt === null ? 'none' : formatTime(row.resolvedAt)}`;
  const values = `value=${row.value ?? 'none'} peak=${row.peakValue ?? 'none'} samples=${row.sampleCount} version=${row.ruleVersion}`;
  const evidence = row.evidence.map(({ offset }) => offset).join(',') || 'none';
  return `ALERT ${row.deviceId} ${row.ruleId} ${row.transition} ${times} ${values} number=${row.transitionNumber} ${row.state} ${row.severity} threshold=${row.threshold} evidence=${evidence}`;
}
