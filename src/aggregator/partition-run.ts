import { setTimeout as sleep } from 'node:timers/promises';
import type { ProfileChange } from '../core/device-profile.ts';
import { FOLD_VERSION } from '../core/fold-settings.ts';
import type { Fetched, PartitionCursor, TransactionLane } from '../kafka/log-port.ts';
import * as events from '../ops/aggregator-events.ts';
import type { AggregatorContext } from './aggregator-ports.ts';
import { IdleClock } from './idle-clock.ts';
import { dueDevicesMaxOf, slicePatienceMs, sliceRecordsMax } from './pacing.ts';
import { ProfileFeed, type TakenProfiles } from './profile-feed.ts';
import { ProfileRepeats } from './profile-repeats.ts';
import type { JournalEntry, Progress, SettingsRecord } from './progress.ts';
import { RecordFolder } from './record-folder.ts';
import type { RestoredPartition } from './restore-partition.ts';
import { changesOf } from './restore-profiles.ts';
import { SliceWriter } from './slice-writer.ts';

// A partition from its restore to its end: slice after slice, fold and commit. It folds in place and undoes nothing: after any error the whole
// object is dropped, and the next one begins from the log.

const SETTINGS_REPEAT_MS = 86_400_000;
const SCHEMA_RETRY_MS = 1_000;
const PROFILES_PER_TRANSACTION = 500;
/** Where only transaction markers came the position is committed this late, so that retention may delete them. */
const IDLE_POSITION_MS = 30_000;

/** One partition as the terminal and the page show it. */
export interface PartitionStatus {
  readonly devices: number;
  readonly openParts: number;
  readonly alertsFiring: number;
  /** Records in the log that are not folded yet, as of the last answer. */
  readonly lagRecords: number;
}

interface CommitExtras {
  readonly tick?: boolean;
  readonly profiles?: readonly ProfileChange[];
  readonly settings?: SettingsRecord;
  readonly lost?: JournalEntry['lost'];
}

export class PartitionRun {
  private readonly context: AggregatorContext;
  private readonly partition: number;
  private readonly lane: TransactionLane;
  private readonly onCommitting: (committing: boolean) => void;
  private readonly dueDevicesMax: number;
  private readonly fold: RestoredPartition['fold'];
  private readonly settings: SettingsRecord;
  private readonly writer: SliceWriter;
  private readonly records: RecordFolder;
  private readonly stop = new AbortController();
  private wake: () => void = () => undefined;

  private committed: number;
  private committedAtMs = performance.now();
  private txnSeq: number;
  private devicesOffset: number;
  private lagRecords = 0;
  /** Of these, what no open transaction holds back. */
  private readableRecords = 0;
  private readonly idleClock: IdleClock;
  /** The journal outlives neither the process that began it nor eight days, so each run tells its settings first. */
  private settingsJournaledClockMs = Number.NEGATIVE_INFINITY;
  private readonly profileRepeats = new ProfileRepeats();

  constructor(options: {
    context: AggregatorContext;
    partition: number;
    lane: TransactionLane;
    restored: RestoredPartition;
    /** Told when a commit begins and ends. */
    onCommitting: (committing: boolean) => void;
  }) {
    const { context, partition, restored } = options;
    this.context = context;
    this.partition = partition;
    this.lane = options.lane;
    this.onCommitting = options.onCommitting;
    this.dueDevicesMax = dueDevicesMaxOf(context.pace);
    this.fold = restored.fold;
    this.settings = restored.settings;
    this.committed = restored.position;
    this.txnSeq = restored.txnSeq;
    this.devicesOffset = restored.devicesOffset;
    this.idleClock = new IdleClock(restored.fold.clockMs);
    this.writer = new SliceWriter({ topics: context.topics, partition, encoders: context.encoders });
    this.writer.begin(Date.now());
    this.records = new RecordFolder({ context, partition, fold: this.fold, writer: this.writer, from: restored });
  }

  /** C as committed. */
  get committedOffset(): number {
    return this.committed;
  }

  /** What is in memory now, and how far the log is ahead of it. Counts: not for the hot path. */
  status(): PartitionStatus {
    const { deviceCount: devices, openPartCount: openParts, raisedAlertCount: alertsFiring } = this.fold;
    return { devices, openParts, alertsFiring, lagRecords: this.lagRecords };
  }

  /** Commits what the restore itself has to write, before the first record. */
  async commitRestored({ toJournal, missedProfiles: { changes, nextOffset } }: RestoredPartition): Promise<void> {
    if (toJournal !== null) await this.commit(toJournal);
    for (let at = 0; at < changes.length; at += PROFILES_PER_TRANSACTION) {
      const last = at + PROFILES_PER_TRANSACTION >= changes.length;
      const nextDevicesOffset = last ? nextOffset : this.devicesOffset;
      await this.changeProfiles({ changes: changes.slice(at, at + PROFILES_PER_TRANSACTION), nextOffset: nextDevicesOffset });
    }
    this.devicesOffset = nextOffset;
  }

