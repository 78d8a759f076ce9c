// Which identities were seen lately. MQTT redelivers, and a device's resend arrives as a new message, so a duplicate is known by the
// hash of its content: an equal identity within the last N offsets and the last 24 h of append time.
//
// Two flat hash tables take turns: the offsets [k * N, (k + 1) * N) belong to generation k. What lies N offsets back is in the current or
// the previous generation, so forgetting is dropping a whole table, and no entry is ever deleted.

const INITIAL_CAPACITY = 512;
export const DUPLICATE_HORIZON_MS = 24 * 3_600_000;
/** Each identity sets two bits of one word; with 8 bits an entry one new identity of twenty finds both set already when the table is full. */
const FILTER_BITS_PER_ENTRY = 8;

/**
 * The entries stand one after the other, as they came, and those with equal low bits of the identity hang together in a chain. Nearly every
 * identity is new: two bits for each of those that are here say so, in a piece of memory small enough for the caches, and what is new is only
 * written down. The chains lie anywhere in memory, so entries are put into them many at once, when one is looked for: none of those writes waits for another.
 */
class Generation {
  /** Power of two. */
  private capacity = INITIAL_CAPACITY;
  private filter = new Uint32Array((INITIAL_CAPACITY * FILTER_BITS_PER_ENTRY) / 32);
  /** By the low bits of the identity: 1 + the place of the newest entry of the chain, 0 when there is none. */
  private heads = new Uint32Array(INITIAL_CAPACITY);
  /** By place: the same of the entry that follows in the chain. */
  private followers = new Uint32Array(INITIAL_CAPACITY);
  private identities = new Float64Array(INITIAL_CAPACITY);
  private offsets = new Float64Array(INITIAL_CAPACITY);
  private appendTimesMs = new Float64Array(INITIAL_CAPACITY);
  private used = 0;
  /** The entries before this place stand in their chains. */
  private chained = 0;

  /** Place of the identity's entry, -1 when it has none. */
  find(identity: number): number {
    const bits = filterBits(identity);
    if ((this.filter[this.wordOf(identity)]! & bits) !== bits) return -1;
    this.chain();
    let place = this.heads[identity & (this.capacity - 1)]! - 1;
    while (place >= 0 && this.identities[place] !== identity) place = this.followers[place]! - 1;
    return place;
  }

  /** Whether the entry has this offset or a later one, and was appended at this time or later. */
  isRecent(place: number, fromOffset: number, fromAppendTimeMs: number): boolean {
    return this.offsets[place]! >= fromOffset && this.appendTimesMs[place]! >= fromAppendTimeMs;
  }

  add(identity: number, offset: number, appendTimeMs: number): void {
    if (this.used === this.capacity) this.grow();
    const place = this.used;
    this.used += 1;
    this.identities[place] = identity;
    this.update(place, offset, appendTimeMs);
    this.note(identity);
  }

  update(place: number, offset: number, appendTimeMs: number): void {
    this.offsets[place] = offset;
    this.appendTimesMs[place] = appendTimeMs;
  }

  private wordOf(identity: number): number {
    return (identity >>> 10) & (this.filter.length - 1);
  }

  /** Sets the identity's bits. */
  private note(identity: number): void {
    const word = this.wordOf(identity);
    this.filter[word] = this.filter[word]! | filterBits(identity);
  }

  /** Puts the entries that are in no chain yet into theirs. */
  private chain(): void {
    const { identities, heads, followers, used } = this;
    const mask = this.capacity - 1;
    for (let place = this.chained; place < used; place += 1) {
      const head = identities[place]! & mask;
      followers[place] = heads[head]!;
      heads[head] = place + 1;
    }
    this.chained = used;
  }

  private grow(): void {
    this.capacity *= 2;
    this.filter = new Uint32Array((this.capacity * FILTER_BITS_PER_ENTRY) / 32);
    this.heads = new Uint32Array(this.capacity);
    this.followers = new Uint32Array(this.capacity);
    this.identities = grown(this.identities, this.capacity);
    this.offsets = grown(this.offsets, this.capacity);
    this.appendTimesMs = grown(this.appendTimesMs, this.capacity);
    for (let place = 0; place < this.used; place += 1) this.note(this.identities[place]!);
    this.chained = 0;
  }

  clear(): void {
    if (this.used === 0) return;
    this.filter.fill(0);
    this.heads.fill(0);
    this.used = 0;
    this.chained = 0;
  }
}

/** The two bits of a word that an identity sets. The low bits of a hash are as good as the others; `&` and `>>>` take them of a 53-bit integer too. */
function filterBits(identity: number): number {
  return (1 << (identity & 31)) | (1 << ((identity >>> 5) & 31));
}

function grown(entries: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length);
  larger.set(entries);
  return larger;
}

/** Bound: 2 N entries of 33 bytes each, and up to twice that because they grow by doubling. */
export class DuplicateTable {
  private readonly offsetsKept: number;
  private current = new Generation();
  private previous = new Generation();
  private currentIndex = 0;
  /** The first offset that belongs to a later generation than the current one. */
  private currentEnd: number;

  /** offsetsKept: N, how far back in offsets a duplicate is recognised; at least 1. */
  constructor(offsetsKept: number) {
    if (!Number.isSafeInteger(offsetsKept) || offsetsKept < 1)
      throw new RangeError(`offsetsKept must be a positive integer, not ${offsetsKept}`);
    this.offsetsKept = offsetsKept;
    this.currentEnd = offsetsKept;
  }

  /**
   * Notes an identity (not 0) at an offset, which must not be below an earlier one, and says whether the last earlier record with
   * it lies within N offsets and 24 h.
   */
  isDuplicate(identity: number, offset: number, appendTimeMs: number): boolean {
    if (offset >= this.currentEnd) this.advanceTo(Math.floor(offset / this.offsetsKept));
    const fromOffset = offset - this.offsetsKept;
    const fromAppendTimeMs = appendTimeMs - DUPLICATE_HORIZON_MS;
    // The newest record with this identity decides, and what the current generation holds is newer than what the previous one holds.
    const { current, previous } = this;
    const place = current.find(identity);
    if (place >= 0) {
      const isRepeated = current.isRecent(place, fromOffset, fromAppendTimeMs);
      current.update(place, offset, appendTimeMs);
      return isRepeated;
    }
    current.add(identity, offset, appendTimeMs);
    const earlier = previous.find(identity);
    return earlier >= 0 && previous.isRecent(earlier, fromOffset, fromAppendTimeMs);
  }

  private advanceTo(generation: number): void {
    const recycled = this.previous;
    if (generation === this.currentIndex + 1) {
      this.previous = this.current;
    } else {
      this.current.clear();
      this.previous = this.current;
    }
    recycled.clear();
    this.current = recycled;
    this.currentIndex = generation;
    this.currentEnd = (generation + 1) * this.offsetsKept;
  }
}

/** A table for the last `offsetsKept` offsets; null when that is 0 and duplicates are not looked for. */
export function duplicateTableOf(offsetsKept: number): DuplicateTable | null {
  return offsetsKept > 0 ? new DuplicateTable(offsetsKept) : null;
}
