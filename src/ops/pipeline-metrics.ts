import { Counter, Histogram } from 'prom-client';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// Metrics that more than one stage counts in, each under its own label.

export const deadLettersTotal = new Counter({
  name: `${METRIC_PREFIX}dead_letters_total`,
  help: 'Messages and readings written to a dead letter topic.',
  labelNames: ['stage', 'reason'] as const,
  registers: [metricsRegistry],
});

export const endToEndLatencySeconds = new Histogram({
  name: `${METRIC_PREFIX}end_to_end_latency_seconds`,
  help: 'From the arrival at the bridge to the end of the stage, for the oldest reading of each batch.',
  labelNames: ['stage'] as const,
  buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
  registers: [metricsRegistry],
});
