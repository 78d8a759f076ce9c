// When to let a connection rest. An MQTT broker writes every PUBLISH by itself, so a reader that is always there is woken five thousand
// times a second at five thousand messages a second, and the waking costs more than the messages. One that rests for some milliseconds
// finds dozens of them in the buffer of the kernel, takes them in one read and sends them in one batch. Behind a backlog there is always
// something to read: there it does not rest.

export interface ReadPaceOptions {
  readonly restMs: number;
  /** What comes in `restMs` above this is read at once: the kernel's buffer shall not fill, which would slow the broker down. */
  readonly flowingBytes: number;
}

/** Told of every read; the times are those of one monotonic clock, ms. */
export class ReadPace {
  readonly #options: ReadPaceOptions;
  /** Since the last rest, or since the measuring began. */
  #bytes = 0;
  #isFlowing = false;
  #measuredSinceMs = 0;

  constructor(options: ReadPaceOptions) {
    this.#options = options;
  }

  /** Whether to rest now. `isEmptied`: the read took less than it could have. */
  isRestDue(read: { readonly bytes: number; readonly isEmptied: boolean; readonly nowMs: number }): boolean {
    const { restMs, flowingBytes } = this.#options;
    this.#bytes += read.bytes;
    if (!read.isEmptied) return false;
    // So much as came during a rest has to be told from so much as comes while reading goes on, which takes as long.
    if (this.#isFlowing && read.nowMs - this.#measuredSinceMs < restMs) return false;
    this.#isFlowing = this.#bytes > flowingBytes;
    this.#measuredSinceMs = read.nowMs;
    this.#bytes = 0;
    return !this.#isFlowing;
  }
}
