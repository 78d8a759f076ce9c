import { setTimeout as sleep } from 'node:timers/promises';
import type { ForeignProducer, ForeignRecord } from './foreign-producer.ts';

const INTERVAL_MS = 50;

export interface FeedOptions {
  /** For so long the records of one moment are sent again when Kafka cannot be reached. Default: not at all. */
  readonly patienceMs?: number;
}

/** Keeps writing readings of a few devices straight to Kafka, each device every 50 ms, until it is told to stop. */
export class LiveFeed {
  readonly #producer: ForeignProducer;
  readonly #patienceMs: number;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** Written so far, each counted once. */
  readings = 0;

  /** `round` gives the records of one moment; they count as one reading each. */
  constructor(
    producer: ForeignProducer,
    round: (now: number, number: number) => readonly ForeignRecord[],
    { patienceMs = 0 }: FeedOptions = {},
  ) {
    this.#producer = producer;
    this.#patienceMs = patienceMs;
    this.#ended = this.#run(round);
    // Whoever stops the feed is told.
    this.#ended.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(round: (now: number, number: number) => readonly ForeignRecord[]): Promise<void> {
    for (let number = 0; !this.#stop.signal.aborted; number++) {
      const records = round(Date.now(), number);
      await this.#send(records);
      this.readings += records.length;
      await sleep(INTERVAL_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
  /** What fails may be in the log all the same, and then comes twice: the records have identities. */
  async #send(records: readonly ForeignRecord[]): Promise<void> {
    const untilMs = performance.now() + this.#patienceMs;
    for (;;) {
      try {
        await this.#producer.send(records);
        return;
      } catch (error) {
        if (performance.now() >= untilMs) throw error;
        await sleep(INTERVAL_MS);
      }
    }
  }
}
