import type { LiveTerminal } from './live-terminal.ts';

// What `ingot up` waits for while it starts: lines with a clock below what has been said on a terminal, a line at each beginning elsewhere.

const REDRAW_MS = 500;

interface Awaited {
  /** What is good to know while it lasts, such as how long it usually does. */
  readonly remark: string;
  readonly sinceMs: number;
}

export class StartProgress {
  private readonly screen: LiveTerminal;
  private readonly isTerminal: boolean;
  private readonly awaited = new Map<string, Awaited>();
  private readonly timer: NodeJS.Timeout;

  constructor(screen: LiveTerminal, isTerminal: boolean) {
    this.screen = screen;
    this.isTerminal = isTerminal;
    this.timer = setInterval(() => this.draw(), REDRAW_MS);
  }

  begin(what: string, remark = ''): void {
    this.awaited.set(what, { remark, sinceMs: performance.now() });
    if (this.isTerminal) this.draw();
    else this.screen.print(`waiting for ${withRemark(what, remark)}`);
  }

  /** Nothing happens when it did not begin. */
  done(what: string): void {
    this.awaited.delete(what);
    this.draw();
  }

  /** Takes the lines away; may be called again. */
  end(): void {
    clearInterval(this.timer);
    this.screen.clear();
  }

  private draw(): void {
    if (this.isTerminal) this.screen.show(progressBlock(this.awaited, performance.now()));
  }
}

/** `nowMs` and `sinceMs` are of one clock. */
export function progressBlock(awaited: ReadonlyMap<string, Awaited>, nowMs: number): string[] {
  const lines = [...awaited].map(
    ([what, { remark, sinceMs }]) => `  waiting for ${withRemark(what, remark)}: ${Math.floor((nowMs - sinceMs) / 1000)} s`,
  );
  return lines.length === 0 ? [] : ['', ...lines];
}

function withRemark(what: string, remark: string): string {
  return remark === '' ? what : `${what} (${remark})`;
}
