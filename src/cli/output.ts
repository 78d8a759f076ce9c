import { once } from 'node:events';
import type { CommandContext, FlagTable } from './command.ts';
import { escapeControls, styled, type TextStyle } from './terminal-text.ts';

// Rows of data on stdout as a table, JSON, JSON lines or CSV: a table on a terminal, JSON lines when piped.

const OUTPUT_FORMATS = ['table', 'json', 'jsonl', 'csv'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** The flag of every command that prints rows: `flags: { ...OUTPUT_FLAG, ... }`. */
export const OUTPUT_FLAG = {
  output: {
    kind: 'choice',
    short: 'o',
    choices: OUTPUT_FORMATS,
    help: 'Form of the output. Default: table on a terminal, jsonl when piped.',
  },
} as const satisfies FlagTable;

export interface Column<Row> {
  /** Head of the column in a table and in CSV. */
  readonly title: string;
  /** What stands in the cell; null and undefined are empty. */
  cell(row: Row): string | number | boolean | null | undefined;
  readonly alignRight?: boolean;
  /** Width in a table that is printed row by row; wider cells push the rest of their line. */
  readonly width?: number;
  style?(row: Row): TextStyle | null;
}

export interface RowOptions<Row> {
  readonly columns: readonly Column<Row>[];
  /** The object printed as JSON; default: the columns by title. It must be JSON already, big integers as text. */
  toJson?(row: Row): unknown;
  /** Rows come over time: the table is printed row by row with the columns' widths. */
  readonly isStream?: boolean;
  /** What a table says when there was no row. */
  readonly whenEmpty?: string;
}

type Sink = Pick<CommandContext, 'stdout' | 'isTerminal' | 'useColor'> & { readonly flags: { readonly output?: OutputFormat | undefined } };

/** Prints rows; call `end` once after the last. */
export class RowPrinter<Row> {
  readonly #sink: Sink;
  readonly #options: RowOptions<Row>;
  readonly #format: OutputFormat;
  readonly #waiting: Row[] = [];
  #count = 0;

  constructor(sink: Sink, options: RowOptions<Row>) {
    this.#sink = sink;
    this.#options = options;
    this.#format = sink.flags.output ?? (sink.isTerminal ? 'table' : 'jsonl');
  }

  get count(): number {
    return this.#count;
  }

  /** Resolves when stdout can take more: a slow reader slows the command down instead of filling its memory. */
  async print(row: Row): Promise<void> {
    this.#count++;
    if (this.#format === 'table' && !this.#options.isStream) {
      this.#waiting.push(row);
      return;
    }
    await this.#write(this.#head() + this.#line(row));
  }

  async end(): Promise<void> {
    const { whenEmpty, isStream } = this.#options;
    if (this.#format === 'json') await this.#write(this.#count === 0 ? '[]\n' : '\n]\n');
    else if (this.#format === 'csv' && this.#count === 0) await this.#write(csvLine(this.#titles()));
    else if (this.#format === 'table' && this.#count === 0 && whenEmpty) await this.#write(`${whenEmpty}\n`);
    else if (this.#format === 'table' && !isStream) await this.#write(this.#table());
  }

  #titles(): string[] {
    return this.#options.columns.map((column) => column.title);
  }

  /** What comes before a row. */
  #head(): string {
    const isFirst = this.#count === 1;
    if (this.#format === 'json') return isFirst ? '[\n' : ',\n';
    if (!isFirst) return '';
    if (this.#format === 'csv') return csvLine(this.#titles());
    if (this.#format === 'table') return `${styled(this.#tableLine(this.#titles(), this.#streamWidths()), 'bold', this.#sink.useColor)}\n`;
    return '';
  }

  #line(row: Row): string {
    switch (this.#format) {
      case 'json':
        return this.#json(row);
      case 'jsonl':
        return `${this.#json(row)}\n`;
      case 'csv':
        return csvLine(this.#options.columns.map((column) => this.#csvCell(column.cell(row))));
      case 'table':
        return `${this.#styledLine(row, this.#streamWidths())}\n`;
    }
  }

  /** JSON.stringify leaves DEL, C1 and bidirectional controls as they are; as \u escapes they mean the same to a program. */
  #json(row: Row): string {
    const { toJson, columns } = this.#options;
    const value = toJson ? toJson(row) : Object.fromEntries(columns.map((column) => [column.title, column.cell(row) ?? null]));
    return escapeControls(JSON.stringify(value));
  }

  #csvCell(cell: ReturnType<Column<Row>['cell']>): string {
    const text = cell === null || cell === undefined ? '' : String(cell);
    return this.#sink.isTerminal ? escapeControls(text) : text;
  }

  #table(): string {
    const cells = this.#waiting.map((row) => this.#options.columns.map((column) => tableCell(column.cell(row))));
    const widths = this.#titles().map((title, index) => Math.max(title.length, ...cells.map((line) => line[index]!.length)));
    const head = styled(this.#tableLine(this.#titles(), widths), 'bold', this.#sink.useColor);
    return `${[head, ...this.#waiting.map((row) => this.#styledLine(row, widths))].join('\n')}\n`;
  }

  #streamWidths(): number[] {
    return this.#options.columns.map((column) => Math.max(column.width ?? 0, column.title.length));
  }

  #tableLine(cells: readonly string[], widths: readonly number[]): string {
    return cells
      .map((cell, index) => this.#padded(cell, index, widths))
      .join('  ')
      .trimEnd();
  }

  #styledLine(row: Row, widths: readonly number[]): string {
    const { columns } = this.#options;
    return columns
      .map((column, index) => {
        const isLast = index === columns.length - 1;
        const cell = tableCell(column.cell(row));
        const padded = isLast && !column.alignRight ? cell : this.#padded(cell, index, widths);
        const style = column.style?.(row);
        return style ? styled(padded, style, this.#sink.useColor) : padded;
      })
      .join('  ');
  }

  #padded(cell: string, index: number, widths: readonly number[]): string {
    return this.#options.columns[index]!.alignRight ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!);
  }

  async #write(text: string): Promise<void> {
    const { stdout } = this.#sink;
    if (stdout.write(text) || !stdout.writable) return;
    await Promise.race([once(stdout, 'drain'), once(stdout, 'close')]).catch(() => {});
  }
}

/** Prints all rows and ends. */
export async function printRows<Row>(sink: Sink, rows: Iterable<Row>, options: RowOptions<Row>): Promise<void> {
  const printer = new RowPrinter(sink, options);
  for (const row of rows) await printer.print(row);
  await printer.end();
}

function tableCell(cell: string | number | boolean | null | undefined): string {
  return cell === null || cell === undefined ? '' : escapeControls(String(cell));
}

function csvLine(cells: readonly string[]): string {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`;
}
