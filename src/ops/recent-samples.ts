/** The last so many samples, for quantiles of what is going on now. Bounded. */
export class RecentSamples {
  private readonly samples: Float64Array;
  private count = 0;

  constructor(capacity: number) {
    this.samples = new Float64Array(capacity);
  }

  add(sample: number): void {
    this.samples[this.count % this.samples.length] = sample;
    this.count += 1;
  }

  /** Quantiles by nearest rank, in the order asked for; null when there are no samples. */
  quantiles(fractions: readonly number[]): number[] | null {
    const size = Math.min(this.count, this.samples.length);
    if (size === 0) return null;
    const sorted = this.samples.slice(0, size).sort();
    return fractions.map((fraction) => sorted[Math.min(size - 1, Math.max(0, Math.ceil(fraction * size) - 1))]!);
  }
}
