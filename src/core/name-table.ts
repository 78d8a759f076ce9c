// The names of devices come again and again, as bytes. To make a string of them each time costs more than to find the one made before, and
// equal names being one object makes every later look-up cheaper too.

const INITIAL_SLOTS = 1_024;
/** Bound: so many strings, whatever is read. */
const SLOTS_MAX = 1 << 18;

/**
 * ASCII names by their bytes. Each may stand in one of two slots, side by side; a name that finds both taken replaces one, so the table forgets
 * and never grows without end.
 */
export class NameTable {
  #slots: (string | undefined)[] = new Array(INITIAL_SLOTS);
  /** Names that drove another one out, since the table last grew. */
  #replaced = 0;
  /** Which of two is replaced next: in turns, so that three names which come in turns do not all drive each other out. */
  #turn = 0;

  /** The string of bytes[start, end); null when they are not ASCII. */
  nameOf(bytes: Buffer, start: number, end: number): string | null {
    const slot = hashOf(bytes, start, end) & (this.#slots.length - 1);
    const there = this.#slots[slot];
    if (there !== undefined && isName(there, bytes, start, end)) return there;
    const beside = this.#slots[slot ^ 1];
    return beside !== undefined && isName(beside, bytes, start, end) ? beside : this.#enter(slot, bytes, start, end);
  }

  #enter(slot: number, bytes: Buffer, start: number, end: number): string | null {
    for (let at = start; at < end; at += 1) if (bytes[at]! >= 0x80) return null;
    const name = bytes.toString('latin1', start, end);
    this.#put(slot, name);
    if (this.#replaced * 8 > this.#slots.length && this.#slots.length < SLOTS_MAX) this.#grow();
    return name;
  }

  #put(slot: number, name: string): void {
    if (this.#slots[slot] === undefined) {
      this.#slots[slot] = name;
    } else if (this.#slots[slot ^ 1] === undefined) {
      this.#slots[slot ^ 1] = name;
    } else {
      this.#turn ^= 1;
      this.#slots[slot ^ this.#turn] = name;
      this.#replaced += 1;
    }
  }

  #grow(): void {
    const smaller = this.#slots;
    this.#slots = new Array(smaller.length * 4);
    this.#replaced = 0;
    for (const name of smaller) {
      if (name !== undefined) this.#put(hashOfText(name) & (this.#slots.length - 1), name);
    }
  }
}

const SEED = 0x811c9dc5 | 0;
const MULTIPLIER = 0x01000193;

/** FNV-1a, its upper bits mixed into the lower ones that choose the slot. */
function hashOf(bytes: Buffer, start: number, end: number): number {
  let hash = SEED;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ bytes[at]!, MULTIPLIER);
  return hash ^ (hash >>> 15);
}

function hashOfText(name: string): number {
  let hash = SEED;
  for (let at = 0; at < name.length; at += 1) hash = Math.imul(hash ^ name.charCodeAt(at), MULTIPLIER);
  return hash ^ (hash >>> 15);
}

function isName(name: string, bytes: Buffer, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let at = 0; at < name.length; at += 1) if (name.charCodeAt(at) !== bytes[start + at]) return false;
  return true;
}
