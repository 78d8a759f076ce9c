import { join } from 'node:path';
import type { LedgerSource } from '../../dashboard/dashboard-ports.ts';
import { dashboardRoutes } from '../../dashboard/dashboard-routes.ts';
import { DEFAULT_STREAM_LIMITS, EventStream } from '../../dashboard/event-stream.ts';
import { DEFAULT_LIMITS, ReadModel } from '../../dashboard/read-model.ts';
import { TopicFeed } from '../../dashboard/topic-feed.ts';
import type { LogAdmin, LogClient } from '../../kafka/log-port.ts';
import { topicNames } from '../../kafka/topics.ts';
import type { HttpRoute } from '../../ops/http-server.ts';
import { AGGREGATE_SCHEMA, ALERT_SCHEMA, READING_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs, type SchemaCodecs } from '../../registry/schema-codecs.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import { awaitTopics, connectLog } from './connect-log.ts';
import { registryAddress } from './connect-registry.ts';

// Constructs the page of this process from the configuration.

/** How far back the page reads at its start, in records per partition: a table that is not empty, a line per device, what fires. */
const READINGS_BACK = 1_000;
const AGGREGATES_BACK = 20_000;
const ALERTS_BACK = 50_000;
/** Readings that the page cannot keep up with it leaves out: it shows what is now. Windows and alerts it reads all. */
const READINGS_BEHIND_MAX = 20_000;

const LONG_POLL_MS = 250;
const BYTES_PER_PARTITION = 256 * 1024;
/** A device counts as silent when the aggregator would say so, but not for being late by a network's whim. */
const SILENT_AFTER_MIN_MS = 10_000;

export interface DashboardRole extends RunningRole {
  /** To be added to the HTTP server of the process. */
  readonly routes: readonly HttpRoute[];
}

/**
 * Starts to read for the page. `ledger` gives the counts of bridge and aggregator when they run in this process.
 * Rejects with what keeps it from starting; then nothing of it is left running.
 */
export async function startDashboardRole(surroundings: RoleSurroundings, { ledger }: { ledger: LedgerSource }): Promise<DashboardRole> {
  const { config, instance, health } = surroundings;
  const kafka = health.dependency('kafka');
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: false },
    topicPrefix: config.kafka.topicPrefix,
    storeFile: join(config.instance.dataFolder, 'schemas-dashboard.json'),
    unknownPatienceMs: config.registry.unknownPatienceMs,
  });
  const model = new ReadModel({ ...DEFAULT_LIMITS, silentAfterMs: Math.max(config.window.idleMs, SILENT_AFTER_MIN_MS) });
  const log = connectLog(config, `${config.kafka.clientId}-dashboard-${instance.id}`);
  const admin = log.admin();
  const { alerts, aggregates, readings } = makeFeeds({ log, admin, model, codecs, topicPrefix: config.kafka.topicPrefix });
  const feeds = [alerts, aggregates, readings];
  try {
    await awaitTopics(admin, config.kafka.topicPrefix);
    kafka.up();
    if ((await alerts.start()).isCut) model.markAlertsCut();
    await aggregates.start();
    await readings.start();
    const nowMs = () => Date.now();
    const events = new EventStream({ model, ledger, nowMs, ...DEFAULT_STREAM_LIMITS });
    return {
      routes: dashboardRoutes({ model, ledger, events, nowMs }),
      ended: new Promise(() => undefined),
      drainSteps: [
        { name: 'page', stop: async () => events.close() },
        { name: 'page feeds', stop: async () => void (await Promise.all(feeds.map((feed) => feed.close()))) },
        { name: 'page log', stop: () => log.close() },
      ],
    };
  } catch (error) {
    await Promise.all(feeds.map((feed) => feed.close()));
    await log.close();
    throw error;
  }
}

interface Feeding {
  readonly log: LogClient;
  readonly admin: LogAdmin;
  readonly model: ReadModel;
  readonly codecs: SchemaCodecs;
  readonly topicPrefix: string;
}

function makeFeeds({ log, admin, model, codecs, topicPrefix }: Feeding) {
  const topics = topicNames(topicPrefix);
  const fetchLoop = log.fetchLoop({
    name: 'page',
    maxWaitMs: LONG_POLL_MS,
    maxBytesPerPartition: BYTES_PER_PARTITION,
    isolation: 'committed',
  });
  return {
    alerts: new TopicFeed({
      topic: topics.alerts,
      fetchLoop,
      admin,
      decoder: codecs.openDecoder(ALERT_SCHEMA),
      backRecords: ALERTS_BACK,
      behindRecordsMax: null,
      observe: (alert, writtenMs) => model.observeAlert(alert, writtenMs),
    }),
    aggregates: new TopicFeed({
      topic: topics.aggregates,
      fetchLoop,
      admin,
      decoder: codecs.openDecoder(AGGREGATE_SCHEMA),
      backRecords: AGGREGATES_BACK,
      behindRecordsMax: null,
      observe: (row, writtenMs) => model.observeAggregate(row, writtenMs),
    }),
    readings: new TopicFeed({
      topic: topics.readings,
      fetchLoop,
      admin,
      decoder: codecs.openDecoder(READING_SCHEMA),
      backRecords: READINGS_BACK,
      behindRecordsMax: READINGS_BEHIND_MAX,
      observe: (reading, heardMs) => model.observeReading(reading, heardMs),
    }),
  };
}
