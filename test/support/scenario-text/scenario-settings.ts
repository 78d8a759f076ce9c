// The words of a `settings` line. What a line does not name stays as it was.
//
//   settings window=60s grace=10s idle=30s batch=0 skew=1m past=7d parts=64 devices=1000 duplicates=65536
//   settings rule=hot:temperature>100 deadband=5 for=0 off=0 severity=CRITICAL unit=Cel label.site=north
//   settings rule=hot:temperature>100 levels=120:CRITICAL,140:CRITICAL stale=5m
//   settings rule=-hot
//
// `rule=` adds the rule or replaces the one with the same id; the words after it belong to it. `rule=-id` removes one.

import type { OracleLevel, OracleRule, OracleSettings } from '../oracle/fold-steps.ts';
import { parseSpan } from './scenario-time.ts';

export const DEFAULT_SETTINGS: OracleSettings = {
  windowMs: 60_000,
  graceMs: 10_000,
  idleMs: 30_000,
  batchSize: 0,
  skewMs: 60_000,
  pastLimitMs: 7 * 86_400_000,
  maxOpenParts: 64,
  maxDevices: 1000,
  duplicateOffsets: 65_536,
  rules: [],
};

const RULE = /^(?<id>[\w-]+):(?<metric>\w+)(?<operator>[<>])(?<threshold>-?[\d.]+)$/;

const settingWords: Readonly<Record<string, (text: string) => Partial<OracleSettings>>> = {
  window: (text) => ({ windowMs: parseSpan(text) }),
  grace: (text) => ({ graceMs: parseSpan(text) }),
  idle: (text) => ({ idleMs: parseSpan(text) }),
  batch: (text) => ({ batchSize: parseNumber(text) }),
  skew: (text) => ({ skewMs: parseSpan(text) }),
  past: (text) => ({ pastLimitMs: text === 'unlimited' ? null : parseSpan(text) }),
  parts: (text) => ({ maxOpenParts: parseNumber(text) }),
  devices: (text) => ({ maxDevices: parseNumber(text) }),
  duplicates: (text) => ({ duplicateOffsets: parseNumber(text) }),
};

const ruleWords: Readonly<Record<string, (text: string) => Partial<OracleRule>>> = {
  deadband: (text) => ({ deadband: parseNumber(text) }),
  for: (text) => ({ forMs: parseSpan(text) }),
  off: (text) => ({ offDelayMs: parseSpan(text) }),
  severity: (text) => ({ severity: parseSeverity(text) }),
  unit: (unit) => ({ unit }),
  levels: (text) => ({ levels: parseLevels(text) }),
  stale: (text) => ({ staleAfterMs: text === 'never' ? null : parseSpan(text) }),
};

/** A finite number; throws with the text when it is none. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) throw new Error(`'${text}' is no number`);
  return value;
}

/** `120:CRITICAL,140:CRITICAL`, or `none`. */
export function parseLevels(text: string): OracleLevel[] {
  if (text === 'none') return [];
  return text.split(',').map((level) => {
    const [threshold = '', severity = ''] = level.split(':');
    return { threshold: parseNumber(threshold), severity: parseSeverity(severity) };
  });
}

function parseSeverity(text: string): OracleRule['severity'] {
  if (text !== 'INFO' && text !== 'WARNING' && text !== 'CRITICAL') throw new Error(`'${text}' is no severity`);
  return text;
}

function parseRule(text: string): OracleRule {
  const groups = RULE.exec(text)?.groups;
  if (!groups) throw new Error(`'${text}' is no rule: write id:metric>threshold or id:metric<threshold`);
  return {
    id: groups['id']!,
    version: 1,
    metric: groups['metric']!,
    direction: groups['operator'] === '>' ? 'above' : 'below',
    threshold: parseNumber(groups['threshold']!),
    deadband: 0,
    forMs: 0,
    offDelayMs: 0,
    severity: 'CRITICAL',
    unit: '',
    labels: {},
    levels: [],
    staleAfterMs: null,
  };
}

/** The settings that a line makes of those before it. */
export function applySettingsWords(before: OracleSettings, words: readonly string[]): OracleSettings {
  let settings = before;
  let rules = [...before.rules];
  let inRule = false;
  for (const word of words) {
    const [, name = '', text = ''] = /^([^=]+)=(.*)$/.exec(word) ?? [];
    const last = rules.at(-1);
    if (name === 'rule' && text.startsWith('-')) {
      if (!rules.some(({ id }) => id === text.slice(1))) throw new Error(`there is no rule '${text.slice(1)}' to remove`);
      rules = rules.filter(({ id }) => id !== text.slice(1));
      inRule = false;
    } else if (name === 'rule') {
      const rule = parseRule(text);
      rules = [...rules.filter(({ id }) => id !== rule.id), rule];
      inRule = true;
    } else if (inRule && last && ruleWords[name]) {
      rules = [...rules.slice(0, -1), { ...last, ...ruleWords[name](text) }];
    } else if (inRule && last && name.startsWith('label.')) {
      rules = [...rules.slice(0, -1), { ...last, labels: { ...last.labels, [name.slice('label.'.length)]: text } }];
    } else if (settingWords[name]) {
      settings = { ...settings, ...settingWords[name](text) };
    } else {
      throw new Error(`'${word}' is no setting`);
    }
  }
  return { ...settings, rules };
}