  requestStop(): void {
    this.stop.abort();
    this.wake();
  }

  /** Folds and commits until `requestStop`, then commits what is left. Rejects on any error; the object is of no use then. */
  async run(): Promise<void> {
    const { topics, input, profiles: loop, profileDecoder: decoder } = this.context;
    const cursor = input.open({ topic: topics.readings, partition: this.partition }, this.records.position);
    const at = { topic: topics.devices, partition: this.partition };
    const profiles = new ProfileFeed({ loop, decoder, at, from: this.devicesOffset, onChange: () => this.wake() });
    try {
      await this.foldUntilStopped(cursor, profiles);
      if (this.records.pending > 0) await this.commit();
    } finally {
      profiles.close();
      cursor.close();
    }
  }

  private async foldUntilStopped(cursor: PartitionCursor, profiles: ProfileFeed): Promise<void> {
    let answer: Promise<Fetched> | null = null;
    while (!this.stop.signal.aborted) {
      const taken = profiles.take();
      if (taken !== null) await this.changeProfiles(taken);
      answer ??= cursor.next();
      const fetched = await this.answerOrTimeout(answer, profiles.hasNews);
      if (fetched === null) {
        if (this.records.pending > 0) await this.commit();
        continue;
      }
      answer = null;
      this.noteLag(fetched);
      await this.foldAnswer(fetched);
      this.noteLag(fetched);
      events.partitionPosition({ partition: this.partition, lagRecords: this.lagRecords, clockMs: this.fold.clockMs, nowMs: Date.now() });
      if (this.isCommitDue() || this.isPositionOverdue()) await this.commit();
      if (this.lagRecords <= 0 && fetched.batches.length === 0) await this.tickTo(fetched.sentAtMs);
    }
    answer?.catch(() => undefined); // Closing the cursor rejects it.
  }

  private noteLag({ highWatermark, lastStableOffset }: Fetched): void {
    this.lagRecords = highWatermark - this.records.position;
    this.readableRecords = lastStableOffset - this.records.position;
  }

