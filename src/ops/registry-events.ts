import { Counter } from 'prom-client';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// What there is to see of the Schema Registry: one function per event, log line and metric together.

const schemaLookups = new Counter({
  name: `${METRIC_PREFIX}schema_lookups_total`,
  help: 'Schemas of records that were looked up in the registry, by outcome.',
  labelNames: ['outcome'] as const,
  registers: [metricsRegistry],
});

export function schemaRegistered(event: { subject: string; schemaId: number }): void {
  log('registry').info(event, 'schema registered');
}

export function schemaFound(event: { subject: string; schemaId: number }): void {
  log('registry').debug(event, 'schema found in the registry');
}

const AWAITED_TOLD_EVERY_MS = 10_000;
let awaitedToldAtMs = Number.NEGATIVE_INFINITY;

/** The registry did not answer at the start, and it is tried again: told at once, and then every ten seconds while it lasts. */
export function registryAwaited(event: { url: string; error: string; retryInMs: number }): void {
  const nowMs = performance.now();
  if (nowMs < awaitedToldAtMs + AWAITED_TOLD_EVERY_MS) return;
  awaitedToldAtMs = nowMs;
  log('registry').warn(event, 'waiting for the Schema Registry');
}

/** The registry did not answer at the start; the id is the one it gave earlier. */
export function schemaIdTakenFromDisk(event: { subject: string; schemaId: number; error: string }): void {
  log('registry').warn(event, 'the Schema Registry does not answer; using the schema id it gave earlier');
}

/** The schema of another writer was fetched, and records with it can be decoded. */
export function writerSchemaLoaded(event: { schemaId: number; from: 'registry' | 'disk' }): void {
  schemaLookups.inc({ outcome: event.from });
  log('registry').info(event, 'schema loaded');
}

/** Records with this schema id cannot be decoded: there is no such schema, or it cannot be read as ours. */
export function writerSchemaRefused(event: { schemaId: number; reason: string }): void {
  schemaLookups.inc({ outcome: 'refused' });
  log('registry').warn(event, 'records with this schema id are undecodable');
}

export function writerSchemaUnavailable(event: { schemaId: number; error: string }): void {
  schemaLookups.inc({ outcome: 'unavailable' });
  log('registry').warn(event, 'a schema could not be fetched; its records wait');
}

export function schemaStoreFailed(error: unknown): void {
  log('registry').warn({ error: String(error) }, 'the copy of the schemas in the data folder could not be written');
}
