import { setTimeout as sleep } from 'node:timers/promises';
import type { ForeignProducer, ForeignRecord } from './foreign-producer.ts';

const INTERVAL_MS = 50;

/** Keeps writing readings of a few devices straight to Kafka, each device every 50 ms, until it is told to stop. */
export class LiveFeed {
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** Written so far. */
  readings = 0;

  /** `round` gives the records of one moment; they count as one reading each. */
  constructor(producer: ForeignProducer, round: (now: number, number: number) => readonly ForeignRecord[]) {
    this.#ended = this.#run(producer, round);
    // Whoever stops the feed is told.
    this.#ended.catch(() => undefined);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(producer: ForeignProducer, round: (now: number, number: number) => readonly ForeignRecord[]): Promise<void> {
    for (let number = 0; !this.#stop.signal.aborted; number++) {
      const records = round(Date.now(), number);
      await producer.send(records);
      this.readings += records.length;
      await sleep(INTERVAL_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
}
