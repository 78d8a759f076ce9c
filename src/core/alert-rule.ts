// A rule says when a metric is too high or too low. Equality is never a breach.

export type Severity = 'INFO' | 'WARNING' | 'CRITICAL';

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
}

export function isBreach(rule: AlertRule, value: number): boolean {
  return rule.direction === 'above' ? value > rule.threshold : value < rule.threshold;
}

/** Whether the value is far enough on the good side to end an alert. Without a deadband that is everything that is no breach. */
export function isClear(rule: AlertRule, value: number): boolean {
  if (rule.deadband === 0) return !isBreach(rule, value);
  return rule.direction === 'above' ? value < clearThresholdOf(rule) : value > clearThresholdOf(rule);
}

export function clearThresholdOf(rule: AlertRule): number {
  return rule.direction === 'above' ? rule.threshold - rule.deadband : rule.threshold + rule.deadband;
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
  };
}

/** The unit of each metric that a rule names one for; the first rule by id decides. */
export function unitsOfRules(rules: readonly AlertRule[]): ReadonlyMap<string, string> {
  const units = new Map<string, string>();
  for (const rule of rules) if (rule.unit !== '' && !units.has(rule.metric)) units.set(rule.metric, rule.unit);
  return units;
}
