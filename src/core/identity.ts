// The identity of a message: a 53-bit hash of its MQTT topic and payload, by which a redelivered message is known again.
// It is stored in every reading and compared across restarts and versions: changing a constant here makes every duplicate of the
// last 24 h look new. test/unit/identity.test.ts pins known values.

const MULTIPLIER_A = 0xcc9e2d51 | 0;
const MULTIPLIER_B = 0x1b873593 | 0;
const MULTIPLIER_C = 0x85ebca6b | 0;
const MULTIPLIER_D = 0xc2b2ae35 | 0;
const TWO_TO_32 = 4_294_967_296;

/**
 * A number from 1 to 2^53 - 1: two lanes of 32-bit multiply and rotate over four bytes at a time (the mixing steps of MurmurHash3),
 * the length mixed in between topic and payload so that a byte cannot wander from one to the other.
 * Not cryptographic: it tells equal messages apart from different ones, it does not prove who sent them.
 * `topic` must be ASCII, as every topic with a valid device id is.
 */
export function identityOf(topic: string, payload: Uint8Array): number {
  return identityFrom(identitySeed(topic), payload, 0, payload.length);
}

/** What a topic contributes, so that it need not be computed for each of its messages. */
export interface IdentitySeed {
  readonly a: number;
  readonly b: number;
}

export function identitySeed(topic: string): IdentitySeed {
  let a = 0x9e3779b9 | 0;
  let b = 0x7f4a7c15 | 0;
  for (let i = 0; i < topic.length; i++) {
    const word = topic.charCodeAt(i);
    a = Math.imul(a ^ word, MULTIPLIER_A);
    a = (a << 13) | (a >>> 19);
    b = Math.imul(b ^ word, MULTIPLIER_B);
    b = ((b << 15) | (b >>> 17)) + a;
  }
  return { a: a | 0, b: b | 0 };
}

/** The identity of the payload bytes[start, end) on the topic of the seed. */
export function identityFrom(seed: IdentitySeed, bytes: Uint8Array, start: number, end: number): number {
  let { a, b } = seed;
  const length = end - start;
  a ^= length;
  b ^= Math.imul(length, MULTIPLIER_D);
  const wholeWordsEnd = end - (length & 3);
  let i = start;
  for (; i < wholeWordsEnd; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    a = Math.imul(a ^ word, MULTIPLIER_A);
    a = (((a << 13) | (a >>> 19)) + b) | 0;
    b = Math.imul(b ^ ((word << 16) | (word >>> 16)), MULTIPLIER_B);
    b = (((b << 15) | (b >>> 17)) + a) | 0;
  }
  for (; i < end; i++) {
    const word = bytes[i]!;
    a = Math.imul(a ^ word, MULTIPLIER_A);
    a = (((a << 13) | (a >>> 19)) + b) | 0;
    b = Math.imul(b ^ (word << 11), MULTIPLIER_B);
    b = (((b << 15) | (b >>> 17)) + a) | 0;
  }
  const low = avalanche((a + Math.imul(b, MULTIPLIER_C)) | 0);
  const high = avalanche(b ^ Math.imul(low, MULTIPLIER_A));
  const identity = (high & 0x1fffff) * TWO_TO_32 + (low >>> 0);
  // 0 means "no identity" in SensorReading.
  return identity === 0 ? 1 : identity;
}

/** Every bit of the input changes about half of the bits of the output (the finalizer of MurmurHash3). */
function avalanche(value: number): number {
  value ^= value >>> 16;
  value = Math.imul(value, MULTIPLIER_C);
  value ^= value >>> 13;
  value = Math.imul(value, MULTIPLIER_D);
  return value ^ (value >>> 16);
}
