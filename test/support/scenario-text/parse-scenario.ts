// The language of test/scenarios/*.txt. A file holds scenarios; a scenario is a sequence of steps, each with what it must write.
//
//   scenario <name>                          begins a scenario; everything starts afresh
//   partition <p> of <n>                     before the first step; default 0 of 1
//   settings <words>                         before the first step: the initial settings; later: a change (scenario-settings.ts)
//   at <append time> read <device> <event time> [<metric>=<value>]... [id=<identity>] [offset=<o>] [key=<key>|key=none] [not-aggregatable]
//      [first=<first append time>] [replay=<text of replay-identity>]      headers of a replayed dead letter
//   at <append time> bytes <key>             a record that cannot be decoded; offset=<o> as above
//   tick <P>
//   profile <device> none | [label.<name>=<text>]... [disabled=<rule>,<rule>] [<rule>=<threshold>[/deadband][/<levels>]]...
//   ... => <output>                          what the step writes (expected-output.ts); more outputs on the next lines, each after =>
//   # a comment
//
// Offsets count from 0 and go on after an explicit one. Aggregates and alerts are two topics: each must come in the order given,
// how they mix does not matter.

import type { OracleSettings, OracleSetup, OracleStep, OracleThreshold, ProfilesStep, RecordStep } from '../oracle/fold-steps.ts';
import { commonMetricNames } from '../oracle/metric-values.ts';
import { plainReading } from '../oracle/plain-reading.ts';
import { type ExpectedOutput, parseOutput } from './expected-output.ts';
import { applySettingsWords, DEFAULT_SETTINGS, parseLevels, parseNumber } from './scenario-settings.ts';
import { parseTime } from './scenario-time.ts';

export interface ScenarioStep {
  readonly line: number;
  readonly text: string;
  readonly step: OracleStep;
  readonly expected: readonly ExpectedOutput[];
}

export interface Scenario {
  readonly name: string;
  readonly line: number;
  readonly setup: OracleSetup;
  readonly steps: readonly ScenarioStep[];
}

