// Lines that stay, and below them a block that is drawn again in place. Without a terminal there is no block.

const ERASE_BELOW = '\x1b[0J';

export class LiveTerminal {
  private readonly stream: NodeJS.WritableStream;
  private readonly isTerminal: boolean;
  private block: readonly string[] = [];
  private drawn = 0;

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

  /** Leaves what is drawn and draws no more. */
  end(): void {
    this.block = [];
    this.drawn = 0;
  }

  private redraw(lines: readonly string[]): void {
    const up = this.isTerminal && this.drawn > 0 ? `\x1b[${this.drawn}A${ERASE_BELOW}` : '';
    const below = this.isTerminal ? this.block : [];
    this.drawn = below.length;
    this.stream.write(up + [...lines, ...below].map((line) => `${line}\n`).join(''));
  }
}
