// Kafka's default partitioner, written again from the definition of MurmurHash2 (32 bit, seed 0x9747b28c), so that a mistake in
// the product's own cannot hide.

const M = 0x5bd1e995n;
const MASK = 0xffffffffn;

/** MurmurHash2 as Java's `Utils.murmur2` computes it, as an unsigned 32-bit number. BigInt arithmetic: slow, and no overflow to think about. */
export function murmur2(bytes: Uint8Array): number {
  let h = 0x9747b28cn ^ BigInt(bytes.length);
  const wholeWords = Math.floor(bytes.length / 4);
  for (let word = 0; word < wholeWords; word++) {
    let k = 0n;
    for (let i = 3; i >= 0; i--) k = (k << 8n) | BigInt(bytes[word * 4 + i]!);
    k = (k * M) & MASK;
    k ^= k >> 24n;
    k = (k * M) & MASK;
    h = ((h * M) & MASK) ^ k;
  }
  const rest = bytes.subarray(wholeWords * 4);
  for (let i = rest.length - 1; i >= 0; i--) h ^= BigInt(rest[i]!) << BigInt(8 * i);
  if (rest.length > 0) h = (h * M) & MASK;
  h ^= h >> 13n;
  h = (h * M) & MASK;
  h ^= h >> 15n;
  return Number(h);
}

const remembered = new Map<string, number>();
const REMEMBERED_MAX = 100_000;

/** The partition a key belongs to, as Java's default partitioner says: (murmur2 & 0x7fffffff) mod partitions. */
export function partitionOfKey(key: string, partitionCount: number): number {
  let hash = remembered.get(key);
  if (hash === undefined) {
    hash = murmur2(Buffer.from(key, 'utf8'));
    if (remembered.size < REMEMBERED_MAX) remembered.set(key, hash);
  }
  return (hash & 0x7fffffff) % partitionCount;
}
