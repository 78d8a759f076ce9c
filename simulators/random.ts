// Randomness by address: the same (seed, stream, a, b) always gives the same number, in whatever order they are asked for. A device
// needs no hidden state, so any reading of any device can be computed alone, and two runs with one seed say the same.

/** What a number is for. Two purposes never share their numbers. */
export const STREAMS = {
  site: 1,
  machine: 2,
  temperatureNoise: 3,
  humidityNoise: 4,
  voltageNoise: 5,
  pulse: 6,
  outage: 7,
  unrest: 8,
} as const;
export type Stream = (typeof STREAMS)[keyof typeof STREAMS];

export interface Address {
  readonly seed: number;
  readonly stream: Stream;
  /** Usually the device's index. */
  readonly a: number;
  /** Usually a tick or the number of a constant. */
  readonly b: number;
}

/** The finaliser of MurmurHash3: every input bit changes every output bit with probability one half. */
function mix(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
  return (word ^ (word >>> 16)) >>> 0;
}

function hash32({ seed, stream, a, b }: Address, salt: number): number {
  let word = mix(seed ^ Math.imul(salt, 0x9e3779b9));
  word = mix(word ^ Math.imul(stream, 0x85ebca77));
  word = mix(word ^ Math.imul(a >>> 0, 0xc2b2ae3d));
  // Ticks may pass 2^32 in a long run at a high rate, so both halves count.
  word = mix(word ^ (b >>> 0));
  return mix(word ^ Math.imul(Math.floor(b / 4_294_967_296), 0x27d4eb2f));
}

/** A number in [0, 1), evenly distributed, 53 bits. */
export function uniform(address: Address): number {
  const high = hash32(address, 1) >>> 5;
  const low = hash32(address, 2) >>> 6;
  return (high * 67_108_864 + low) / 9_007_199_254_740_992;
}

/** A number between `from` and `to`, evenly distributed. */
export function between(address: Address, from: number, to: number): number {
  return from + uniform(address) * (to - from);
}

/** Mean 0, standard deviation 1 (Box-Muller), cut off at 3.5 deviations so that no single reading is absurd. */
export function gaussian(address: Address): number {
  const radius = Math.sqrt(-2 * Math.log(1 - hash32(address, 3) / 4_294_967_296));
  const angle = (2 * Math.PI * hash32(address, 4)) / 4_294_967_296;
  return Math.max(-3.5, Math.min(3.5, radius * Math.cos(angle)));
}
