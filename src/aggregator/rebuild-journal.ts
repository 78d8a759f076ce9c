import type { DeviceProfile } from '../core/device-profile.ts';
import type { FoldSettings } from '../core/fold-settings.ts';
import type { RecordReader } from '../core/record-batch.ts';
import { IngotError } from '../errors.ts';
import type { JournalEntry } from './progress.ts';
import { readRange } from './read-range.ts';
import type { RebuildContext } from './rebuild-partition.ts';

// Where a rebuild can begin: at the first transaction of the journal whose settings are known and whose readings are still there.

export interface RebuildStart {
  /** Offset in the journal of the first transaction to be folded again; the journal's end when there is none. */
  readonly journalFrom: number;
  readonly journalTo: number;
  /** The first reading to be folded again. */
  readonly readingsFrom: number;
  readonly settings: FoldSettings;
  readonly settingsId: string;
  /** P before that transaction, -1 when it is the first one of all, or of those that are left. */
  readonly clockMs: number;
  /** The transaction's own P: all windows that were open before it had begun by then. */
  readonly firstClockMs: number;
  readonly profiles: ReadonlyMap<string, DeviceProfile>;
  /** The newest transaction: the rebuilt state is that after it. */
  readonly last: JournalEntry;
  /** Whether the fold begins where it once began, so that everything is exact. */
  readonly isFromBeginning: boolean;
}

/**
 * Looks for the start; null when the partition's journal is empty. Throws IngotError `STATE_LOST` when no transaction of the journal tells
 * settings.
 */
export async function findRebuildStart(context: RebuildContext, partition: number): Promise<RebuildStart | null> {
  const journal = (await context.admin.watermarks(context.topics.journal))[partition]!;
  const readings = (await context.admin.watermarks(context.topics.readings))[partition]!;
  const scan = new JournalScan(readings.logStartOffset);
  await forEachEntry(context, partition, {
    from: journal.logStartOffset,
    to: journal.highWatermark,
    onEntry: (entry, offset) => scan.take(entry, offset),
  });
  return scan.result(journal.highWatermark);
}

/** Reads journal entries one after the other. */
export async function forEachEntry(
  context: RebuildContext,
  partition: number,
  range: { from: number; to: number; onEntry: (entry: JournalEntry, offset: number) => Promise<null> | null },
): Promise<void> {
  const at = { topic: context.topics.journal, partition };
  const onRecord = (reader: RecordReader): Promise<null> | null => range.onEntry(entryOf(reader, at), reader.offset);
  await readRange(context.restore, at, { from: range.from, to: range.to, onRecord });
}

function entryOf(reader: RecordReader, { topic, partition }: { topic: string; partition: number }): JournalEntry {
  try {
    const entry = JSON.parse(reader.buffer.toString('utf8', reader.valueStart, reader.valueEnd)) as Partial<JournalEntry>;
    if (Number.isSafeInteger(entry.txnSeq) && Number.isSafeInteger(entry.from) && Number.isSafeInteger(entry.to))
      return entry as JournalEntry;
  } catch {
    // Said below.
  }
  throw new IngotError('STATE_UNREADABLE', `The record at offset ${reader.offset} of ${topic}-${partition} is no journal entry.`);
}

/** Everything that a first pass over the journal has to remember. */
class JournalScan {
  readonly #readingsLogStart: number;
  readonly #profiles = new Map<string, DeviceProfile>();
  #settings: { settings: FoldSettings; settingsId: string } | null = null;
  #last: JournalEntry | null = null;
  #start: Omit<RebuildStart, 'last' | 'journalTo'> | null = null;

  constructor(readingsLogStart: number) {
    this.#readingsLogStart = readingsLogStart;
  }

  take(entry: JournalEntry, offset: number): null {
    // A change of settings closes windows by the settings before it, so a fold cannot begin with one unless it is the first of all.
    const told = entry.settings ?? entry.settingsInForce;
    const isFirst = entry.txnSeq === 1;
    const known =
      entry.settings !== undefined && !isFirst
        ? this.#settings
        : told === undefined
          ? this.#settings
          : { settings: told, settingsId: entry.settingsId };
    if (this.#start === null && known !== null && entry.from >= this.#readingsLogStart) {
      this.#start = {
        ...known,
        journalFrom: offset,
        readingsFrom: entry.from,
        clockMs: this.#last?.P ?? -1,
        firstClockMs: entry.P,
        profiles: new Map(this.#profiles),
        isFromBeginning: isFirst,
      };
    }
    if (told !== undefined) this.#settings = { settings: told, settingsId: entry.settingsId };
    // Once the fold has begun it takes them itself.
    if (this.#start === null) for (const [deviceId, profile] of entry.profilesInForce?.profiles ?? []) this.#set(deviceId, profile);
    if (this.#start === null) for (const [deviceId, profile] of entry.profiles ?? []) this.#set(deviceId, profile);
    this.#last = entry;
    return null;
  }

  result(journalTo: number): RebuildStart | null {
    const last = this.#last;
    if (last === null) return null;
    if (this.#start !== null) return { ...this.#start, journalTo, last };
    if (this.#settings === null)
      throw new IngotError('STATE_LOST', 'No transaction in the journal tells the settings of the fold: it cannot be repeated.');
    // Everything that was folded is gone; what is left to know is where it ended.
    const rest = { clockMs: last.P, firstClockMs: last.P, profiles: this.#profiles, isFromBeginning: false };
    return { ...this.#settings, ...rest, journalFrom: journalTo, journalTo, readingsFrom: last.to, last };
  }

  #set(deviceId: string, profile: DeviceProfile | null): void {
    if (profile === null) this.#profiles.delete(deviceId);
    else this.#profiles.set(deviceId, profile);
  }
}
