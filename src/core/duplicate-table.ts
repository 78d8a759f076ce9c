import { plainNumbers } from './plain-numbers.ts';

// Which identities were seen lately. MQTT redelivers, and a device's resend arrives as a new message, so a duplicate is known by the
// hash of its content: an equal identity within the last N offsets and the last 24 h of append time.
//
// Two flat hash tables take turns: the offsets [k * N, (k + 1) * N) belong to generation k. What lies N offsets back is in the current or
// the previous generation, so forgetting is dropping a whole table, and no entry is ever deleted.
//
// Nearly every identity is new. Three bits for each of those that are here say so, in a piece of memory small enough for the caches, and what is
// new is only written down. The bits of both generations stand side by side: to look into both costs one wait for memory.

const INITIAL_CAPACITY = 512;
export const DUPLICATE_HORIZON_MS = 24 * 3_600_000;
/** Each identity sets three bits of one word; with 8 bits an entry one new identity of twenty finds all set already when the table is full. */
const FILTER_BITS_PER_ENTRY = 8;
/** Places of entries and offsets within a generation are 32-bit integers. */
const OFFSETS_KEPT_MAX = 2 ** 31;

/**
 * The entries stand one after the other, as they came, and those with equal low bits of the identity hang together in a chain. The chains lie
 * anywhere in memory, so entries are put into them many at once, when one is looked for: none of those writes waits for another.
 */
class Generation {
  /** Power of two. */
  capacity = INITIAL_CAPACITY;
  /** By the low bits of the identity: 1 + the place of the newest entry of the chain, 0 when there is none. */
  private heads = new Uint32Array(INITIAL_CAPACITY);
  /** By place: the same of the entry that follows in the chain. */
  private followers = new Uint32Array(INITIAL_CAPACITY);
  private identities = new Float64Array(INITIAL_CAPACITY);
  /** By place, counted from the first offset of the generation. */
  private offsets = new Uint32Array(INITIAL_CAPACITY);
  /** Append times, each with the place of its first entry: all records of a batch have the same one. */
  private timesMs = plainNumbers([]);
  private timePlaces: number[] = [];
  private newestTimeMs = Number.NaN;
  private used = 0;
  /** The entries before this place stand in their chains. */
  private chained = 0;

  /** Place of the newest entry of the identity, -1 when it has none. */
  find(identity: number): number {
    this.chain();
    let place = this.heads[identity & (this.capacity - 1)]! - 1;
    while (place >= 0 && this.identities[place] !== identity) place = this.followers[place]! - 1;
    return place;
  }

  offsetAt(place: number): number {
    return this.offsets[place]!;
  }

  appendTimeAt(place: number): number {
    let low = 0;
    for (let high = this.timePlaces.length; high - low > 1; ) {
      const middle = (low + high) >>> 1;
      if (this.timePlaces[middle]! <= place) low = middle;
      else high = middle;
    }
    return this.timesMs[low]!;
  }

  /** `offset` counts from the first of the generation, which may not be full. */
  add(identity: number, offset: number, appendTimeMs: number): void {
    const place = this.used;
    this.used = place + 1;
    this.identities[place] = identity;
    this.offsets[place] = offset;
    if (appendTimeMs === this.newestTimeMs) return;
    this.newestTimeMs = appendTimeMs;
    this.timesMs.push(appendTimeMs);
    this.timePlaces.push(place);
  }

  /** All identities, in the order in which they came. */
  entered(): Float64Array {
    return this.identities.subarray(0, this.used);
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

  get isFull(): boolean {
    return this.used === this.capacity;
  }

  /** Doubles the capacity. */
  grow(): void {
    this.capacity *= 2;
    this.heads = new Uint32Array(this.capacity);
    this.followers = new Uint32Array(this.capacity);
    const { identities, offsets } = this;
    this.identities = new Float64Array(this.capacity);
    this.identities.set(identities);
    this.offsets = new Uint32Array(this.capacity);
    this.offsets.set(offsets);
    this.chained = 0;
  }

  clear(): void {
    if (this.chained > 0) this.heads.fill(0);
    this.timesMs = plainNumbers([]);
    this.timePlaces = [];
    this.newestTimeMs = Number.NaN;
    this.used = 0;
    this.chained = 0;
  }
}

/** The three bits of a word that an identity sets. The low bits of a hash are as good as the others; `&` and `>>>` take them of a 53-bit integer too. */
function filterBits(identity: number): number {
  return (1 << (identity & 31)) | (1 << ((identity >>> 5) & 31)) | (1 << (identity >>> 27));
}

/** Of signed integers: as the operators for bits give them. Others would be compiled for once more. */
function emptyFilter(capacity: number): Int32Array<ArrayBuffer> {
  return new Int32Array((2 * capacity * FILTER_BITS_PER_ENTRY) / 32);
}

/** Bound: 2 N entries of 22 bytes each, 16 more for each that begins a new append time, and up to twice that because they grow by doubling. */
export class DuplicateTable {
  private readonly offsetsKept: number;
  private current = new Generation();
  private previous = new Generation();
  private currentIndex = 0;
  /** The first offset that belongs to a later generation than the current one. */
  private currentEnd: number;
  /** The bits, two words for each place: those of one generation at even places, those of the other at odd ones. */
  private filter = emptyFilter(INITIAL_CAPACITY);
  /** 0 or 1: of the current generation. */
  private lane = 0;

