import { join } from 'node:path';
import type { Config } from '../../config/settings-table.ts';
import type { LogClient } from '../../kafka/log-port.ts';
import { topicNames } from '../../kafka/topics.ts';
import { cacheFolder } from '../../local-stack/setup/installed-parts.mjs';
import { AGGREGATE_SCHEMA, ALERT_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import { openEmbeddedDatabase } from '../../sql/embedded.ts';
import { openPostgres } from '../../sql/postgres.ts';
import { createSink, type Sink } from '../../sql/sink.ts';
import type { SqlDatabase } from '../../sql/sql-database.ts';
import type { RoleSurroundings, RunningRole } from '../run-role.ts';
import { awaitTopics, connectLog } from './connect-log.ts';
import { registryAddress } from './connect-registry.ts';
import { sinkGroupIds } from './consumer-groups.ts';

// Constructs the SQL sink of this process from the configuration.

const SESSION_TIMEOUT_MS = 10_000;
const LONG_POLL_MS = 250;
const BYTES_PER_PARTITION = 1024 * 1024;
const CLOSE_MS = 2_000;

export interface SinkRole extends RunningRole {
  readonly sink: Sink;
  /** Where the rows are. */
  readonly database: SqlDatabase;
}

/** The database that the configuration names: PostgreSQL by DATABASE_URL, or the embedded one in the data folder. Opened at its first use. */
function openDatabase(config: Config): SqlDatabase {
  const { databaseUrl } = config.sql;
  return databaseUrl === null ? openEmbeddedDatabase(join(config.instance.dataFolder, 'sql'), cacheFolder()) : openPostgres(databaseUrl);
}

/** Starts the sink. Rejects with what keeps it from starting; then nothing of it is left running. */
export async function startSinkRole(surroundings: RoleSurroundings, options: { readonly acceptLoss: boolean }): Promise<SinkRole> {
  const { config, instance } = surroundings;
  const database = openDatabase(config);
  const log = connectLog(config, `${config.kafka.clientId}-sink-${instance.id}`);
  try {
    const sink = await constructSink({ ...surroundings, ...options, database, log });
    await sink.start();
    return {
      sink,
      database,
      ended: sink.failed.then((error) => Promise.reject(error)),
      drainSteps: [
        { name: 'sink', stop: (remainingMs) => sink.stop(remainingMs) },
        { name: 'sink log', stop: () => log.close() },
        { name: 'sink database', stop: (remainingMs) => database.close(Math.min(remainingMs, CLOSE_MS)) },
      ],
    };
  } catch (error) {
    await log.close();
    await database.close(CLOSE_MS);
    throw error;
  }
}

interface SinkParts extends RoleSurroundings {
  readonly database: SqlDatabase;
  readonly log: LogClient;
  readonly acceptLoss: boolean;
}

async function constructSink({ config, instance, health, database, log, acceptLoss }: SinkParts): Promise<Sink> {
  const { topicPrefix } = config.kafka;
  const kafka = health.dependency('kafka');
  const databaseHealth = health.dependency('database');
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: false },
    topicPrefix,
    storeFile: join(config.instance.dataFolder, 'schemas-sink.json'),
    unknownPatienceMs: config.registry.unknownPatienceMs,
  });
  const admin = log.admin();
  await awaitTopics(admin, topicPrefix);
  kafka.up();
  const topics = topicNames(topicPrefix);
  const groups = sinkGroupIds(config);
  const membership = (groupId: string, topic: string) =>
    log.membership({ groupId, topic, sessionTimeoutMs: SESSION_TIMEOUT_MS, evictOwnClientId: instance.isExclusive });
  return createSink({
    database,
    admin,
    fetchLoop: log.fetchLoop({ name: 'sink', maxWaitMs: LONG_POLL_MS, maxBytesPerPartition: BYTES_PER_PARTITION, isolation: 'committed' }),
    aggregates: {
      topic: topics.aggregates,
      decoder: codecs.openDecoder(AGGREGATE_SCHEMA),
      membership: membership(groups.aggregates, topics.aggregates),
    },
    alerts: { topic: topics.alerts, decoder: codecs.openDecoder(ALERT_SCHEMA), membership: membership(groups.alerts, topics.alerts) },
    acceptLoss,
    onDatabase: (error) => (error === null ? databaseHealth.up(database.address) : databaseHealth.down(error.message)),
  });
}
