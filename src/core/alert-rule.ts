// A rule says when a metric is too high or too low. Equality is never a breach.

/** From the mildest to the worst. */
export const SEVERITIES = ['INFO', 'WARNING', 'CRITICAL'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface AlertRule {
  readonly id: string;
  /** 1, 2, ...: raised by one whenever the rule is edited. */
  readonly version: number;
  readonly metric: string;
  readonly direction: 'above' | 'below';
  readonly threshold: number;
  /** How far back over the threshold a value must come before the alert can end; not negative. */
  readonly deadband: number;
  /** How long in event time a breach must last before the alert is raised; 0 = at once. */
  readonly forMs: number;
  /** How long in event time the value must stay clear before the alert is resolved; 0 = at once. */
  readonly offDelayMs: number;
  readonly severity: Severity;
  /** UCUM, for the alert and for aggregates of a metric that has no unit of its own; may be empty. */
  readonly unit: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Worse than the rule's own threshold and severity, which are level 1; each further out and more severe than the one before. */
  readonly levels: readonly AlertLevel[];
  /** A device that says nothing for so long gets an alert of its own; null = never. */
  readonly staleAfterMs: number | null;
}

/** One rung of a rule's severity ladder. */
export interface AlertLevel {
  readonly threshold: number;
  readonly severity: Severity;
}

export function isBreach(rule: AlertRule, value: number): boolean {
  return isBeyond(rule, rule.threshold, value);
}

/** Whether the value is far enough on the good side to end an alert. Without a deadband that is everything that is no breach. */
export function isClear(rule: AlertRule, value: number): boolean {
  return isClearOf(rule, rule.threshold, value);
}

/** The worst level that the value breaches; 1 when there is none. */
export function breachedLevel(rule: AlertRule, value: number): number {
  for (let level = rule.levels.length + 1; level > 1; level -= 1) {
    if (isBeyond(rule, levelOf(rule, level).threshold, value)) return level;
  }
  return 1;
}

/** The worst level, at most `level`, of which the value is not clear; 1 when there is none. */
export function heldLevel(rule: AlertRule, level: number, value: number): number {
  for (let held = Math.min(level, rule.levels.length + 1); held > 1; held -= 1) {
    if (!isClearOf(rule, levelOf(rule, held).threshold, value)) return held;
  }
  return 1;
}

/** Threshold and severity of a level, 1, 2, ...; the last one's when an edit has made the ladder shorter. */
export function levelOf(rule: AlertRule, level: number): AlertLevel {
  return rule.levels[Math.min(level - 1, rule.levels.length) - 1] ?? rule;
}

/** The number of the first level that does not lie further out and is not more severe than the one before it; 0 when all do. */
export function misplacedLevel(base: Pick<AlertRule, 'direction' | 'threshold' | 'severity'>, levels: readonly AlertLevel[]): number {
  const sign = base.direction === 'above' ? 1 : -1;
  const isWorse = (level: AlertLevel, before: AlertLevel): boolean =>
    sign * level.threshold > sign * before.threshold && SEVERITIES.indexOf(level.severity) > SEVERITIES.indexOf(before.severity);
  const at = levels.findIndex((level, index) => !isWorse(level, levels[index - 1] ?? base));
  return at < 0 ? 0 : at + 2;
}

/** Where a value must come back to, to be clear of a threshold of the rule. */
export function clearThresholdOf(rule: AlertRule, threshold: number = rule.threshold): number {
  return rule.direction === 'above' ? threshold - rule.deadband : threshold + rule.deadband;
}

function isBeyond(rule: AlertRule, threshold: number, value: number): boolean {
  return rule.direction === 'above' ? value > threshold : value < threshold;
}

function isClearOf(rule: AlertRule, threshold: number, value: number): boolean {
  if (rule.deadband === 0) return !isBeyond(rule, threshold, value);
  const clearThreshold = clearThresholdOf(rule, threshold);
  return rule.direction === 'above' ? value < clearThreshold : value > clearThreshold;
}

/** Whether an alert of the old rule can go on under the new one. */
export function isSameAlarm(older: AlertRule, newer: AlertRule): boolean {
  return older.id === newer.id && older.metric === newer.metric && older.direction === newer.direction;
}

/** The built-in rule, used when no rules file is given. */
export function highTemperatureRule(thresholdCelsius: number, deadbandCelsius: number): AlertRule {
  return {
    id: 'high-temperature',
    version: 1,
    metric: 'temperature',
    direction: 'above',
    threshold: thresholdCelsius,
    deadband: deadbandCelsius,
    forMs: 0,
    offDelayMs: 0,
    severity: 'CRITICAL',
    unit: 'Cel',
    labels: {},
    levels: [],
    staleAfterMs: null,
  };
}

/** The unit of each metric that a rule names one for; the first rule by id decides. */
export function unitsOfRules(rules: readonly AlertRule[]): ReadonlyMap<string, string> {
  const units = new Map<string, string>();
  for (const rule of rules) if (rule.unit !== '' && !units.has(rule.metric)) units.set(rule.metric, rule.unit);
  return units;
}
