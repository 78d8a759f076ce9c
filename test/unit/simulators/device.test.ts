import { describe, expect, test } from 'vitest';
import { HOUSING_TAU_MS, hallTemperatureCel, type Measurement, measure } from '../../../simulators/device.ts';
import type { Story } from '../../../simulators/scenarios.ts';

const steady: Story = { scenario: 'steady', seed: 7, cycleMs: 60_000 };
const MINUTE_MS = 60_000;

/** One reading a minute. */
function series(story: Story, device: number, minutes: number): Measurement[] {
  return Array.from({ length: minutes }, (_, tick) => measure(story, { device, tick, elapsedMs: tick * MINUTE_MS }));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [mean(a), mean(b)];
  const product = mean(a.map((value, index) => (value - meanA) * (b[index]! - meanB)));
  return product / Math.sqrt(mean(a.map((value) => (value - meanA) ** 2)) * mean(b.map((value) => (value - meanB) ** 2)));
}

describe('a simulated device', () => {
  test('says the same for the same seed, device and tick, in whatever order it is asked', () => {
    const mix: Story = { scenario: 'mix', seed: 7, cycleMs: 60_000 };
    const forwards = series(mix, 3, 50);
    const backwards = Array.from({ length: 50 }, (_, index) => 49 - index).map((tick) =>
      measure(mix, { device: 3, tick, elapsedMs: tick * MINUTE_MS }),
    );
    expect(backwards.reverse()).toEqual(forwards);
  });

  test('says something else for another seed, device or tick', () => {
    const at = { device: 3, tick: 10, elapsedMs: 600_000 };
    const reading = measure(steady, at);
    expect(measure({ ...steady, seed: 8 }, at)).not.toEqual(reading);
    expect(measure(steady, { ...at, device: 4 })).not.toEqual(reading);
    expect(measure(steady, { ...at, tick: 11 })).not.toEqual(reading);
  });

  test('keeps within what such a sensor can say, and carries no more digits than it', () => {
    const all = Array.from({ length: 20 }, (_, device) => series(steady, device, 500)).flat();
    const extremes = (metric: keyof Measurement): [number, number] => [
      Math.min(...all.map((measurement) => measurement[metric])),
      Math.max(...all.map((measurement) => measurement[metric])),
    ];
    const within = (metric: keyof Measurement, low: number, high: number): boolean => {
      const [min, max] = extremes(metric);
      return min >= low && max <= high;
    };
    expect(within('temperature', 35, 95)).toBe(true);
    expect(within('humidity', 1, 100)).toBe(true);
    expect(within('battery', 0, 100)).toBe(true);
    expect(within('voltage', 2.9, 4.3)).toBe(true);
    expect(all.every(({ temperature }) => Math.round(temperature * 100) / 100 === temperature)).toBe(true);
  });

  test('follows the day: warmest in the afternoon, coldest before sunrise, and back after 24 hours', () => {
    const day = series(steady, 1, 48 * 60).map((measurement) => measurement.temperature);
    const hourly = Array.from({ length: 48 }, (_, hour) => mean(day.slice(hour * 60, hour * 60 + 60)));
    // The run starts at ten in the morning.
    const afternoon = mean(hourly.slice(3, 7));
    const beforeSunrise = mean(hourly.slice(15, 19));
    expect(afternoon - beforeSunrise).toBeGreaterThan(3);
    expect(mean(hourly.slice(27, 31)) - beforeSunrise).toBeGreaterThan(2);
  });

  test('the closed form of the thermal lag is what a step-by-step integration gives', () => {
    const stepMs = 10_000;
    let housing = hallTemperatureCel(7, 1, 0, 0);
    for (let atMs = 0; atMs < 24 * 60 * MINUTE_MS; atMs += stepMs) {
      housing += ((hallTemperatureCel(7, 1, atMs, 0) - housing) * stepMs) / HOUSING_TAU_MS;
    }
    expect(housing).toBeCloseTo(hallTemperatureCel(7, 1, 24 * 60 * MINUTE_MS, HOUSING_TAU_MS), 2);
    expect(housing).not.toBeCloseTo(hallTemperatureCel(7, 1, 24 * 60 * MINUTE_MS, 0), 2);
  });

  test('its housing follows the hall with that lag', () => {
    const everyMs = 10_000;
    const times = Array.from({ length: (24 * 60 * MINUTE_MS) / everyMs }, (_, tick) => tick * everyMs);
    const temperature = times.map((elapsedMs, tick) => measure(steady, { device: 1, tick, elapsedMs }).temperature);
    const spread = (lagMs: number): number => {
      const rise = temperature.map((value, tick) => value - hallTemperatureCel(7, 1, times[tick]!, lagMs));
      const hourly = Array.from({ length: 24 }, (_, hour) => mean(rise.slice(hour * 360, hour * 360 + 360)));
      return Math.max(...hourly) - Math.min(...hourly);
    };
    expect(spread(HOUSING_TAU_MS)).toBeLessThan(0.25);
    expect(spread(0)).toBeGreaterThan(2 * spread(HOUSING_TAU_MS));
  });

  test('its air is drier when the machine is hotter', () => {
    const hot = series({ scenario: 'heatwave', seed: 7, cycleMs: 60 * MINUTE_MS }, 0, 240);
    const temperature = hot.map((measurement) => measurement.temperature);
    const humidity = hot.map((measurement) => measurement.humidity);
    expect(correlation(temperature, humidity)).toBeLessThan(-0.8);
  });

  test('its noise is small, remembers the tick before, and is not the same in every device', () => {
    const ticks = Array.from({ length: 2_000 }, (_, tick) => tick);
    // Within two seconds nothing but noise can change.
    const noise = (device: number): number[] => ticks.map((tick) => measure(steady, { device, tick, elapsedMs: tick }).temperature);
    const one = noise(1);
    const deviation = Math.sqrt(mean(one.map((value) => (value - mean(one)) ** 2)));
    expect(deviation).toBeGreaterThan(0.25);
    expect(deviation).toBeLessThan(0.45);
    expect(correlation(one.slice(1), one.slice(0, -1))).toBeGreaterThan(0.4);
    expect(Math.abs(correlation(one, noise(2)))).toBeLessThan(0.15);
  });

  test('its battery runs down over weeks, its voltage with it, and somebody replaces it', () => {
    const hours = Array.from({ length: 24 * 70 }, (_, hour) =>
      measure(steady, { device: 5, tick: hour, elapsedMs: hour * 60 * MINUTE_MS }),
    );
    const battery = hours.map((measurement) => measurement.battery);
    const rises = battery.filter((percent, hour) => hour > 0 && percent > battery[hour - 1]!);
    expect(rises.length).toBeGreaterThanOrEqual(1);
    expect(rises.length).toBeLessThanOrEqual(4);
    const voltage = hours.map((measurement) => measurement.voltage);
    expect(correlation(battery, voltage)).toBeGreaterThan(0.9);
  });
});
