// Which identities were seen lately. MQTT redelivers, and a device's resend arrives as a new message, so a duplicate is known by the
// hash of its content: an equal identity within the last N offsets and the last 24 h of append time.
//
// Two flat hash tables take turns: the offsets [k * N, (k + 1) * N) belong to generation k. What lies N offsets back is in the current or
// the previous generation, so forgetting is dropping a whole table, and no entry is ever deleted.

const INITIAL_SLOTS = 1024;
export const DUPLICATE_HORIZON_MS = 24 * 3_600_000;
const TWO_TO_32 = 4_294_967_296;

/**
 * The entries stand one after the other, as they came; only the slots that lead to them are spread by the hash. A slot holds the place of an
 * entry and, in the bits above it, some of the identity: so nearly every look-up touches one slot and nothing else, and a new identity is
 * written where the last one was. In a table of whole entries each of these is a line of memory that is in no cache.
 */
class Generation {
  /** Open addressing with linear probing; 0 marks a free slot. */
  private slots = new Uint32Array(INITIAL_SLOTS);
  /** Entries that the slots have room for: half of them stay free. */
  private capacity = INITIAL_SLOTS / 2;
  private identities = new Float64Array(this.capacity);
  private offsets = new Float64Array(this.capacity);
  private appendTimesMs = new Float64Array(this.capacity);
  private used = 0;

  /** Place of the identity's entry, -1 when it has none. */
  find(identity: number): number {
    const { slots, capacity } = this;
    const mask = slots.length - 1;
    const placeMask = 2 * capacity - 1;
    const tag = tagOf(identity, placeMask);
    // The low bits of the hash are as good as any; `&` takes them of a 53-bit integer too.
    for (let slot = identity & mask; ; slot = (slot + 1) & mask) {
      const there = slots[slot]!;
      if (there === 0) return -1;
      const place = (there & placeMask) - 1;
      if (there - place - 1 === tag && this.identities[place] === identity) return place;
    }
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
    this.enter(place);
  }

  update(place: number, offset: number, appendTimeMs: number): void {
    this.offsets[place] = offset;
    this.appendTimesMs[place] = appendTimeMs;
  }

  /** Makes a slot lead to an entry that none leads to yet. */
  private enter(place: number): void {
    const { slots, capacity } = this;
    const identity = this.identities[place]!;
    const mask = slots.length - 1;
    let slot = identity & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = tagOf(identity, 2 * capacity - 1) + place + 1;
  }

  private grow(): void {
    this.capacity *= 2;
    this.slots = new Uint32Array(this.capacity * 2);
    this.identities = grown(this.identities, this.capacity);
    this.offsets = grown(this.offsets, this.capacity);
    this.appendTimesMs = grown(this.appendTimesMs, this.capacity);
    for (let place = 0; place < this.used; place += 1) this.enter(place);
  }

  clear(): void {
    if (this.used === 0) return;
    this.slots.fill(0);
    this.used = 0;
  }
}

/** Some of the upper bits of the identity, above the bits of the mask. */
function tagOf(identity: number, placeMask: number): number {
  return (Math.imul(identity / TWO_TO_32, placeMask + 1) & ~placeMask) >>> 0;
}

function grown(entries: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length);
  larger.set(entries);
  return larger;
}

/** Bound: 2 N entries of 24 bytes each, and as many times 8 to 16 bytes of slots. */
export class DuplicateTable {
  private readonly offsetsKept: number;
  private current = new Generation();
  private previous = new Generation();
  private currentIndex = 0;

  /** offsetsKept: N, how far back in offsets a duplicate is recognised; at least 1. */
  constructor(offsetsKept: number) {
    if (!Number.isSafeInteger(offsetsKept) || offsetsKept < 1)
      throw new RangeError(`offsetsKept must be a positive integer, not ${offsetsKept}`);
    this.offsetsKept = offsetsKept;
  }

  /**
   * Notes an identity (not 0) at an offset, which must not be below an earlier one, and says whether the last earlier record with
   * it lies within N offsets and 24 h.
   */
  isDuplicate(identity: number, offset: number, appendTimeMs: number): boolean {
    const generation = Math.floor(offset / this.offsetsKept);
    if (generation !== this.currentIndex) this.advanceTo(generation);
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
  }
}

/** A table for the last `offsetsKept` offsets; null when that is 0 and duplicates are not looked for. */
export function duplicateTableOf(offsetsKept: number): DuplicateTable | null {
  return offsetsKept > 0 ? new DuplicateTable(offsetsKept) : null;
}
