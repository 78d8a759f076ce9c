// Java's murmur2 and its default partitioner, so that any Kafka client puts one device into the same partition as we do.

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** Murmur2 of `bytes[start, end)` as org.apache.kafka.common.utils.Utils.murmur2 has it: a signed 32-bit number. */
export function murmur2(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const length = end - start;
  let hash = SEED ^ length;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    k = Math.imul(k, M);
    k ^= k >>> R;
    k = Math.imul(k, M);
    hash = Math.imul(hash, M) ^ k;
  }
  const left = end - i;
  if (left === 3) hash ^= bytes[i + 2]! << 16;
  if (left >= 2) hash ^= bytes[i + 1]! << 8;
  if (left >= 1) hash = Math.imul(hash ^ bytes[i]!, M);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, M);
  return hash ^ (hash >>> 15);
}

/** The partition of a hash: Java clears the sign bit rather than taking the absolute value. */
export function partitionOfHash(hash: number, partitions: number): number {
  return (hash & 0x7fffffff) % partitions;
}

/** The partition, 0 to partitions - 1, that Java's default partitioner gives a record with this key. */
export function partitionForKey(key: Uint8Array, partitions: number): number {
  return partitionOfHash(murmur2(key), partitions);
}