  /** The answer, or null when it is time to commit what is pending, to look at profiles, or to stop. */
  private answerOrTimeout(answer: Promise<Fetched>, isHurried: boolean): Promise<Fetched | null> {
    return new Promise((resolve, reject) => {
      const leftMs = isHurried ? 0 : this.records.pendingSinceMs + this.patienceMs - performance.now();
      const timer = isHurried || this.records.pending > 0 ? setTimeout(resolve, Math.max(0, leftMs), null) : undefined;
      this.wake = () => resolve(null);
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** How long the slice may wait for more. */
  private get patienceMs(): number {
    const { readableRecords: lagRecords, fold } = this;
    const { pending: readings } = this.records;
    const { pendingDevices: devices, pendingAlerts: alerts } = fold;
    return slicePatienceMs(this.context.pace, { readings, devices, alerts, lagRecords });
  }

  private isCommitDue(): boolean {
    return this.records.pending > 0 && performance.now() - this.records.pendingSinceMs >= this.patienceMs;
  }

  /** Whether the log has gone on for long without a record to fold, and the position was not committed since. */
  private isPositionOverdue(): boolean {
    return this.records.position > this.committed && performance.now() - this.committedAtMs >= IDLE_POSITION_MS;
  }

  private async foldAnswer(fetched: Fetched): Promise<void> {
    const { records, fold, dueDevicesMax } = this;
    const lastOffsetBefore = records.lastFoldedOffset;
    records.begin(fetched, { recordsMax: sliceRecordsMax(this.context.pace, this.readableRecords), dueDevicesMax });
    for (let pause = records.fold(); pause !== 'end'; pause = records.fold()) {
      records.noteLastFolded();
      if (pause === 'full') await this.commit();
      else if (pause === 'steps' && !(await this.stepTowards(records.reader.timestampMs))) return;
      else if (pause === 'schema' && !(await this.loadSchema(records.schemaId))) return;
    }
    records.noteLastFolded();
    // Markers and aborted records tell nothing about the partition clock.
    if (records.lastFoldedOffset !== lastOffsetBefore) this.idleClock.set(fold.clockMs);
  }

  /** Applies what was said of devices, in a transaction of its own between two records. */
  private async changeProfiles({ changes, nextOffset }: TakenProfiles): Promise<void> {
    const profiles = changesOf(this.fold.allProfiles, new Map(changes));
    if (profiles.length > 0) {
      if (this.records.pending > 0 || this.records.position > this.committed) await this.commit();
      this.fold.changeProfiles(profiles);
    }
    this.devicesOffset = nextOffset;
    if (profiles.length === 0) return;
    await this.commit({ profiles });
    events.profilesChanged(this.partition, profiles.length);
  }

  /** Waits until the schema is there, however long the registry is away; false when told to stop meanwhile. */
  private async loadSchema(schemaId: number): Promise<boolean> {
    for (;;) {
      try {
        await this.context.decoder.load(schemaId);
        return true;
      } catch (cause) {
        events.schemaUnavailable(this.partition, schemaId, cause);
      }
      if (this.records.pending > 0) await this.commit();
      await sleep(SCHEMA_RETRY_MS, undefined, { signal: this.stop.signal }).catch(() => undefined);
      if (this.stop.signal.aborted) return false;
    }
  }

  /**
   * Moves the partition clock although nothing came: to where it would be by the time that has passed on our own clock, up to the moment when
   * the log was asked and said that there was nothing.
   */
  private async tickTo(askedAtMs: number): Promise<void> {
    const { fold } = this;
    const clockMs = this.idleClock.tickAt(askedAtMs);
    if (clockMs === null || clockMs <= fold.clockMs || !fold.hasDueBy(clockMs)) return;
    this.idleClock.ticked(askedAtMs);
    if ((await this.stepTowards(clockMs)) && fold.hasDueBy(clockMs)) await this.commitTick(clockMs);
  }

  /**
   * Moves the partition clock towards clockMs until no more than so many devices are due there: the windows of a whole partition in one step
   * would hold up heartbeats, and every next owner. What is due in the same millisecond closes together. False when told to stop meanwhile.
   */
  private async stepTowards(clockMs: number): Promise<boolean> {
    const { fold, dueDevicesMax } = this;
    for (let stepMs = fold.stepBefore(clockMs, dueDevicesMax); stepMs !== null; stepMs = fold.stepBefore(clockMs, dueDevicesMax)) {
      if (this.stop.signal.aborted) return false;
      await this.commitTick(stepMs);
    }
    return true;
  }

  private async commitTick(clockMs: number): Promise<void> {
    // A tick is a transaction without input, so what lies before it is committed first: markers too.
    if (this.records.position > this.committed) await this.commit();
    this.fold.tick(clockMs);
    await this.commit({ tick: true });
  }

  private async commit(extras: CommitExtras = {}): Promise<void> {
    this.onCommitting(true);
    const startedAtMs = performance.now();
    const output = this.fold.takeOutput();
    const txnSeq = this.txnSeq + 1;
    const journal = this.journalEntry(txnSeq, output.counts, extras);
    const progress = this.progress(txnSeq);
    const marks = extras.settings === undefined ? { progress, journal } : { progress, journal, settings: extras.settings };
    await this.lane.commit(this.writer.finish(output, marks));
    this.txnSeq = txnSeq;
    this.committed = this.records.position;
    this.committedAtMs = performance.now();
    const { oldestReceivedAtMs } = this.records;
    this.records.beginSlice();
    this.writer.begin(Date.now());
    events.transactionCommitted({ durationMs: performance.now() - startedAtMs, output });
    if (!Number.isNaN(oldestReceivedAtMs)) events.sliceDelivered(Date.now() - oldestReceivedAtMs);
    this.onCommitting(false);
  }

  private progress(txnSeq: number): Progress {
    return {
      groupId: this.context.groupId,
      foldVersion: FOLD_VERSION,
      nextOffset: this.records.position,
      lastFolded: this.records.lastFolded,
      clockMs: this.fold.clockMs,
      txnSeq,
      settingsId: this.settings.id,
      devicesOffset: this.devicesOffset,
    };
  }

  private journalEntry(
    txnSeq: number,
    counts: ReturnType<RestoredPartition['fold']['takeOutput']>['counts'],
    extras: CommitExtras,
  ): JournalEntry {
    const isDue = this.fold.clockMs - this.settingsJournaledClockMs >= SETTINGS_REPEAT_MS;
    if (isDue) {
      this.settingsJournaledClockMs = this.fold.clockMs;
      this.profileRepeats.begin(this.fold.allProfiles);
    }
    // One piece at a time: two of the largest are more than a broker takes.
    const profilesInForce = extras.profiles === undefined ? this.profileRepeats.next(this.fold.allProfiles) : undefined;
    return {
      txnSeq,
      from: this.committed,
      to: this.records.position,
      P: this.fold.clockMs,
      tick: extras.tick ?? false,
      settingsId: this.settings.id,
      ...(extras.settings && { settings: extras.settings.settings }),
      ...(extras.profiles && { profiles: extras.profiles }),
      ...(profilesInForce && { profilesInForce }),
      ...(isDue && extras.settings === undefined && { settingsInForce: this.settings.settings }),
      ...(extras.lost && { lost: extras.lost }),
      counts: Object.fromEntries(Object.entries(counts.outcomes).filter(([, count]) => count > 0)),
      late: counts.late,
      notJudged: counts.notJudged,
    };
  }
}
