import { createInterface } from 'node:readline';
import { type Comparison, compare } from './compare.ts';
import type { ActualAlert } from './compare-alerts.ts';
import type { ActualAggregate } from './compare-windows.ts';
import { likelyCause } from './likely-cause.ts';
import { duration, parseFlags, UsageError } from './settings.ts';
import type { TruthRule } from './truth-alerts.ts';
import { readTruthFile, type TruthReading } from './truth-file.ts';

// `main.ts verify`: compares rows that somebody else has read from Kafka and decoded with a truth file. So the comparison shares no
// code with the pipeline, and whoever can read the topics can use it.
//
// stdin, one JSON object a line: {"topic":"aggregates", ...WindowAggregate} or {"topic":"alerts", ...Alert}, times in epoch ms,
// each partition in its order.

const DEFAULT_WINDOW_SIZE_MS = 60_000;

export interface VerifySettings {
  readonly truthPath: string;
  /** Null: whatever most rows have. */
  readonly windowSizeMs: number | null;
  readonly rules: readonly TruthRule[];
  readonly show: number;
  readonly output: 'text' | 'json';
}

/** Flags: --truth FILE [--window-size 10s] --rules JSON [--show N] [--output text|json]. Throws UsageError. */
export function parseVerifySettings(argv: readonly string[]): VerifySettings {
  const flags = parseFlags(argv, ['truth', 'window-size', 'rules', 'show', 'output']);
  const truthPath = flags['truth'];
  if (truthPath === undefined) throw new UsageError('--truth FILE is missing');
  const show = Number(flags['show'] ?? 20);
  if (!Number.isInteger(show) || show < 0) throw new UsageError(`--show is '${flags['show']}'; allowed is a whole number`);
  const output = flags['output'] ?? 'text';
  if (output !== 'text' && output !== 'json') throw new UsageError(`--output is '${output}'; allowed is text or json`);
  const windowSizeMs = flags['window-size'] === undefined ? null : duration(flags, 'window-size', 0);
  return { truthPath, windowSizeMs, rules: parseRules(flags['rules'] ?? '[]'), show, output };
}

/** [{"id", "metric", "above" | "below", "deadband"?, "forMs"?, "offDelayMs"?}] */
function parseRules(text: string): readonly TruthRule[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UsageError('--rules is not JSON', { cause: error });
  }
  if (!Array.isArray(parsed)) throw new UsageError('--rules is not a list');
  return parsed.map((entry: unknown) => {
    const rule = entry as Partial<TruthRule>;
    const limits = [rule.above, rule.below].filter((limit) => typeof limit === 'number');
    if (typeof rule.id !== 'string' || typeof rule.metric !== 'string' || limits.length !== 1) {
      throw new UsageError(`--rules: ${JSON.stringify(entry)} needs an id, a metric, and either above or below`);
    }
    const { id, metric, above, below, deadband = 0, forMs = 0, offDelayMs = 0 } = rule;
    return { id, metric, above, below, deadband, forMs, offDelayMs };
  });
}

/** Resolves with 0 when what came out is what was sent, else 4. */
export async function verify(settings: VerifySettings, stdin: NodeJS.ReadableStream, stdout: NodeJS.WritableStream): Promise<number> {
  const runs = await readTruthFile(settings.truthPath);
  const rows = await readRows(stdin);
  const readings = runs.flatMap((run) => run.readings);
  const windowSizeMs = settings.windowSizeMs ?? windowSizeOf(rows.aggregates, readings);
  const comparison = compare(readings, { windowSizeMs, rules: settings.rules }, rows);
  const cause = comparison.differences.length === 0 ? null : likelyCause(readings, windowSizeMs, rows.aggregates);
  const text =
    settings.output === 'json'
      ? JSON.stringify({ ...shortened(comparison, settings.show), likelyCause: cause })
      : [comparisonText(comparison, settings.show), ...(cause === null ? [] : [cause])].join('\n');
  stdout.write(`${text}\n`);
  return comparison.differences.length === 0 ? 0 : 4;
}

/** The window size that most rows of our devices have. A row of another size is then a difference. */
function windowSizeOf(rows: readonly ActualAggregate[], readings: readonly TruthReading[]): number {
  const devices = new Set(readings.map((reading) => reading.device));
  const own = rows.filter((row) => devices.has(row.deviceId));
  const sizes = [...Map.groupBy(own, (row) => row.windowEnd - row.windowStart)].sort(([, a], [, b]) => b.length - a.length);
  return sizes[0]?.[0] ?? DEFAULT_WINDOW_SIZE_MS;
}

/** What `--output json` prints: the first differences, how many there are, and what may be behind them. */
export type VerifyReport = Comparison & { readonly differenceCount: number; readonly likelyCause: string | null };

function shortened(comparison: Comparison, show: number): Omit<VerifyReport, 'likelyCause'> {
  return { ...comparison, differences: comparison.differences.slice(0, show), differenceCount: comparison.differences.length };
}

async function readRows(stdin: NodeJS.ReadableStream): Promise<{ aggregates: ActualAggregate[]; alerts: ActualAlert[] }> {
  const aggregates: ActualAggregate[] = [];
  const alerts: ActualAlert[] = [];
  let number = 0;
  for await (const line of createInterface({ input: stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1;
    if (line.trim() === '') continue;
    const row = JSON.parse(line) as { topic: string };
    if (row.topic === 'aggregates') aggregates.push(row as unknown as ActualAggregate);
    else if (row.topic === 'alerts') alerts.push(row as unknown as ActualAlert);
    else throw new UsageError(`stdin, line ${number}: topic is '${row.topic}'; allowed is aggregates or alerts`);
  }
  return { aggregates, alerts };
}

export function comparisonText(comparison: Comparison, show: number): string {
  const { differences } = comparison;
  const lines = [
    `sent      ${comparison.readingsSent} readings, ${comparison.readingsAcked} acknowledged`,
    `windows   ${comparison.windowsEqual} of ${comparison.windowsExpected} as expected${undecidedText(comparison.windowsUndecided)}`,
    `alerts    ${comparison.alertsEqual} of ${comparison.alertsExpected} as expected${undecidedText(comparison.alertsUndecided)}`,
  ];
  if (differences.length === 0) lines.push('verified: what came out is what was sent');
  else {
    lines.push(`${differences.length} ${differences.length === 1 ? 'difference' : 'differences'}:`);
    for (const { kind, text } of differences.slice(0, show)) lines.push(`  ${kind.padEnd(17)} ${text}`);
    if (differences.length > show) lines.push(`  ... and ${differences.length - show} more`);
  }
  return lines.join('\n');
}

function undecidedText(count: number): string {
  return count === 0 ? '' : ` (${count} more cannot be judged: readings without acknowledgement, or a silence at a limit)`;
}