  /** offsetsKept: N, how far back in offsets a duplicate is recognised; at least 1, at most 2^31. */
  constructor(offsetsKept: number) {
    if (!Number.isSafeInteger(offsetsKept) || offsetsKept < 1 || offsetsKept > OFFSETS_KEPT_MAX)
      throw new RangeError(`offsetsKept must be an integer from 1 to ${OFFSETS_KEPT_MAX}, not ${offsetsKept}`);
    this.offsetsKept = offsetsKept;
    this.currentEnd = offsetsKept;
  }

  /**
   * Notes an identity (not 0) at an offset, which must not be below an earlier one, and says whether the last earlier record with
   * it lies within N offsets and 24 h.
   */
  isDuplicate(identity: number, offset: number, appendTimeMs: number): boolean {
    if (offset >= this.currentEnd) this.advanceTo(Math.floor(offset / this.offsetsKept));
    if (this.current.isFull) this.grow();
    const bits = filterBits(identity);
    const { filter, lane } = this;
    const word = ((identity >>> 10) << 1) & (filter.length - 1);
    const isInCurrent = (filter[word | lane]! & bits) === bits;
    const isInPrevious = (filter[word | (lane ^ 1)]! & bits) === bits;
    const isRepeated = (isInCurrent || isInPrevious) && this.isRecent(identity, { offset, appendTimeMs, isInCurrent });
    filter[word | lane] = filter[word | lane]! | bits;
    this.current.add(identity, offset - this.currentEnd + this.offsetsKept, appendTimeMs);
    return isRepeated;
  }

  /** Of an identity of which the bits are set. The newest record with it decides, and what the current generation holds is newer than the rest. */
  private isRecent(identity: number, at: { offset: number; appendTimeMs: number; isInCurrent: boolean }): boolean {
    let generation = this.current;
    let firstOffset = this.currentEnd - this.offsetsKept;
    let place = at.isInCurrent ? generation.find(identity) : -1;
    if (place < 0) {
      generation = this.previous;
      firstOffset -= this.offsetsKept;
      place = generation.find(identity);
    }
    if (place < 0) return false;
    return (
      firstOffset + generation.offsetAt(place) >= at.offset - this.offsetsKept &&
      generation.appendTimeAt(place) >= at.appendTimeMs - DUPLICATE_HORIZON_MS
    );
  }

  private grow(): void {
    this.current.grow();
    if (this.current.capacity <= this.previous.capacity) return;
    this.filter = emptyFilter(this.current.capacity);
    this.note(this.current.entered(), this.lane);
    this.note(this.previous.entered(), this.lane ^ 1);
  }

  private note(identities: Float64Array, lane: number): void {
    const { filter } = this;
    for (const identity of identities) {
      const word = (((identity >>> 10) << 1) & (filter.length - 1)) | lane;
      filter[word] = filter[word]! | filterBits(identity);
    }
  }

  private advanceTo(generation: number): void {
    const recycled = this.previous;
    if (generation !== this.currentIndex + 1) {
      this.current.clear();
      this.filter.fill(0);
    }
    this.previous = this.current;
    recycled.clear();
    this.current = recycled;
    this.lane ^= 1;
    const { filter, lane } = this;
    for (let word = lane; word < filter.length; word += 2) filter[word] = 0;
    this.currentIndex = generation;
    this.currentEnd = (generation + 1) * this.offsetsKept;
  }
}

/** A table for the last `offsetsKept` offsets; null when that is 0 and duplicates are not looked for. */
export function duplicateTableOf(offsetsKept: number): DuplicateTable | null {
  return offsetsKept > 0 ? new DuplicateTable(offsetsKept) : null;
}
