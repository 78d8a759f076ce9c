// Sums of doubles without any rounding in between: every finite double is an integer times a power of two.

const MANTISSA_BITS = 52;
/** The exponent of the last mantissa bit of a subnormal double. */
const LOWEST_EXPONENT = -1074;
/** Numbers of more bits than this are cut before they become a double; the error is below 2^-900 of the number. */
const BITS_MAX = 900;

const view = new DataView(new ArrayBuffer(8));

interface Scaled {
  readonly integer: bigint;
  /** The value is integer * 2^exponent. */
  readonly exponent: number;
}

function scaledOf(value: number): Scaled {
  if (!Number.isFinite(value)) throw new Error(`${value} has no exact sum`);
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> BigInt(MANTISSA_BITS)) & 0x7ffn);
  const fraction = bits & ((1n << BigInt(MANTISSA_BITS)) - 1n);
  const magnitude = biased === 0 ? fraction : fraction | (1n << BigInt(MANTISSA_BITS));
  return { integer: value < 0 ? -magnitude : magnitude, exponent: LOWEST_EXPONENT + Math.max(0, biased - 1) };
}

/** Multiplies by a power of two in steps that stay inside the range of doubles. */
function timesPowerOfTwo(value: number, exponent: number): number {
  while (exponent < -1000) {
    value *= 2 ** -1000;
    exponent += 1000;
  }
  return value * 2 ** exponent;
}

/** The sum of finite doubles, rounded once. The empty sum is 0. */
export function exactSum(values: readonly number[]): number {
  if (values.length === 0) return 0;
  const scaled = values.map(scaledOf);
  let exponent = scaled.reduce((lowest, { exponent }) => Math.min(lowest, exponent), 1100);
  let total = scaled.reduce((sum, part) => sum + (part.integer << BigInt(part.exponent - exponent)), 0n);
  const bits = (total < 0n ? -total : total).toString(2).length;
  if (bits > BITS_MAX) {
    total >>= BigInt(bits - BITS_MAX);
    exponent += bits - BITS_MAX;
  }
  return timesPowerOfTwo(Number(total), exponent);
}
