import { collectDefaultMetrics, Gauge } from 'prom-client';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// What is measured of the process itself: memory, CPU, event loop delay, garbage collection, and which build it is.

let isStarted = false;
/**
 * How often the delay of the event loop is looked at: each look wakes the process, and the default is a hundred of them a second. What is
 * reported includes this time (docs/OPERATING.md).
 */
const LOOP_DELAY_EVERY_MS = 100;

/** Call once when a role starts; more calls change nothing. */
export function observeProcess(options: { readonly version: string; readonly role: string }): void {
  if (isStarted) return;
  isStarted = true;
  collectDefaultMetrics({ register: metricsRegistry, eventLoopMonitoringPrecision: LOOP_DELAY_EVERY_MS });
  new Gauge({
    name: `${METRIC_PREFIX}build_info`,
    help: 'Always 1; the labels say what runs',
    labelNames: ['version', 'node', 'role'],
    registers: [metricsRegistry],
  }).set({ version: options.version, node: process.versions.node, role: options.role }, 1);
}
