import { type Address, between, gaussian, STREAMS, type Stream } from './random.ts';
import { influenceAt, type Story } from './scenarios.ts';

// A device: a machine in a hall with a probe on its housing, a humidity sensor in the air beside it, and a battery. Pure: the
// same (story, device, tick) gives the same values at any time and in any order. The clock of the physics starts at ten in the
// morning with tick 0, whatever the wall clock says; only the readings' times come from the wall clock.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START_OF_RUN_MS = 10 * HOUR_MS;

/** Heat moves into a machine's housing with this time constant. */
export const HOUSING_TAU_MS = 20 * 60_000;
/** How much of the housing's excess temperature the air beside it takes. */
const AIR_COUPLING = 0.12;
/** The sensor's noise at one tick keeps this share of the tick before: real noise is not white. */
const NOISE_MEMORY = 0.6;
/** 0.6^8 < 2 %: what is older than eight ticks cannot be told from nothing, so looking back that far is enough. */
const NOISE_LOOK_BACK_TICKS = 8;

/** The metrics of a simulated device, by the names of SensorReading. */
export interface Measurement {
  /** Cel, of the housing. */
  readonly temperature: number;
  /** %RH, of the air beside the machine. */
  readonly humidity: number;
  /** % */
  readonly battery: number;
  /** V */
  readonly voltage: number;
}

export interface Moment {
  /** The device's index in the fleet, from 0. */
  readonly device: number;
  /** The device's how-manieth reading, from 0. */
  readonly tick: number;
  /** Since the device's first reading. */
  readonly elapsedMs: number;
}

/** What the device measures at its tick. Values are rounded as a real sensor's are, so JSON carries them exactly. */
export function measure(story: Story, moment: Moment): Measurement {
  const { seed } = story;
  const { device, tick, elapsedMs } = moment;
  const hall = hallTemperatureCel(seed, device, elapsedMs, 0);
  const heatRise = between(site(seed, device, 10), 32, 52);
  const undisturbed = hallTemperatureCel(seed, device, elapsedMs, HOUSING_TAU_MS) + heatRise;

  const influence = influenceAt(story, device, elapsedMs);
  const noise = 0.35 * noiseAt({ seed, stream: STREAMS.temperatureNoise, a: device, b: tick });
  const tremble = influence.trembleCel * between({ seed, stream: STREAMS.unrest, a: device, b: tick }, -1, 1);
  const housing = undisturbed + influence.weight * (influence.targetCel - undisturbed) + noise + tremble;

  const air = hall + AIR_COUPLING * (housing - hall);
  const moisture = dewPointCel(seed, device, elapsedMs);
  const humidityNoise = 0.4 * noiseAt({ seed, stream: STREAMS.humidityNoise, a: device, b: tick });
  const humidity = (100 * saturationPressureHpa(moisture)) / saturationPressureHpa(air) + humidityNoise;

  const battery = batteryPercent(seed, device, elapsedMs);
  const voltage = cellVoltage(battery, air) + 0.004 * gaussian({ seed, stream: STREAMS.voltageNoise, a: device, b: tick });
  return {
    temperature: round(housing, 2),
    humidity: round(clamp(humidity, 1, 100), 2),
    battery: round(battery, 2),
    voltage: round(voltage, 3),
  };
}

/**
 * The air of the hall, seen through a first-order lag (0: the air itself, HOUSING_TAU_MS: the housing of a machine that adds no heat).
 * A day's swing and two slower swings of the weather, each a sine. A first-order lag turns a sine of angular frequency w into one
 * that is smaller by sqrt(1 + (w tau)^2) and later by atan(w tau): the lag in closed form, without any memory.
 */
export function hallTemperatureCel(seed: number, device: number, elapsedMs: number, lagMs: number): number {
  const atMs = START_OF_RUN_MS + elapsedMs;
  const warmestMs = between(site(seed, device, 0), 14, 16) * HOUR_MS;
  const mean = between(site(seed, device, 1), 18, 24);
  const daily = laggedSine(DAY_MS, atMs - warmestMs + DAY_MS / 4, lagMs) * between(site(seed, device, 2), 2.5, 4.5);
  const weatherShift = between(site(seed, device, 3), 0, DAY_MS);
  const weather =
    1.1 * laggedSine(31.7 * HOUR_MS, atMs + weatherShift, lagMs) + 0.5 * laggedSine(7.3 * HOUR_MS, atMs - weatherShift, lagMs);
  return mean + daily + weather;
}

function laggedSine(periodMs: number, atMs: number, lagMs: number): number {
  const angular = (2 * Math.PI) / periodMs;
  const product = angular * lagMs;
  return Math.sin(angular * atMs - Math.atan(product)) / Math.sqrt(1 + product * product);
}

function dewPointCel(seed: number, device: number, elapsedMs: number): number {
  const shiftMs = between(site(seed, device, 4), 0, DAY_MS);
  return between(site(seed, device, 5), 8, 13) + 1.2 * laggedSine(19.1 * HOUR_MS, elapsedMs + shiftMs, 0);
}

/** Magnus formula over water (WMO constants): the vapour pressure at which air of this temperature is saturated. */
function saturationPressureHpa(cel: number): number {
  return 6.112 * Math.exp((17.62 * cel) / (243.12 + cel));
}

/** Falls evenly over 20 to 60 days, then somebody puts a new one in. */
function batteryPercent(seed: number, device: number, elapsedMs: number): number {
  const lifeMs = between(machine(seed, device, 0), 20, 60) * DAY_MS;
  const used = between(machine(seed, device, 1), 0, 0.6) + elapsedMs / lifeMs;
  return 100 * (1 - (used - Math.floor(used)));
}

/** A lithium cell: steep when full and when empty, flat between, a little less in the cold. */
function cellVoltage(percent: number, cel: number): number {
  const charge = percent / 100;
  return 3.45 + 0.45 * charge + 0.25 * charge ** 6 - 0.45 * (1 - charge) ** 8 + 0.001 * (cel - 20);
}

/** Noise with a memory, standard deviation 1: a weighted sum of the white noise of the last ticks. */
function noiseAt(address: Address): number {
  let sum = 0;
  let weight = 1;
  let squares = 0;
  for (let back = 0; back < NOISE_LOOK_BACK_TICKS; back += 1) {
    // Ticks before the first are as good as others: the hash takes negative numbers.
    sum += weight * gaussian({ ...address, b: address.b - back });
    squares += weight * weight;
    weight *= NOISE_MEMORY;
  }
  return sum / Math.sqrt(squares);
}

const site = (seed: number, device: number, b: number): Address => constant(seed, STREAMS.site, device, b);
const machine = (seed: number, device: number, b: number): Address => constant(seed, STREAMS.machine, device, b);

function constant(seed: number, stream: Stream, device: number, b: number): Address {
  return { seed, stream, a: device, b };
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}

/** Adding 0 turns -0 into 0, which JSON would not tell apart. */
function round(value: number, digits: number): number {
  const scale = 10 ** digits;
  return Math.round(value * scale) / scale + 0;
}
