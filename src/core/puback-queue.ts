// The order in which PUBACKs may be sent. MQTT wants them in the order of the PUBLISHes (MQTT-4.6.0-2), so an entry that is
// done waits until everything before it is done too; release takes from the head only.
//
// A ticket is the position of an entry, counted from the beginning of time and never used twice. When a connection ends,
// `forget` drops its entries: their tickets then lie below the head, and completing one of them does nothing. So a PUBACK for a
// packet id of an earlier connection cannot come out of here, although packet ids themselves are used again.

/** First in, first out, with a fixed number of entries. */
export class PubackQueue {
  readonly capacity: number;
  readonly #packetIds: Uint16Array;
  readonly #isDone: Uint8Array;
  #head = 0;
  #tail = 0;

  /** `capacity`: the most entries at a time, at least 1. */
  constructor(capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) throw new RangeError(`capacity ${capacity} is not a positive integer`);
    this.capacity = capacity;
    this.#packetIds = new Uint16Array(capacity);
    this.#isDone = new Uint8Array(capacity);
  }

  /** Entries that were pushed and neither released nor forgotten. */
  get size(): number {
    return this.#tail - this.#head;
  }

  /** Adds a PUBLISH that wants a PUBACK; returns its ticket. Throws RangeError when full: the caller must not read on. */
  push(packetId: number): number {
    if (this.size === this.capacity) throw new RangeError(`more than ${this.capacity} messages wait for their PUBACK`);
    const ticket = this.#tail++;
    const slot = ticket % this.capacity;
    this.#packetIds[slot] = packetId;
    this.#isDone[slot] = 0;
    return ticket;
  }

  /** Marks an entry as done. A ticket that was released or forgotten already is ignored. */
  complete(ticket: number): void {
    if (ticket >= this.#head && ticket < this.#tail) this.#isDone[ticket % this.capacity] = 1;
  }

  /** Removes the done entries from the head up to the first that is not done; their packet ids in order. */
  release(): number[] {
    const packetIds: number[] = [];
    for (; this.#head < this.#tail; this.#head++) {
      const slot = this.#head % this.capacity;
      if (this.#isDone[slot] === 0) break;
      packetIds.push(this.#packetIds[slot]!);
    }
    return packetIds;
  }

  /** Drops all entries: their connection is gone, and the broker will send the messages again. Returns how many there were. */
  forget(): number {
    const dropped = this.size;
    this.#head = this.#tail;
    return dropped;
  }
}
