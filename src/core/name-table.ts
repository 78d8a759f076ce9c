import { viewOf } from './buffer-view.ts';
import { murmur2 } from './murmur2.ts';
import { DEVICE_ID_LENGTH_MAX, isDeviceId } from './reading.ts';

// The names of devices come again and again, as bytes, twice in each record: as its key and in its value. To make a string of them each time costs
// more than to find the one made before, equal names being one object makes every later look-up cheaper, and what is found was checked before.

/** Bound: so many names, of 128 bytes at most, whatever is read. */
const NAMES_MAX = 1 << 18;
const INITIAL_NAMES = 1_024;
const BYTES_PER_NAME = 16;

// The numbers of an entry.
const HASH = 0;
const START = 1;
const LENGTH = 2;
const MURMUR2 = 3;
const ENTRY_NUMBERS = 4;

/** The ids of devices by their bytes, each with its murmur2 hash. When it holds as many as it may it forgets them all, and begins again. */
export class NameTable {
  /** By hash, and then one after the other: 1 + the place of a name, 0 when there is none. Twice as long as there are places. */
  #slots = new Int32Array(2 * INITIAL_NAMES);
  /** By place. */
  #entries = new Int32Array(ENTRY_NUMBERS * INITIAL_NAMES);
  /** By place. */
  readonly #names: string[] = [];
  /** The bytes of all names, one after the other. */
  #bytes = Buffer.alloc(BYTES_PER_NAME * INITIAL_NAMES);
  #known = viewOf(this.#bytes);
  #bytesUsed = 0;
  /** The place found last: the key of a record and the name in its value are the same. */
  #last = 0;

  /** The place of the name in bytes [start, end) of the view, valid until the next call; -1 when it is no id of a device. */
  find(view: DataView, start: number, end: number): number {
    if (this.#isAt(this.#last, view, start, end)) return this.#last;
    if (end - start > DEVICE_ID_LENGTH_MAX) return -1;
    const slots = this.#slots;
    const mask = slots.length - 1;
    const hash = hashOf(view, start, end);
    let slot = hash & mask;
    for (let place = slots[slot]! - 1; place >= 0; place = slots[slot]! - 1) {
      if (this.#entries[place * ENTRY_NUMBERS + HASH] === hash && this.#isAt(place, view, start, end)) {
        this.#last = place;
        return place;
      }
      slot = (slot + 1) & mask;
    }
    return this.#enter(Buffer.from(view.buffer, view.byteOffset + start, end - start), hash);
  }

  nameAt(place: number): string {
    return this.#names[place]!;
  }

  /** Murmur2 of the name's bytes. */
  hashAt(place: number): number {
    return this.#entries[place * ENTRY_NUMBERS + MURMUR2]!;
  }

  #isAt(place: number, view: DataView, start: number, end: number): boolean {
    const length = end - start;
    const entry = place * ENTRY_NUMBERS;
    // Where there is no name yet the length is 0, and so is that of a key without bytes, which is no id of a device.
    if (this.#entries[entry + LENGTH] !== length || length === 0) return false;
    const known = this.#known;
    const from = this.#entries[entry + START]!;
    let at = 0;
    for (; at + 4 <= length; at += 4) if (known.getInt32(from + at) !== view.getInt32(start + at)) return false;
    for (; at < length; at += 1) if (known.getUint8(from + at) !== view.getUint8(start + at)) return false;
    return true;
  }

  #enter(bytes: Buffer, hash: number): number {
    const name = bytes.toString('latin1');
    if (!isDeviceId(name)) return -1;
    const place = this.#makeRoomFor(name);
    const entry = place * ENTRY_NUMBERS;
    this.#entries[entry + HASH] = hash;
    this.#entries[entry + MURMUR2] = murmur2(bytes);
    this.#entries[entry + START] = this.#bytesUsed;
    this.#entries[entry + LENGTH] = name.length;
    this.#bytesUsed += bytes.copy(this.#bytes, this.#bytesUsed);
    this.#names.push(name);
    this.#putIntoSlot(place);
    this.#last = place;
    return place;
  }

  /** The place of the next name. */
  #makeRoomFor(name: string): number {
    if (this.#names.length === NAMES_MAX) this.#forgetAll();
    const place = this.#names.length;
    if (ENTRY_NUMBERS * place === this.#entries.length) {
      const entries = new Int32Array(2 * this.#entries.length);
      entries.set(this.#entries);
      this.#entries = entries;
      this.#slots = new Int32Array(2 * this.#slots.length);
      for (let earlier = 0; earlier < place; earlier += 1) this.#putIntoSlot(earlier);
    }
    if (this.#bytesUsed + name.length > this.#bytes.length) {
      const bytes = Buffer.alloc(2 * this.#bytes.length);
      this.#bytes.copy(bytes);
      this.#bytes = bytes;
      this.#known = viewOf(bytes);
    }
    return place;
  }

  #putIntoSlot(place: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#entries[place * ENTRY_NUMBERS + HASH]! & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = place + 1;
  }

  #forgetAll(): void {
    this.#slots.fill(0);
    this.#entries.fill(0);
    this.#names.length = 0;
    this.#bytesUsed = 0;
  }
}

/** A hash for the slots: by words, and cheaper than murmur2, by which the names of one partition have the same remainder moreover. */
function hashOf(view: DataView, start: number, end: number): number {
  let hash = end - start;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(hash ^ view.getInt32(at), 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  for (; at < end; at += 1) hash = Math.imul(hash ^ view.getUint8(at), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x9e3779b1);
  return hash ^ (hash >>> 16);
}
