import { setTimeout as sleep } from 'node:timers/promises';
import type { ProfileChange } from '../core/device-profile.ts';
import type { DeviceProfileRecord } from '../core/device-profile-record.ts';
import { RecordReader } from '../core/record-batch.ts';
import type { FetchLoop, PartitionCursor, TopicPartition } from '../kafka/log-port.ts';
import * as events from '../ops/aggregator-events.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import { saidOfDevice } from './profile-decoding.ts';
import { nextRecord } from './read-range.ts';

// The devices topic while a partition runs: changes wait here until the run takes them between two slices.

/** So many changes wait, and no more: then nothing more is read. */
const WAITING_MAX = 500;
const SCHEMA_RETRY_MS = 1_000;

export interface TakenProfiles {
  readonly changes: readonly ProfileChange[];
  /** Position in the devices topic once they are applied. */
  readonly nextOffset: number;
}

export class ProfileFeed {
  private readonly cursor: PartitionCursor;
  private readonly decoder: ValueDecoder<DeviceProfileRecord>;
  private readonly at: TopicPartition;
  private readonly onChange: () => void;
  private readonly stop = new AbortController();
  private waiting: ProfileChange[] = [];
  private position: number;
  private takenUpTo: number;
  private failure: unknown = null;
  private room: () => void = () => undefined;

  constructor(options: {
    loop: FetchLoop;
    decoder: ValueDecoder<DeviceProfileRecord>;
    at: TopicPartition;
    from: number;
    onChange: () => void;
  }) {
    this.at = options.at;
    this.decoder = options.decoder;
    this.onChange = options.onChange;
    this.position = options.from;
    this.takenUpTo = options.from;
    this.cursor = options.loop.open(options.at, options.from);
    void this.follow().catch((error: unknown) => {
      this.failure = error;
      this.onChange();
    });
  }

  /** Whether `take` would give something, or throw. */
  get hasNews(): boolean {
    return this.position !== this.takenUpTo || this.failure !== null;
  }

  /** What has come since the last call; null when nothing has. Throws what made the feed give up. */
  take(): TakenProfiles | null {
    // Not the error itself: what stops a process when the readings have it only means here that the topic has to be read anew.
    if (this.failure !== null) throw new Error(`${this.at.topic}-${this.at.partition} cannot be followed`, { cause: this.failure });
    if (this.position === this.takenUpTo) return null;
    const changes = this.waiting;
    this.waiting = [];
    this.takenUpTo = this.position;
    this.room();
    return { changes, nextOffset: this.position };
  }

  close(): void {
    this.stop.abort();
    this.cursor.close();
    this.room();
  }

  private async follow(): Promise<void> {
    const reader = new RecordReader();
    while (!this.stop.signal.aborted) {
      const fetched = await this.next();
      if (fetched === null) return;
      reader.reset(fetched);
      while (nextRecord(reader, this.at)) {
        if (this.waiting.length >= WAITING_MAX) await this.roomForMore();
        await this.note(reader);
        if (this.stop.signal.aborted) return;
        this.position = reader.offset + 1;
      }
      const before = this.position;
      this.position = Math.max(this.position, reader.nextOffset);
      if (this.waiting.length > 0 || this.position > before) this.onChange();
    }
  }

  private async roomForMore(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.room = resolve;
    this.onChange();
    await promise;
  }

  /** null when the cursor was closed by us. */
  private async next() {
    try {
      return await this.cursor.next();
    } catch (error) {
      if (this.stop.signal.aborted) return null;
      throw error;
    }
  }

  /** Waits for a schema that is not known yet: profiles are late then, readings are not. */
  private async note(reader: RecordReader): Promise<void> {
    for (;;) {
      const said = saidOfDevice(reader, this.decoder, this.at.partition);
      if (said.kind === 'change') this.waiting.push([said.deviceId, said.profile]);
      if (said.kind !== 'unknown_schema') return;
      try {
        await this.decoder.load(said.schemaId);
        continue;
      } catch (cause) {
        events.schemaUnavailable(this.at.partition, said.schemaId, cause);
      }
      await sleep(SCHEMA_RETRY_MS, undefined, { signal: this.stop.signal }).catch(() => undefined);
      if (this.stop.signal.aborted) return;
    }
  }
}
