import { stripVTControlCharacters } from 'node:util';

// Lines that stay, and below them a block that is drawn again in place. Without a terminal there is no block.

const ERASE_BELOW = '\x1b[0J';
/** A part of a line that changes the colour and takes no room. */
const COLOR_CHANGE = /(\p{Cc}\[[0-9;]*m)/u;
const COLOR_OFF = '\x1b[0m';

/** What a terminal tells of its size. */
type SizedStream = NodeJS.WritableStream & { readonly columns?: number; readonly rows?: number };

export class LiveTerminal {
  private readonly stream: SizedStream;
  private readonly isTerminal: boolean;
  private block: readonly string[] = [];
  /** The lines of the block as they stand on the terminal. */
  private drawn: readonly string[] = [];

  constructor(stream: NodeJS.WritableStream, isTerminal: boolean) {
    this.stream = stream;
    this.isTerminal = isTerminal;
  }

  /** Prints lines above the block. */
  print(...lines: readonly string[]): void {
    this.redraw(lines);
  }

  /** Replaces the block; does nothing without a terminal. */
  show(block: readonly string[]): void {
    this.block = block;
    if (this.isTerminal) this.redraw([]);
  }

  /** Takes the block away. */
  clear(): void {
    if (this.block.length > 0) this.show([]);
  }

  private redraw(lines: readonly string[]): void {
    const erase = this.eraseDrawn();
    this.drawn = this.isTerminal ? this.fitting() : [];
    // In one piece: a terminal then shows no state in between.
    this.stream.write(erase + [...lines, ...this.drawn].map((line) => `${line}\n`).join(''));
  }

  private eraseDrawn(): string {
    if (this.drawn.length === 0) return '';
    const { columns } = this.size();
    // A terminal that was made narrower since has wrapped what it shows.
    const rows = this.drawn.reduce((total, line) => total + Math.max(1, Math.ceil(widthOf(line) / columns)), 0);
    return `\x1b[${rows}A\r${ERASE_BELOW}`;
  }

  /** What of the block has room: a line that wraps, or one that has scrolled out, could not be drawn over. */
  private fitting(): readonly string[] {
    const { columns, rows } = this.size();
    return this.block.slice(0, Math.max(1, rows - 1)).map((line) => cutToWidth(line, columns - 1));
  }

  private size(): { readonly columns: number; readonly rows: number } {
    return { columns: Math.max(2, this.stream.columns || 80), rows: this.stream.rows || 24 };
  }
}

function widthOf(line: string): number {
  return stripVTControlCharacters(line).length;
}

/** The beginning of the line that takes at most `width` columns; colours take none. Every character counts as one column. */
export function cutToWidth(line: string, width: number): string {
  if (widthOf(line) <= width) return line;
  let room = width - 1;
  let cut = '';
  for (const part of line.split(COLOR_CHANGE)) {
    if (COLOR_CHANGE.test(part)) cut += part;
    else if (room > 0) {
      cut += part.slice(0, room);
      room -= part.length;
      if (room <= 0) cut += '…';
    }
  }
  return cut === stripVTControlCharacters(cut) ? cut : cut + COLOR_OFF;
}
