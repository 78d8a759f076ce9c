import { Counter, Gauge } from 'prom-client';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// One function per observable event of the page: its log line and its metrics together.

const registers = [metricsRegistry];
const clients = new Gauge({ name: `${METRIC_PREFIX}dashboard_clients`, help: 'Pages that are open and fed with events.', registers });
const clientsRefused = new Counter({
  name: `${METRIC_PREFIX}dashboard_clients_refused_total`,
  help: 'Pages that were not fed: too many were open, or they took too long to read.',
  labelNames: ['reason'],
  registers,
});
const recordsSkipped = new Counter({
  name: `${METRIC_PREFIX}dashboard_records_skipped_total`,
  help: 'Records that the page does not show. Nothing is lost by that: it only looks.',
  labelNames: ['topic', 'reason'],
  registers,
});

const logger = () => log('dashboard');

export function clientsOpen(count: number): void {
  clients.set(count);
}

export function clientRefused(reason: 'too_many' | 'too_slow', detail: string): void {
  clientsRefused.inc({ reason });
  logger().warn({ reason, detail }, 'a page is not fed with events');
}

export function recordUndecodable(topic: string): void {
  recordsSkipped.inc({ topic, reason: 'undecodable' });
}

export function recordsBehindSkipped(topic: string, count: number): void {
  recordsSkipped.inc({ topic, reason: 'behind' }, count);
  logger().debug({ topic, count }, 'the page was behind and went on near the end of the topic');
}

export function batchSkipped(at: { topic: string; partition: number; offset: number }, cause: unknown): void {
  recordsSkipped.inc({ topic: at.topic, reason: 'damaged' });
  logger().warn({ ...at, error: textOf(cause) }, 'a batch cannot be read; the page goes on after it');
}

export function feedInterrupted(at: { topic: string; partition: number }, cause: unknown): void {
  logger().warn({ ...at, error: textOf(cause) }, 'reading for the page was interrupted; trying again');
}

export function feedStarted(of: { topic: string; partitions: number; records: number }): void {
  logger().debug(of, 'the page reads a topic');
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
