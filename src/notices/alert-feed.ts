import { setTimeout as sleep } from 'node:timers/promises';
import type { Alert } from '../core/alert-record.ts';
import { CompressedBatchError, CorruptBatchError } from '../core/batch-errors.ts';
import { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { FetchLoop, LogAdmin, PartitionCursor, Watermarks } from '../kafka/log-port.ts';
import * as events from '../ops/notices-events.ts';
import type { ValueDecoder } from '../registry/value-decoder-port.ts';
import type { AlertPlace } from './notices-ports.ts';

// Every transition of the alerts topic, from the oldest that is kept, each partition in its order, committed records only.

const RETRY_MS = 1_000;

export interface AlertFeedOptions {
  readonly topic: string;
  readonly loop: FetchLoop;
  readonly admin: Pick<LogAdmin, 'watermarks'>;
  readonly decoder: ValueDecoder<Alert>;
  onAlert(alert: Alert, place: AlertPlace): void;
}

export class AlertFeed {
  private readonly options: AlertFeedOptions;
  private readonly stop = new AbortController();
  private readonly cursors = new Set<PartitionCursor>();
  private following: Promise<unknown> = Promise.resolve();
  /** The oldest offset that is kept, by partition; as of the start. */
  startOffsets: readonly number[] = [];

  constructor(options: AlertFeedOptions) {
    this.options = options;
  }

  /** Resolves when everything that was there at the start has been told. Waits for a log or a registry that is away. */
  async start(): Promise<void> {
    const watermarks = await this.options.admin.watermarks(this.options.topic);
    this.startOffsets = watermarks.map(({ logStartOffset }) => logStartOffset);
    const caughtUp = watermarks.map(() => Promise.withResolvers<void>());
    this.following = Promise.all(watermarks.map((marks, partition) => this.follow(partition, marks, caughtUp[partition]!.resolve)));
    await Promise.all(caughtUp.map(({ promise }) => promise));
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.stop.abort();
    for (const cursor of this.cursors) cursor.close();
    await this.following;
  }

  private async follow(partition: number, { logStartOffset, highWatermark }: Watermarks, onCaughtUp: () => void): Promise<void> {
    const { topic, loop } = this.options;
    let offset = logStartOffset;
    if (offset >= highWatermark) onCaughtUp();
    while (!this.stop.signal.aborted) {
      const cursor = loop.open({ topic, partition }, offset);
      this.cursors.add(cursor);
      try {
        for (;;) {
          offset = await this.readAnswer(cursor, offset);
          if (offset >= highWatermark) onCaughtUp();
        }
      } catch (error) {
        if (this.stop.signal.aborted) break;
        offset = await this.offsetAfter(error, partition, offset);
      } finally {
        this.cursors.delete(cursor);
        cursor.close();
      }
    }
    onCaughtUp();
  }

  /** Resolves with the offset after it. */
  private async readAnswer(cursor: PartitionCursor, offset: number): Promise<number> {
    const reader = new RecordReader();
    const fetched = await cursor.next();
    reader.reset(fetched);
    try {
      while (reader.next()) if (reader.valueStart >= 0 && reader.offset >= offset) await this.tell(reader, fetched.partition);
    } catch (error) {
      if (!(error instanceof CorruptBatchError || error instanceof CompressedBatchError)) throw error;
      events.alertUnreadable({ partition: fetched.partition, offset: reader.nextOffset, why: error.message });
      throw new SkipTo(Math.max(reader.nextOffset + 1, fetched.lastStableOffset));
    }
    return Math.max(offset, reader.nextOffset);
  }

  private async tell(reader: RecordReader, partition: number): Promise<void> {
    const { decoder, onAlert } = this.options;
    const decode = () => decoder.decode(reader.buffer, reader.valueStart, reader.valueEnd);
    let decoded = decode();
    while (decoded.kind === 'unknown_schema') {
      await this.load(decoded.schemaId);
      decoded = decode();
    }
    if (decoded.kind === 'value') onAlert(decoded.value, { partition, offset: reader.offset });
    else events.alertUnreadable({ partition, offset: reader.offset, why: 'it cannot be decoded' });
  }

  /** Waits for as long as the registry is away. Rejects when the feed is closed meanwhile. */
  private async load(schemaId: number): Promise<void> {
    for (;;) {
      try {
        await this.options.decoder.load(schemaId);
        return;
      } catch (cause) {
        events.feedInterrupted(cause);
        await sleep(RETRY_MS, undefined, { signal: this.stop.signal });
      }
    }
  }

  /** Where to go on after an interruption: where it was, after what is damaged, or at the start of what is still kept. */
  private async offsetAfter(error: unknown, partition: number, offset: number): Promise<number> {
    if (error instanceof SkipTo) return error.offset;
    events.feedInterrupted(error);
    try {
      await sleep(RETRY_MS, undefined, { signal: this.stop.signal });
      if (!(error instanceof IngotError) || error.code !== 'OFFSET_OUT_OF_RANGE') return offset;
      return (await this.options.admin.watermarks(this.options.topic))[partition]?.logStartOffset ?? offset;
    } catch {
      // Closed, or the log is away: the next round finds out.
      return offset;
    }
  }
}

/** Damage in the log that nothing repairs: what lies behind it is still wanted. */
class SkipTo extends Error {
  readonly offset: number;

  constructor(offset: number) {
    super(`goes on at ${offset}`);
    this.offset = offset;
  }
}
