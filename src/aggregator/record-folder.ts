import { crc32c } from '../core/crc32c.ts';
import type { ReadingRejectReason } from '../core/outcome.ts';
import type { PartitionFold } from '../core/partition-fold.ts';
import { RecordReader } from '../core/record-batch.ts';
import { firstAppendTimeOf } from '../core/replay-headers.ts';
import { traceContextOfHeaders } from '../core/trace-context.ts';
import type { Fetched, TopicPartition } from '../kafka/log-port.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import { APPEND_TIME_AHEAD_MAX_MS, appendTimeAhead } from './append-time.ts';
import type { LastFolded } from './progress.ts';
import { nextRecord } from './read-range.ts';
import { type RefusedTimes, refusalDetail, refusedRecord } from './refusal-detail.ts';
import { routedReading } from './routed-reading.ts';
import type { SliceWriter } from './slice-writer.ts';

// Folds the records of answers, one after the other, until something has to be waited for. It never waits itself: the compiler makes one
// function of a loop that does not, and of one that does it makes a new one each time.

/** A slice ends early when it has put out this many records; what falls due by the clock comes in steps. */
const OUTPUT_RECORDS_MAX = 50_000;

/**
 * Why the folder has stopped: the answer is at its end; the slice is full; or the record that it stands on needs a schema (`schemaId`), or would
 * make so many devices due that the clock has to go there in steps (`reader.timestampMs`), before `fold` goes on with that record.
 */
type FoldPause = 'end' | 'full' | 'schema' | 'steps';

/** What an answer is folded with. */
interface FoldLimits {
  /** How many records a slice may hold. */
  readonly recordsMax: number;
  /** So many devices may become due at once. */
  readonly dueDevicesMax: number;
}

interface RecordFolderOptions {
  readonly context: Pick<AggregatorContext, 'decoder' | 'partitions' | 'topics'>;
  readonly partition: number;
  readonly fold: PartitionFold;
  /** Takes the dead letters. */
  readonly writer: SliceWriter;
  /** What the restore has found. */
  readonly from: { readonly position: number; readonly lastFolded: LastFolded | null };
}

export class RecordFolder {
  readonly reader = new RecordReader();
  /** The offset after the last record folded, or skipped at the end of an answer. */
  position: number;
  lastFolded: LastFolded | null;
  /** Records folded since the last commit, and since when (performance.now()). */
  pending = 0;
  pendingSinceMs = performance.now();
  /** When the bridge received the first reading of the slice that is no replay; NaN before there is one. */
  oldestReceivedAtMs = Number.NaN;
  /** After `schema`: of the record that the reader stands on. */
  schemaId = -1;

  private readonly context: RecordFolderOptions['context'];
  private readonly at: TopicPartition;
  private readonly foldState: PartitionFold;
  private readonly writer: SliceWriter;
  private limits: FoldLimits = { recordsMax: 0, dueDevicesMax: 0 };
  private appendTimeMaxMs = Number.NaN;
  /** Whether the reader stands on a record that is not folded yet. */
  private isAtRecord = false;
  // Where the last record folded stands in the answer. NaN, so that a time finds a place for a fraction there.
  private lastOffset = -1;
  private lastAppendTimeMs = Number.NaN;
  private lastValueStart = -1;
  private lastValueEnd = -1;

  constructor({ context, partition, fold, writer, from }: RecordFolderOptions) {
    this.context = context;
    this.at = { topic: context.topics.readings, partition };
    this.foldState = fold;
    this.writer = writer;
    this.position = from.position;
    this.lastFolded = from.lastFolded;
  }

  /** Offset of the last record folded in this life; -1 before there is one. */
  get lastFoldedOffset(): number {
    return this.lastOffset;
  }

  /** The records of this answer are next. */
  begin(fetched: Fetched, limits: FoldLimits): void {
    this.reader.reset(fetched);
    this.limits = limits;
    this.appendTimeMaxMs = Date.now() + APPEND_TIME_AHEAD_MAX_MS;
    this.isAtRecord = false;
  }

