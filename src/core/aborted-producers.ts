// Which producers' records belong to an aborted transaction, at the point that a read_committed reader has reached. The rules are
// those of the Java client (CompletedFetch): kafkajs takes at most one entry of the list per record and so lets aborted records
// through when two aborted transactions overlap.

export interface AbortedRange {
  readonly producerId: number;
  readonly firstOffset: number;
}

export class AbortedProducers {
  #upcoming: readonly AbortedRange[] = [];
  #next = 0;
  readonly #active = new Set<number>();

  /** The list that came with a fetch answer, in any order. */
  reset(ranges: readonly AbortedRange[]): void {
    this.#active.clear();
    this.#next = 0;
    this.#upcoming = ranges.length < 2 ? ranges : ranges.toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Moves on to a batch; call it before `has` and `endTransaction` of that batch. */
  advanceTo(lastOffset: number): void {
    while (this.#next < this.#upcoming.length && this.#upcoming[this.#next]!.firstOffset <= lastOffset) {
      this.#active.add(this.#upcoming[this.#next]!.producerId);
      this.#next++;
    }
  }

  /** An abort marker of this producer was read: its next transaction counts again. */
  endTransaction(producerId: number): void {
    this.#active.delete(producerId);
  }

  has(producerId: number): boolean {
    return this.#active.size > 0 && this.#active.has(producerId);
  }
}
