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
const LOST_TOLD_EVERY_MS = 10_000;
let lost = { error: '', toldAtMs: Number.NEGATIVE_INFINITY };

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

/** Told at once, and the same again at most every ten seconds: it is tried every second. */
export function brokerLost(cause: unknown): void {
  const error = cause instanceof Error ? cause.message : String(cause);
  const nowMs = performance.now();
  if (error === lost.error && nowMs < lost.toldAtMs + LOST_TOLD_EVERY_MS) return;
  lost = { error, toldAtMs: nowMs };
  logger().warn({ error }, 'alerts cannot be published; connecting again');
}

/** Somebody has left more retained messages below the prefix than are looked at. */
export function retainedBeyond(count: number): void {
  logger().error(
    { count },
    'the MQTT broker keeps more retained messages below ALERTS_MQTT_PREFIX than are looked at; give the alerts a prefix of their own',
  );
}

export function reconciled(counts: { retained: number; firing: number; corrected: number }): void {
  logger().info(counts, 'retained messages of alerts are as the alerts topic says');
}