  /** Goes on until a pause. Throws IngotErrors `APPEND_TIME_AHEAD`, `COMPRESSED_INPUT`, `CORRUPT_BATCH`. */
  fold(): FoldPause {
    const { reader, foldState, at, limits, appendTimeMaxMs } = this;
    while (this.isAtRecord || nextRecord(reader, at)) {
      this.isAtRecord = true;
      if (reader.timestampMs > appendTimeMaxMs) throw appendTimeAhead(reader, at);
      if (foldState.stepBefore(reader.timestampMs, limits.dueDevicesMax) !== null) return 'steps';
      if (!this.foldRecord()) return 'schema';
      this.isAtRecord = false;
      this.position = reader.offset + 1;
      if (this.pending === 0) this.pendingSinceMs = performance.now();
      this.pending += 1;
      if (this.pending >= limits.recordsMax || foldState.pendingRecords >= OUTPUT_RECORDS_MAX || this.writer.isFull) return 'full';
    }
    this.position = Math.max(this.position, reader.nextOffset);
    return 'end';
  }

  /** Remembers the last record folded, while the answer that holds its bytes is still valid. */
  noteLastFolded(): void {
    const { lastOffset: offset, lastAppendTimeMs: appendTimeMs, lastValueStart: start, lastValueEnd: end } = this;
    if (offset < 0 || offset === this.lastFolded?.offset) return;
    this.lastFolded = { offset, appendTimeMs, crc: start < 0 ? 0 : crc32c(this.reader.buffer, start, end) };
  }

  /** The slice is committed: the next one begins. */
  beginSlice(): void {
    this.pending = 0;
    this.oldestReceivedAtMs = Number.NaN;
  }

  /** Folds the record that the reader stands on. False when its schema has to be loaded first. */
  private foldRecord(): boolean {
    const { reader, foldState: fold } = this;
    const routed = routedReading(reader, this.context, this.at.partition);
    if (routed.kind === 'unknown_schema') {
      this.schemaId = routed.schemaId;
      return false;
    }
    if (routed.kind === 'value') {
      const { timestampMs, hasHeaders } = reader;
      const { value } = routed;
      const firstAppendTimeMs = hasHeaders ? firstAppendTimeOf(reader.headers(), timestampMs) : timestampMs;
      // How long a replayed one lay among the dead letters says nothing of the way from a device to here.
      if (Number.isNaN(this.oldestReceivedAtMs) && firstAppendTimeMs === timestampMs) this.oldestReceivedAtMs = value.receivedAt;
      const alertsBefore = fold.pendingAlerts;
      const outcome = fold.reading(reader.offset, timestampMs, value, firstAppendTimeMs);
      if (hasHeaders && fold.pendingAlerts > alertsBefore) this.traceAlerts(alertsBefore);
      if (outcome !== 'counted' && outcome !== 'not_aggregatable' && outcome !== 'duplicate') {
        this.deadLetter(outcome, { eventTimeMs: value.eventTime, appendTimeMs: timestampMs, firstAppendTimeMs });
      }
    } else {
      fold.reject(reader.offset, reader.timestampMs, routed.kind);
      this.deadLetter(routed.kind, null);
    }
    this.lastOffset = reader.offset;
    this.lastAppendTimeMs = reader.timestampMs;
    this.lastValueStart = reader.valueStart;
    this.lastValueEnd = reader.valueEnd;
    return true;
  }

  /** The alerts after the first so many came with the record that the reader stands on. */
  private traceAlerts(alertsBefore: number): void {
    const { offset } = this.reader;
    const trace = traceContextOfHeaders(this.reader.headers());
    if (trace !== null) this.writer.traceAlerts(alertsBefore, this.foldState.pendingAlerts, { offset, trace });
  }

  private deadLetter(reason: ReadingRejectReason, times: RefusedTimes | null): void {
    const detail = refusalDetail(reason, times, this.foldState.settings);
    this.writer.deadLetter(refusedRecord(this.reader, reason, detail));
  }
}
