import { crc32c } from '../core/crc32c.ts';
import { PartitionFold } from '../core/partition-fold.ts';
import { RecordReader } from '../core/record-batch.ts';
import { firstAppendTimeOf } from '../core/replay-headers.ts';
import type { PartitionCursor, TopicPartition } from '../kafka/log-port.ts';
import type { JournalEntry, LastFolded } from './progress.ts';
import { nextRecord } from './read-range.ts';
import { forEachEntry, type RebuildStart } from './rebuild-journal.ts';
import type { RebuildContext } from './rebuild-partition.ts';
import { restoreIdentities } from './restore.ts';
import { routedReading } from './routed-reading.ts';

// The fold of the journal once more: the same records, ticks and changes in the same order. What it puts out is forgotten, because it was
// written long ago.

export interface RepeatedFold {
  readonly fold: PartitionFold;
  readonly lastFolded: LastFolded | null;
  readonly transactions: number;
  /** Transactions that came to other counts than the journal has. */
  readonly deviating: number;
}

export async function repeatFold(context: RebuildContext, partition: number, start: RebuildStart): Promise<RepeatedFold> {
  const fold = new PartitionFold({ topic: context.topics.readings, partition, settings: start.settings, uuid: context.uuid });
  for (const [deviceId, profile] of start.profiles) fold.restoreProfile(deviceId, profile);
  fold.restoreClock(start.clockMs);
  await restoreIdentities(context, partition, fold, start.readingsFrom);
  const readings = new RepeatedReadings(context, { topic: context.topics.readings, partition }, start.readingsFrom);
  let { settingsId } = start;
  let transactions = 0;
  let deviating = 0;
  const repeat = async (entry: JournalEntry): Promise<null> => {
    if (entry.settings !== undefined && entry.settingsId !== settingsId) {
      const { duplicateOffsets } = fold.settings;
      fold.changeSettings(entry.settings);
      if (fold.settings.duplicateOffsets !== duplicateOffsets) await restoreIdentities(context, partition, fold, entry.from);
    }
    settingsId = entry.settingsId;
    await readings.foldUpTo(entry.to, fold);
    // Those that a fold from the beginning has already; the others where it has begun later.
    for (const [deviceId, profile] of entry.profilesInForce?.profiles ?? [])
      if (!start.isFromBeginning) fold.changeProfiles([[deviceId, profile]]);
    if (entry.profiles !== undefined) fold.changeProfiles(entry.profiles);
    if (entry.tick) fold.tick(entry.P);
    const { outcomes } = fold.takeOutput().counts;
    transactions += 1;
    if (!isSameCounts(outcomes, entry.counts)) deviating += 1;
    return null;
  };
  try {
    await forEachEntry(context, partition, { from: start.journalFrom, to: start.journalTo, onEntry: repeat });
  } finally {
    readings.close();
  }
  if (fold.clockMs < start.last.P) fold.restoreClock(start.last.P);
  return { fold, lastFolded: readings.lastFolded, transactions, deviating };
}

function isSameCounts(found: Readonly<Record<string, number>>, journaled: Readonly<Record<string, number>>): boolean {
  return Object.entries(found).every(([outcome, count]) => count === (journaled[outcome] ?? 0));
}

/** The readings of a partition, taken up to one offset after the other. */
class RepeatedReadings {
  lastFolded: LastFolded | null = null;
  readonly #context: RebuildContext;
  readonly #at: TopicPartition;
  readonly #cursor: PartitionCursor;
  readonly #reader = new RecordReader();
  /** Whether the reader stands on a record that was not folded yet. */
  #isOnRecord = false;
  #position: number;

  constructor(context: RebuildContext, at: TopicPartition, from: number) {
    this.#context = context;
    this.#at = at;
    this.#position = from;
    this.#cursor = context.restore.open(at, from);
  }

  async foldUpTo(offset: number, fold: PartitionFold): Promise<void> {
    while (this.#position < offset) {
      if (!this.#isOnRecord && !nextRecord(this.#reader, this.#at)) {
        this.#position = Math.max(this.#position, this.#reader.nextOffset);
        if (this.#position >= offset) return;
        this.#reader.reset(await this.#cursor.next());
        continue;
      }
      this.#isOnRecord = this.#reader.offset >= offset;
      if (this.#isOnRecord) return;
      await this.#fold(fold);
      this.#position = this.#reader.offset + 1;
    }
  }

  close(): void {
    this.#cursor.close();
  }

  async #fold(fold: PartitionFold): Promise<void> {
    const reader = this.#reader;
    const { offset, timestampMs, valueStart, valueEnd } = reader;
    let routed = routedReading(reader, this.#context, this.#at.partition);
    if (routed.kind === 'unknown_schema') {
      await this.#context.decoder.load(routed.schemaId);
      routed = routedReading(reader, this.#context, this.#at.partition);
    }
    if (routed.kind === 'value') {
      const firstAppendTimeMs = reader.hasHeaders ? firstAppendTimeOf(reader.headers(), timestampMs) : timestampMs;
      fold.reading(offset, timestampMs, routed.value, firstAppendTimeMs);
    } else fold.reject(offset, timestampMs, routed.kind === 'misrouted' ? 'misrouted' : 'undecodable');
    this.lastFolded = { offset, appendTimeMs: timestampMs, crc: valueStart < 0 ? 0 : crc32c(reader.buffer, valueStart, valueEnd) };
  }
}
