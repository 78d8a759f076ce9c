// Which identities were seen lately. MQTT redelivers, and a device's resend arrives as a new message, so a duplicate is known by the
// hash of its content: an equal identity within the last N offsets and the last 24 h of append time.
//
// Two flat hash tables take turns: the offsets [k * N, (k + 1) * N) belong to generation k. What lies N offsets back is in the current or
// the previous generation, so forgetting is dropping a whole table, and no entry is ever deleted.

const INITIAL_SLOTS = 1024;
const DUPLICATE_HORIZON_MS = 24 * 3_600_000;

/** Open addressing with linear probing; 0 marks a free slot, which is why identity 0 means "has none". */
class Generation {
  private identities = new Float64Array(INITIAL_SLOTS);
  private offsets = new Float64Array(INITIAL_SLOTS);
  private appendTimesMs = new Float64Array(INITIAL_SLOTS);
  private used = 0;

  /** Slot of the identity, or of the free place where it belongs. */
  private slotOf(identity: number): number {
    const mask = this.identities.length - 1;
    // The low bits of the hash are as good as any; `&` takes them of a 53-bit integer too.
    let slot = identity & mask;
    for (;;) {
      const there = this.identities[slot]!;
      if (there === identity || there === 0) return slot;
      slot = (slot + 1) & mask;
    }
  }

  /** Whether the identity is here, at this offset or later and appended at this time or later. */
  has(identity: number, fromOffset: number, fromAppendTimeMs: number): boolean {
    const slot = this.slotOf(identity);
    return this.identities[slot] === identity && this.offsets[slot]! >= fromOffset && this.appendTimesMs[slot]! >= fromAppendTimeMs;
  }

  contains(identity: number): boolean {
    return this.identities[this.slotOf(identity)] === identity;
  }

  put(identity: number, offset: number, appendTimeMs: number): void {
    let slot = this.slotOf(identity);
    if (this.identities[slot] === 0) {
      if ((this.used + 1) * 2 > this.identities.length) {
        this.grow();
        slot = this.slotOf(identity);
      }
      this.used += 1;
      this.identities[slot] = identity;
    }
    this.offsets[slot] = offset;
    this.appendTimesMs[slot] = appendTimeMs;
  }

  private grow(): void {
    const { identities, offsets, appendTimesMs } = this;
    this.identities = new Float64Array(identities.length * 2);
    this.offsets = new Float64Array(identities.length * 2);
    this.appendTimesMs = new Float64Array(identities.length * 2);
    for (let old = 0; old < identities.length; old += 1) {
      const identity = identities[old]!;
      if (identity === 0) continue;
      const slot = this.slotOf(identity);
      this.identities[slot] = identity;
      this.offsets[slot] = offsets[old]!;
      this.appendTimesMs[slot] = appendTimesMs[old]!;
    }
  }

  clear(): void {
    if (this.used === 0) return;
    this.identities.fill(0);
    this.used = 0;
  }
}

/** Bound: 2 N entries, 24 bytes each at a load of one half at most. */
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
    const newest = this.current.contains(identity) ? this.current : this.previous;
    const duplicate = newest.has(identity, fromOffset, fromAppendTimeMs);
    this.current.put(identity, offset, appendTimeMs);
    return duplicate;
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
