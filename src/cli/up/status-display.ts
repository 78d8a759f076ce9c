import type { LiveTerminal } from './live-terminal.ts';
import type { Pipeline } from './pipeline.ts';
import { statusBlock, statusLine } from './status-block.ts';

// Shows what the pipeline does again and again: a block on a terminal, a line elsewhere.

const BLOCK_INTERVAL_MS = 500;
const LINE_INTERVAL_MS = 5_000;

export interface StatusDisplayOptions {
  readonly screen: LiveTerminal;
  readonly isTerminal: boolean;
  readonly useColor: boolean;
}

export class StatusDisplay {
  private readonly pipeline: Pick<Pipeline, 'snapshot'>;
  private readonly options: StatusDisplayOptions;
  private readonly timer: NodeJS.Timeout;
  private before = { received: 0, atMs: performance.now() };
  private stopping: string | null = null;
  private hasEnded = false;

  constructor(pipeline: Pick<Pipeline, 'snapshot'>, options: StatusDisplayOptions) {
    this.pipeline = pipeline;
    this.options = options;
    this.timer = setInterval(() => this.draw(), options.isTerminal ? BLOCK_INTERVAL_MS : LINE_INTERVAL_MS);
  }

  /** Says what is being stopped, from now on. */
  showStopping(name: string): void {
    this.stopping = name;
    if (this.options.isTerminal) this.draw();
  }

  /** Ends and leaves nothing of the block: a summary says it all. May be called again. */
  endForSummary(): void {
    this.stop();
    this.options.screen.clear();
  }

  private stop(): void {
    this.hasEnded = true;
    clearInterval(this.timer);
  }

  private draw(): void {
    if (this.hasEnded) return;
    const { screen, isTerminal, useColor } = this.options;
    const now = this.pipeline.snapshot();
    const perSecond = this.perSecond(now.bridge.received);
    if (isTerminal) screen.show(['', ...statusBlock(now, { perSecond, useColor, stopping: this.stopping })]);
    else screen.print(statusLine(now, perSecond));
  }

  private perSecond(received: number): number {
    const atMs = performance.now();
    const rate = ((received - this.before.received) * 1000) / Math.max(1, atMs - this.before.atMs);
    this.before = { received, atMs };
    return rate;
  }
}
