import type { Alert } from '../core/alert-record.ts';
import type { FoldOutput } from '../core/fold-output.ts';
import type { ReadingRejectReason } from '../core/outcome.ts';
import { RecordsEncoder } from '../core/record-batch.ts';
import { ATTEMPT_HEADER, FIRST_APPEND_TIME_HEADER } from '../core/replay-headers.ts';
import type { TraceContext } from '../core/trace-context.ts';
import type { EncodedRecords } from '../kafka/log-port.ts';
import type { AggregatorTopics, RowEncoders } from './aggregator-ports.ts';
import {
  encodeJson,
  encodeProfile,
  type JournalEntry,
  PROFILE_KEY_PREFIX,
  PROGRESS_KEY,
  type Progress,
  SETTINGS_KEY,
  type SettingsRecord,
} from './progress.ts';
import { DeviceStateEncoder } from './state-codec.ts';

/** A batch of several records stays below the broker's default of 1 MiB for max.message.bytes, whatever the topic's own is. */
const BATCH_BYTES_MAX = 768 * 1024;

/**
 * A slice ends early when it has copied this many bytes of dead letters: they are as large as whoever wrote them likes, and a batch unpacks
 * to many times what was fetched.
 */
const DEAD_LETTER_BYTES_MAX = 8 * 1024 * 1024;

/**
 * No more of a refused key or value is copied: the topic takes 16 MiB, and a compressed batch may bring a larger record. Where that stands is
 * in the headers.
 */
const DEAD_LETTER_FIELD_BYTES_MAX = 7 * 1024 * 1024;

function firstBytes(field: Buffer | null): Buffer | null {
  return field === null ? null : field.subarray(0, DEAD_LETTER_FIELD_BYTES_MAX);
}

/** Collects the records for one topic, cut into batches that a broker accepts. */
class TopicRecords {
  private readonly encoder = new RecordsEncoder(16 * 1024);
  private full: EncodedRecords[] = [];
  private fullBytes = 0;
  private readonly topic: string;
  private readonly partition: number;

  constructor(topic: string, partition: number) {
    this.topic = topic;
    this.partition = partition;
  }

  begin(nowMs: number): void {
    this.full = [];
    this.fullBytes = 0;
    this.encoder.reset(nowMs);
  }

  get sizeBytes(): number {
    return this.fullBytes + this.encoder.sizeBytes;
  }

  add(key: Buffer | null, value: Buffer | null, headers?: readonly (readonly [string, string | Uint8Array])[]): void {
    const { encoder } = this;
    const bytes = (key?.length ?? 0) + (value?.length ?? 0);
    if (encoder.count > 0 && encoder.sizeBytes + bytes > BATCH_BYTES_MAX) this.cut();
    encoder.add(key, value, encoder.baseTimestampMs, headers);
  }

  take(): EncodedRecords[] {
    if (this.encoder.count > 0) this.cut();
    return this.full;
  }

  private cut(): void {
    const { topic, partition, encoder } = this;
    const baseTimestampMs = encoder.baseTimestampMs;
    this.full.push({ topic, partition, records: encoder.take(), count: encoder.count, baseTimestampMs });
    this.fullBytes += encoder.sizeBytes;
    encoder.reset(baseTimestampMs);
  }
}

/** A record that the fold refused, as it stands in the fetched answer. */
export interface RefusedRecord {
  readonly offset: number;
  readonly reason: ReadingRejectReason;
  /** What exactly was wrong, for people. */
  readonly detail: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** When it came into the log, before any replay: epoch ms. */
  readonly firstAppendTimeMs: number;
  /** How often it has been tried, 1 without a replay. */
  readonly attempt: number;
  /** To which trace the reading belongs. */
  readonly trace: TraceContext | null;
}

/** A reading that belongs to a trace. */
interface TracedReading {
  readonly offset: number;
  readonly trace: TraceContext;
}

/** What stands in a transaction besides the fold's output. */
export interface SliceMarks {
  readonly progress: Progress;
  readonly journal: JournalEntry;
  /** When they have changed. */
  readonly settings?: SettingsRecord;
}

