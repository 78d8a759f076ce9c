import { cpus, loadavg } from 'node:os';

// What a benchmark found out, how several runs become one figure, and the table.

export interface Figure {
  /** What was measured, with its unit: `bridge: messages/s`. */
  readonly name: string;
  readonly ours: number;
  /** The same of the script that everything is compared with, from the same run; null where there is nothing to compare. */
  readonly yardstick: number | null;
  /** What the figure has to be, for people. */
  readonly target?: string;
}

/** A figure over several runs. The ratio is taken within each run, because the machine is another one a minute later. */
export interface SummedFigure {
  readonly name: string;
  readonly ours: number;
  readonly least: number;
  readonly most: number;
  readonly yardstick: number | null;
  readonly ratio: number | null;
  readonly target: string;
}

/** NaN for an empty list. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The nearest rank; NaN for an empty list. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** Medians by name, in the order of the first run. */
export function sumUp(runs: readonly (readonly Figure[])[]): SummedFigure[] {
  const byName = Map.groupBy(runs.flat(), (figure) => figure.name);
  return [...byName].map(([name, figures]) => {
    const ours = figures.map((figure) => figure.ours);
    const compared = figures.flatMap(({ ours: mine, yardstick }) => (yardstick === null ? [] : [{ mine, yardstick }]));
    return {
      name,
      ours: median(ours),
      least: Math.min(...ours),
      most: Math.max(...ours),
      yardstick: compared.length === 0 ? null : median(compared.map(({ yardstick }) => yardstick)),
      ratio:
        compared.length === 0 ? null : median(compared.map(({ mine, yardstick }) => (yardstick === 0 ? Number.NaN : mine / yardstick))),
      target: figures[0]?.target ?? '',
    };
  });
}

const HEADINGS = ['', 'Ingot', 'least..most', 'script', 'Ingot/script', 'target'];

/** Columns for a terminal; one line per figure. */
export function figureTable(figures: readonly SummedFigure[]): string {
  const rows = figures.map(({ name, ours, least, most, yardstick, ratio, target }) => [
    name,
    short(ours),
    least === most ? '' : `${short(least)}..${short(most)}`,
    yardstick === null ? '' : short(yardstick),
    ratio === null || Number.isNaN(ratio) ? '' : ratio.toFixed(2),
    target,
  ]);
  const lines = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const isNumber = (column: number): boolean => column > 0 && column < HEADINGS.length - 1;
  return lines
    .map((line) =>
      line
        .map((cell, column) => (isNumber(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Three digits that matter, and whole numbers above 100. */
function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** What the figures were measured on. */
export function machine(): string {
  const processors = cpus();
  return `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown processor'}, Node ${process.versions.node}`;
}

/** Processes that wanted to run during the last minute: what others took from the figures. */
export function loadAverage(): number {
  return loadavg()[0]!;
}