/** Reads a file of scenarios. Errors name file and line. */
export function parseScenarios(fileName: string, text: string): Scenario[] {
  const scenarios: ScenarioBuilder[] = [];
  text.split('\n').forEach((raw, index) => {
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    if (line === '') return;
    try {
      const name = /^scenario\s+(.+)$/.exec(line)?.[1];
      if (name !== undefined) scenarios.push(new ScenarioBuilder(name, index + 1));
      else if (scenarios.length === 0) throw new Error("a file begins with 'scenario <name>'");
      else scenarios.at(-1)!.add(line, index + 1);
    } catch (error) {
      throw new Error(`${fileName}:${index + 1}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  });
  return scenarios.map((scenario) => scenario.build());
}

class ScenarioBuilder {
  readonly #name: string;
  readonly #line: number;
  readonly #steps: (Omit<ScenarioStep, 'expected'> & { expected: ExpectedOutput[] })[] = [];
  #partition = { partition: 0, partitionCount: 1 };
  #initial = DEFAULT_SETTINGS;
  #settings: OracleSettings = DEFAULT_SETTINGS;
  #nextOffset = 0;

  constructor(name: string, line: number) {
    this.#name = name;
    this.#line = line;
  }

  build(): Scenario {
    return { name: this.#name, line: this.#line, setup: { ...this.#partition, settings: this.#initial }, steps: this.#steps };
  }

  add(text: string, line: number): void {
    const [action = '', ...outputs] = text.split('=>').map((part) => part.trim());
    if (action !== '') this.#addAction(action, line);
    const step = this.#steps.at(-1);
    if (outputs.length > 0 && !step) throw new Error('there is no step before this output');
    for (const output of outputs) step!.expected.push(parseOutput(output, line));
  }

  #addAction(text: string, line: number): void {
    const [verb = '', ...words] = text.split(/\s+/);
    if (verb === 'partition') this.#setPartition(words);
    else if (verb === 'settings') this.#setSettings(words, text, line);
    else if (verb === 'tick' && words.length === 1) this.#push({ kind: 'tick', P: parseTime(words[0]!) }, text, line);
    else if (verb === 'profile' && words.length >= 2) this.#push(profilesStep(words), text, line);
    else if (verb === 'at' && words.length >= 3) this.#push(this.#record(words), text, line);
    else throw new Error(`'${text}' is no step`);
  }

  #push(step: OracleStep, text: string, line: number): void {
    this.#steps.push({ step, text, line, expected: [] });
  }

  #setPartition(words: readonly string[]): void {
    if (this.#steps.length > 0 || words[1] !== 'of') throw new Error("'partition <p> of <n>' stands before the first step");
    this.#partition = { partition: parseNumber(words[0] ?? ''), partitionCount: parseNumber(words[2] ?? '') };
  }

  #setSettings(words: readonly string[], text: string, line: number): void {
    this.#settings = applySettingsWords(this.#settings, words);
    if (this.#steps.length === 0) this.#initial = this.#settings;
    else this.#push({ kind: 'settings', settings: this.#settings }, text, line);
  }

  #record(words: readonly string[]): RecordStep {
    const [appendTime = '', verb, who = '', ...rest] = words;
    if (verb !== 'read' && verb !== 'bytes') throw new Error("a record is 'read' or 'bytes'");
    const eventTime = verb === 'read' ? parseTime(rest.shift() ?? '') : 0;
    const said = new Map(rest.map((word) => [word.split('=', 1)[0]!, word.slice(word.indexOf('=') + 1)]));
    const offset = take(said, 'offset', parseNumber) ?? this.#nextOffset;
    this.#nextOffset = offset + 1;
    const key = take(said, 'key', (text) => text) ?? who;
    const identity = take(said, 'id', parseNumber) ?? 0;
    const aggregatable = !said.delete('not-aggregatable');
    const headers = takeHeaders(said);
    const own: Record<string, number> = {};
    const metrics: Record<string, number> = {};
    for (const [name, text] of said) (commonMetricNames.includes(name) ? own : metrics)[name] = parseNumber(text);
    const reading = verb === 'read' ? plainReading({ deviceId: who, eventTime, identity, aggregatable, metrics, ...own }) : null;
    return { kind: 'record', offset, appendTime: parseTime(appendTime), key: key === 'none' ? null : key, headers, reading };
  }
}

function profilesStep([deviceId = '', ...words]: readonly string[]): ProfilesStep {
  if (words[0] === 'none') return { kind: 'profiles', changes: [[deviceId, null]] };
  const labels: Record<string, string> = {};
  const thresholds: Record<string, OracleThreshold> = {};
  let disabledRules: string[] = [];
  for (const word of words) {
    const [, name = '', text = ''] = /^([^=]+)=(.*)$/.exec(word) ?? [];
    if (name.startsWith('label.')) labels[name.slice('label.'.length)] = text;
    else if (name === 'disabled') disabledRules = text.split(',');
    else thresholds[name] = parseThreshold(text);
  }
  return { kind: 'profiles', changes: [[deviceId, { labels, thresholds, disabledRules }]] };
}

/** `90`, `90/5`, `90/5/95:CRITICAL`, `90//none`. */
function parseThreshold(text: string): OracleThreshold {
  const [threshold = '', deadband = '', levels = ''] = text.split('/');
  return {
    threshold: parseNumber(threshold),
    deadband: deadband === '' ? null : parseNumber(deadband),
    levels: levels === '' ? null : parseLevels(levels),
  };
}

function takeHeaders(said: Map<string, string>): Record<string, string> {
  const first = take(said, 'first', parseTime);
  const replay = take(said, 'replay', (text) => text);
  return {
    ...(first !== undefined && { 'first-append-time': String(first) }),
    ...(replay !== undefined && { 'replay-identity': replay }),
  };
}

function take<Value>(said: Map<string, string>, name: string, parse: (text: string) => Value): Value | undefined {
  const text = said.get(name);
  said.delete(name);
  return text === undefined ? undefined : parse(text);
}
