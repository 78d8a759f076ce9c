/** What an entry has room for beyond its first value: states of a device grow by a window or an alert. */
const SPARE_BYTES = 64;
const CHUNK_BYTES = 1024 * 1024;

/** Where a value stands. */
interface Place {
  chunk: Buffer;
  start: number;
  end: number;
  /** Where the next value's place begins. */
  limit: number;
}

/**
 * The newest value of each key while a compacted topic is read: copies in a few large buffers, the next value over the one before where it
 * fits. A buffer for each value read would keep the collector busier than the reading.
 */
export class NewestValues {
  private readonly places = new Map<string, Place>();
  private chunk: Buffer = Buffer.alloc(0);
  private used = 0;

  get size(): number {
    return this.places.size;
  }

  /** Copies from[start, end). */
  set(key: string, from: Buffer, start: number, end: number): void {
    const size = end - start;
    let place = this.places.get(key);
    if (place === undefined) {
      place = this.newPlace(size);
      this.places.set(key, place);
    } else if (place.start + size > place.limit) {
      Object.assign(place, this.newPlace(size));
    }
    from.copy(place.chunk, place.start, start, end);
    place.end = place.start + size;
  }

  delete(key: string): void {
    this.places.delete(key);
  }

  /** Every key with its value chunk[start, end), in no particular order. */
  *entries(): IterableIterator<readonly [key: string, chunk: Buffer, start: number, end: number]> {
    for (const [key, { chunk, start, end }] of this.places) yield [key, chunk, start, end];
  }

  private newPlace(size: number): Place {
    const needed = size + SPARE_BYTES;
    if (this.used + needed > this.chunk.length) {
      this.chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, needed));
      this.used = 0;
    }
    const start = this.used;
    this.used += needed;
    return { chunk: this.chunk, start, end: start, limit: start + needed };
  }
}
