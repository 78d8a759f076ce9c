// The strings of MQTT topics, found by their bytes. A bridge sees the same topics again and again; to make a new string of each costs more
// than to compare the bytes, and equal strings that are one object make every later look-up cheap.

/** A power of two: how many topics are remembered. What collides is made anew, which is right and only slower. */
const SLOTS = 16_384;
/** A longer topic is not worth its place. */
const TOPIC_BYTES_MAX = 256;

interface KnownTopic {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** A bounded table: each topic has one place, which the next one with the same hash takes over. */
export class TopicStrings {
  readonly #slots: (KnownTopic | null)[] = new Array<KnownTopic | null>(SLOTS).fill(null);

  /** The UTF-8 in bytes[start, end) as a string. */
  of(bytes: Buffer, start: number, end: number): string {
    const slot = slotOf(bytes, start, end);
    const known = this.#slots[slot]!;
    if (known !== null && isEqual(known.bytes, bytes, start, end)) return known.text;
    const text = bytes.toString('utf8', start, end);
    if (end - start <= TOPIC_BYTES_MAX) this.#slots[slot] = { bytes: Uint8Array.from(bytes.subarray(start, end)), text };
    return text;
  }
}

function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

function isEqual(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}
