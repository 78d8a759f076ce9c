import { Counter, Gauge } from 'prom-client';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// What there is to see of the alert notices: one function per event, log line and metric together.

const registers = [metricsRegistry];

const notices = new Counter({
  name: `${METRIC_PREFIX}alert_notices_total`,
  help: 'Messages about alerts for MQTT: published, dropped because too many waited, unreadable in Kafka.',
  labelNames: ['outcome'] as const,
  registers,
});
const retainedAlerts = new Gauge({
  name: `${METRIC_PREFIX}alert_notices_firing`,
  help: 'Alerts that fire and have a retained message.',
  registers,
});

const logger = () => log('notices');
let wasFull = false;

export function noticesPublished(count: number): void {
  notices.inc({ outcome: 'published' }, count);
}

export function noticesDropped(count: number): void {
  notices.inc({ outcome: 'dropped' }, count);
  logger().warn({ count }, 'more transitions of alerts than may wait for the MQTT broker; only their newest states will be published');
}

export function firingCounted(count: number, isFull: boolean): void {
  retainedAlerts.set(count);
  if (isFull && !wasFull) logger().error({ count }, 'as many alerts fire as are kept; more are not published to MQTT');
  wasFull = isFull;
}

export function alertUnreadable(at: { partition: number; offset: number; why: string }): void {
  notices.inc({ outcome: 'unreadable' });
  logger().warn(at, 'a record of the alerts topic is left out');
}

export function feedInterrupted(cause: unknown): void {
  logger().warn({ error: cause instanceof Error ? cause.message : String(cause) }, 'alerts cannot be read; trying again');
}

export function brokerLost(cause: unknown): void {
  logger().warn({ error: cause instanceof Error ? cause.message : String(cause) }, 'alerts cannot be published; connecting again');
}

export function reconciled(counts: { retained: number; firing: number; corrected: number }): void {
  logger().info(counts, 'retained messages of alerts are as the alerts topic says');
}