/** Makes the records of one partition's transactions. `begin`, any number of `deadLetter`, then `finish`; and again. */
export class SliceWriter {
  private readonly aggregates: TopicRecords;
  private readonly alerts: TopicRecords;
  private readonly deadLetters: TopicRecords;
  private readonly state: TopicRecords;
  private readonly journal: TopicRecords;
  private readonly partition: number;
  private readonly readingsTopic: string;
  private readonly encoders: RowEncoders;
  private readonly states = new DeviceStateEncoder();
  /** Readings of a trace with which alerts came, by the place of those in the fold's output. */
  private readonly alertTraces = new Map<number, TracedReading>();
  private nowMs = 0;

  constructor(options: { topics: AggregatorTopics; partition: number; encoders: RowEncoders }) {
    const { topics, partition, encoders } = options;
    this.partition = partition;
    this.readingsTopic = topics.readings;
    this.encoders = encoders;
    this.aggregates = new TopicRecords(topics.aggregates, partition);
    this.alerts = new TopicRecords(topics.alerts, partition);
    this.deadLetters = new TopicRecords(topics.readingsDlq, partition);
    this.state = new TopicRecords(topics.state, partition);
    this.journal = new TopicRecords(topics.journal, partition);
  }

  /** nowMs: create time of the records, epoch ms. */
  begin(nowMs: number): void {
    this.nowMs = nowMs;
    this.alertTraces.clear();
    for (const topic of [this.aggregates, this.alerts, this.deadLetters, this.state, this.journal]) topic.begin(nowMs);
  }

  /** Whether the slice should end for what has been copied into it. */
  get isFull(): boolean {
    return this.deadLetters.sizeBytes >= DEAD_LETTER_BYTES_MAX;
  }

  /** Copies the refused record into the dead letters, its bytes untouched, unless they are more than any record of ours has. */
  deadLetter(refused: RefusedRecord): void {
    const key = firstBytes(refused.key);
    const value = firstBytes(refused.value);
    const isWhole = key?.length === refused.key?.length && value?.length === refused.value?.length;
    const cut = isWhole ? '' : ` (cut off: the key had ${refused.key?.length ?? 0} bytes, the value ${refused.value?.length ?? 0})`;
    this.deadLetters.add(key, value, [
      ['original-topic', this.readingsTopic],
      ['failure-reason', refused.reason],
      ['failure-stage', 'aggregator'],
      ['failure-detail', refused.detail + cut],
      ['timestamp', String(this.nowMs)],
      [ATTEMPT_HEADER, String(refused.attempt)],
      [FIRST_APPEND_TIME_HEADER, String(refused.firstAppendTimeMs)],
      ['source-partition', String(this.partition)],
      ['source-offset', String(refused.offset)],
      ...(refused.trace ?? []),
    ]);
  }

  /** The fold's alerts [from, to) since `begin` came with this reading, which has caused them or moved the clock by which they were due. */
  traceAlerts(from: number, to: number, reading: TracedReading): void {
    for (let place = from; place < to; place++) this.alertTraces.set(place, reading);
  }

  /** The trace of the reading that caused the alert: it is the last of its evidence. */
  private traceOf(place: number, { evidence }: Alert): TraceContext | undefined {
    const reading = this.alertTraces.get(place);
    return reading !== undefined && evidence.at(-1)?.offset === reading.offset ? reading.trace : undefined;
  }

  /** Adds what the fold put out and where it stands; returns all batches of the transaction. */
  finish(output: FoldOutput, marks: SliceMarks): EncodedRecords[] {
    for (const row of output.aggregates) this.aggregates.add(Buffer.from(row.deviceId), this.encoders.aggregate(row));
    for (const [place, alert] of output.alerts.entries())
      this.alerts.add(Buffer.from(alert.deviceId), this.encoders.alert(alert), this.traceOf(place, alert));
    // Tombstones go first: a device may have been forgotten and seen again in the same slice.
    for (const deviceId of output.forgottenDevices) this.state.add(Buffer.from(deviceId), null);
    for (const device of output.changedDevices) this.state.add(Buffer.from(device.deviceId), this.states.encode(device));
    for (const [deviceId, profile] of marks.journal.profiles ?? [])
      this.state.add(Buffer.from(PROFILE_KEY_PREFIX + deviceId), profile === null ? null : encodeProfile(profile));
    if (marks.settings !== undefined) this.state.add(Buffer.from(SETTINGS_KEY), encodeJson(marks.settings));
    this.state.add(Buffer.from(PROGRESS_KEY), encodeJson(marks.progress));
    this.journal.add(null, encodeJson(marks.journal));
    return [this.aggregates, this.alerts, this.deadLetters, this.state, this.journal].flatMap((topic) => topic.take());
  }
}
