// Plays a scenario through a fold and compares, step by step, what it wrote with what the text says.

import type { AggregateRow, AlertRow, RecordRef } from '../oracle/output-rows.ts';
import { type ExpectedOutput, formatAlert, formatWindow, type OutputKind } from './expected-output.ts';
import { type DriverOutputs, type FoldDriverKind, playStep } from './fold-driver.ts';
import type { Scenario, ScenarioStep } from './parse-scenario.ts';

/** Throws with file, line, what was expected and what came at the first step that is not as the text says. */
export function runScenario(fileName: string, scenario: Scenario, kind: FoldDriverKind): void {
  const driver = kind.create(scenario.setup);
  for (const step of scenario.steps) {
    const fault = compareStep(step, playStep(driver, step.step));
    if (fault !== null) throw new Error(`${fileName}:${step.line}: ${scenario.name} (${kind.name})\n  ${step.text}\n${fault}`);
  }
}

function compareStep({ step, expected }: ScenarioStep, outputs: DriverOutputs): string | null {
  const of = (kind: OutputKind) => expected.filter((output) => output.kind === kind);
  return (
    compareRows(of('WINDOW'), outputs.aggregates, formatWindow) ??
    compareRows(of('ALERT'), outputs.alerts, formatAlert) ??
    compareOutcome(of('OUTCOME'), step.kind === 'record', outputs)
  );
}

function compareRows<Row extends AggregateRow | AlertRow>(
  expected: readonly ExpectedOutput[],
  rows: readonly Row[],
  format: (row: Row) => string,
): string | null {
  const isFaulty = (index: number) => {
    const wanted = expected[index];
    const row = rows[index];
    return !wanted || !row || differingFields(wanted, row).length > 0;
  };
  const length = Math.max(expected.length, rows.length);
  const at = Array.from({ length }, (_, index) => index).find(isFaulty);
  if (at === undefined) return null;
  const wanted = expected[at];
  const row = rows[at];
  const lines = [
    `  expected: ${wanted ? `${wanted.text} (line ${wanted.line})` : 'nothing more'}`,
    `  got:      ${row ? format(row) : 'nothing more'}`,
  ];
  if (wanted && row)
    lines.push(...differingFields(wanted, row).map(([field, value, found]) => `  ${field}: expected ${value}, got ${found}`));
  return [...lines, '  all that came:', ...rows.map((each) => `    => ${format(each)}`)].join('\n');
}

function differingFields({ fields }: ExpectedOutput, row: object): [string, string, string][] {
  const differences: [string, string, string][] = [];
  for (const [field, value] of fields) {
    const found: unknown = Reflect.get(row, field);
    const shown = JSON.stringify(field === 'evidence' ? (found as RecordRef[]).map(({ offset }) => offset) : found);
    if (JSON.stringify(value) !== shown) differences.push([field, JSON.stringify(value), shown]);
  }
  return differences;
}

/** A record without OUTCOME is counted. What is rejected is in the dead letters, and nothing else is. */
function compareOutcome(expected: readonly ExpectedOutput[], isRecord: boolean, outputs: DriverOutputs): string | null {
  const wanted = isRecord ? (expected[0]?.fields.get('outcome') ?? 'counted') : null;
  if (outputs.outcome !== wanted) return `  expected: OUTCOME ${wanted}\n  got:      OUTCOME ${outputs.outcome}`;
  const isAccepted = wanted === null || wanted === 'counted' || wanted === 'not_aggregatable' || wanted === 'duplicate';
  const reasons = outputs.deadLetters.map(({ reason }) => reason).join(', ');
  return reasons === (isAccepted ? '' : wanted)
    ? null
    : `  expected dead letters: ${isAccepted ? 'none' : wanted}\n  got: ${reasons || 'none'}`;
}
