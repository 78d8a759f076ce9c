import { setTimeout as sleep } from 'node:timers/promises';
import type { Alert } from '../core/alert-record.ts';
import { CorruptBatchError } from '../core/batch-errors.ts';
import { offsetAfterBatch } from '../core/batch-layout.ts';
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
  /** By partition: of what lies before, nobody knows all. The topic no longer goes back so far, or something there cannot be read. */
  wholeFromOffsets: readonly number[] = [];

  constructor(options: AlertFeedOptions) {
    this.options = options;
  }

  /** Resolves when everything that was there at the start has been told. Waits for a log or a registry that is away. */
  async start(): Promise<void> {
    const watermarks = await this.options.admin.watermarks(this.options.topic);
    this.wholeFromOffsets = watermarks.map(({ logStartOffset }) => logStartOffset);
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
    while (!this.stop.signal.aborted) {
      if (offset >= highWatermark) onCaughtUp();
      const cursor = loop.open({ topic, partition }, offset);
      this.cursors.add(cursor);
      try {
        for (;;) {
          offset = await this.readAnswer(cursor, offset);
          if (offset >= highWatermark) onCaughtUp();
        }
      } catch (error) {
        if (this.stop.signal.aborted) break;
        const next = await this.offsetAfter(error, partition, offset);
        if (next > offset) this.wholeFromOffsets = this.wholeFromOffsets.with(partition, next);
        offset = next;
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
      if (!(error instanceof CorruptBatchError)) throw error;
      const at = Math.max(offset, reader.nextOffset);
      events.alertUnreadable({ partition: fetched.partition, offset: at, why: error.message });
      throw new SkipTo(offsetAfterDamage(at, offsetAfterBatch(reader.buffer, error.baseOffset), fetched));
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
        await this.rest();
      }
    }
  }

  /** Where to go on after an interruption: where it was, after what is damaged, or at the start of what is still kept. */
  private async offsetAfter(error: unknown, partition: number, offset: number): Promise<number> {
    if (error instanceof SkipTo) return error.offset;
    const { code, details } = error instanceof IngotError ? error : { code: null, details: {} };
    const isDamage = code === 'CORRUPT_BATCH' || code === 'COMPRESSED_INPUT';
    if (isDamage) events.alertUnreadable({ partition, offset, why: (error as IngotError).message });
    else events.feedInterrupted(error);
    try {
      if (!isDamage) await this.rest();
      if (!isDamage && code !== 'OFFSET_OUT_OF_RANGE') return offset;
      const marks = (await this.options.admin.watermarks(this.options.topic))[partition];
      if (marks === undefined) return offset;
      return isDamage ? offsetAfterDamage(offset, details.nextOffset, marks) : marks.logStartOffset;
    } catch {
      // Closed, or the log is away: the next round finds out.
      await this.rest().catch(() => undefined);
      return offset;
    }
  }

  /** Rejects when the feed is closed. */
  private async rest(): Promise<void> {
    await sleep(RETRY_MS, undefined, { signal: this.stop.signal });
  }
}

/**
 * Where to go on behind a batch that cannot be read and that claims to end before `claimed`. When that cannot be true, at the next offset: the
 * log gives the batch again for as long as it goes on.
 */
function offsetAfterDamage(offset: number, claimed: unknown, { highWatermark }: { readonly highWatermark: number }): number {
  return typeof claimed === 'number' && claimed > offset && claimed <= highWatermark ? claimed : offset + 1;
}

/** Damage in the log that nothing repairs: what lies behind it is still wanted. */
class SkipTo extends Error {
  readonly offset: number;

  constructor(offset: number) {
    super(`goes on at ${offset}`);
    this.offset = offset;
  }
}
