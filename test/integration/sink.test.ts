import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Alert } from '../../src/core/alert-record.ts';
import { partitionForKey } from '../../src/core/murmur2.ts';
import { RecordsEncoder } from '../../src/core/record-batch.ts';
import type { WindowAggregate } from '../../src/core/window-aggregate.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { EncodedRecords, TransactionLane } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import type { AvroEncoder } from '../../src/registry/avro-codec.ts';
import { AGGREGATE_SCHEMA, ALERT_SCHEMA } from '../../src/registry/our-schemas.ts';
import { openSchemaCodecs } from '../../src/registry/schema-codecs.ts';
import { openEmbeddedDatabase } from '../../src/sql/embedded.ts';
import { openPostgres } from '../../src/sql/postgres.ts';
import type { SqlDatabase } from '../../src/sql/sql-database.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { aggregate, alert, resolved } from '../support/sink-records.ts';
import { freshName, stack } from '../support/stack.ts';
import { freshPostgresUrl } from '../support/test-databases.ts';
import { waitUntil } from '../support/wait-until.ts';

// `ingot sink` as a process, on real Kafka, with PostgreSQL and with the embedded database.

const PARTITIONS = 3;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Surroundings {
  readonly env: Readonly<Record<string, string>>;
  readonly folder: string;
  /** Commits rows and alerts in one transaction per partition, as the aggregator does. */
  write(rows: readonly WindowAggregate[], alerts?: readonly Alert[]): Promise<void>;
  /** Whether the sink's group has committed the end of every partition. */
  isCaughtUp(): Promise<boolean>;
  /** Appends bytes that are no row. */
  writeBytes(deviceId: string, bytes: Buffer): Promise<void>;
}

async function surroundings(): Promise<Surroundings> {
  const { kafkaBrokers, registryUrl } = stack();
  const prefix = `${freshName('sink')}.`;
  const topics = topicNames(prefix);
  const log = createKafkaLog({ brokers: kafkaBrokers, clientId: freshName('test') });
  const folder = await mkdtemp(join(tmpdir(), 'ingot-sink-'));
  const lanes = new Map<number, TransactionLane>();
  cleanups.push(
    () => rm(folder, { recursive: true, force: true }),
    () => log.close(),
    () => Promise.all([...lanes.values()].map((lane) => lane.close())),
  );
  await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
  const codecs = await openSchemaCodecs({ registry: { url: registryUrl, autoRegister: true }, topicPrefix: prefix });
  const rowEncoder = await codecs.openEncoder(AGGREGATE_SCHEMA);
  const alertEncoder = await codecs.openEncoder(ALERT_SCHEMA);
  const laneOf = (partition: number): TransactionLane => {
    const lane = lanes.get(partition) ?? log.transactionLane({ transactionalId: `${prefix}${partition}`, transactionTimeoutMs: 30_000 });
    lanes.set(partition, lane);
    return lane;
  };
  const commit = async (batches: readonly (EncodedRecords | null)[], partition: number): Promise<void> => {
    const present = batches.filter((batch) => batch !== null);
    if (present.length > 0) await laneOf(partition).commit(present);
  };
  return {
    folder,
    env: {
      KAFKA_BROKERS: kafkaBrokers.join(','),
      KAFKA_TOPIC_PREFIX: prefix,
      SCHEMA_REGISTRY_URL: registryUrl,
      DATA_FOLDER: folder,
    },
    async write(rows, alerts = []) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        await commit(
          [encoded(topics.aggregates, rows, rowEncoder, partition), encoded(topics.alerts, alerts, alertEncoder, partition)],
          partition,
        );
      }
    },
    async isCaughtUp() {
      const admin = log.admin();
      const committed = await admin.committedOffsets(`${prefix}sink`, topics.aggregates);
      return (await admin.watermarks(topics.aggregates)).every(({ highWatermark }, partition) => committed[partition] === highWatermark);
    },
    async writeBytes(deviceId, bytes) {
      const partition = partitionForKey(Buffer.from(deviceId), PARTITIONS);
      const encoder = { schemaId: 1, encode: () => bytes };
      await commit([encoded(topics.aggregates, [{ deviceId }], encoder, partition)], partition);
    },
  };
}

/** Those of the values that belong to the partition, in the order given; null when there is none. */
function encoded<Value extends { deviceId: string }>(
  topic: string,
  values: readonly Value[],
  encoder: AvroEncoder<Value>,
  partition: number,
): EncodedRecords | null {
  const records = new RecordsEncoder();
  const baseTimestampMs = Date.now();
  records.reset(baseTimestampMs);
  for (const value of values) {
    const key = Buffer.from(value.deviceId);
    if (partitionForKey(key, PARTITIONS) === partition) records.add(key, encoder.encode(value), baseTimestampMs);
  }
  return records.count === 0 ? null : { topic, partition, records: records.take(), count: records.count, baseTimestampMs };
}

function startSink(env: Readonly<Record<string, string>>, flags = ''): RoleProcess {
  const role = startRole(`sink ${flags}`.trim(), env);
  cleanups.push(() => role.kill());
  return role;
}

async function postgres(): Promise<{ url: string; database: SqlDatabase }> {
  const url = await freshPostgresUrl();
  const database = openPostgres(url);
  cleanups.push(() => database.close(2_000));
  return { url, database };
}

/** A number from the database; -1 while the table is not there. */
async function numberOf(database: SqlDatabase, text: string): Promise<number> {
  try {
    return Number((await database.query(text)).rows[0]!.n);
  } catch {
    return -1;
  }
}

const rowsIn = (database: SqlDatabase) => numberOf(database, 'select count(*)::text as n from window_aggregates');

const devices = Array.from({ length: 20 }, (_, index) => `pump-${index}`);
const partsFrom = (first: number, count: number): WindowAggregate[] =>
  Array.from({ length: count }, (_, index) => aggregate({ deviceId: devices[index % devices.length]!, part: first + index }));

describe('the sink', () => {
  it('writes aggregates and alerts into PostgreSQL, each once, and goes on after SIGTERM where it stopped', async () => {
    const { env, write } = await surroundings();
    const { url, database } = await postgres();
    await write(partsFrom(0, 100), [alert()]);
    const sink = startSink({ ...env, DATABASE_URL: url });
    await waitUntil(async () => (await rowsIn(database)) === 100, '100 rows', 90_000);
    await waitUntil(
      async () => (await numberOf(database, "select count(*)::text as n from alerts where state = 'FIRING'")) === 1,
      'the alert',
    );
    expect(await sink.stop()).toBe(0);

    await write(partsFrom(100, 50), [resolved()]);
    const again = startSink({ ...env, DATABASE_URL: url });
    await waitUntil(async () => (await rowsIn(database)) === 150, '150 rows', 90_000);
    await waitUntil(
      async () => (await numberOf(database, "select count(*)::text as n from alerts where state = 'RESOLVED'")) === 1,
      'the end',
    );
    expect(await numberOf(database, 'select count(*)::text as n from alert_transitions')).toBe(2);
    expect(await numberOf(database, 'select count(*)::text as n from rejected_rows')).toBe(0);
    expect(await again.stop()).toBe(0);
  });

  it('loses and doubles nothing when it is killed in the middle, three times', async () => {
    const { env, write } = await surroundings();
    const { url, database } = await postgres();
    const batches = 30;
    const perBatch = 400;
    const writing = (async () => {
      for (let batch = 0; batch < batches; batch++) await write(partsFrom(batch * perBatch, perBatch));
    })();
    for (const share of [0.1, 0.3, 0.6]) {
      const sink = startSink({ ...env, DATABASE_URL: url });
      await waitUntil(async () => (await rowsIn(database)) > share * batches * perBatch, `${share} of the rows`, 90_000);
      await sink.kill();
    }
    await writing;
    const before = await numberOf(database, 'select sum(next_offset)::text as n from sink_positions');
    const last = startSink({ ...env, DATABASE_URL: url });
    await waitUntil(async () => (await rowsIn(database)) === batches * perBatch, 'all rows', 90_000);
    expect(await last.stop()).toBe(0);
    expect(await numberOf(database, 'select count(distinct part)::text as n from window_aggregates')).toBe(batches * perBatch);
    expect(await numberOf(database, 'select sum(next_offset)::text as n from sink_positions')).toBeGreaterThan(before);
  });

  it('keeps what is no row in rejected_rows, and goes on', async () => {
    const { env, write, writeBytes } = await surroundings();
    const { url, database } = await postgres();
    await write(partsFrom(0, 5));
    await writeBytes('pump-0', Buffer.from('no Avro'));
    await writeBytes('pump-0', Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1, 2]));
    await write([aggregate({ deviceId: 'pump-0', part: 100, unit: 'C\0' }), aggregate({ deviceId: 'pump-0', part: 101 })]);
    const sink = startSink({ ...env, DATABASE_URL: url });
    await waitUntil(async () => (await rowsIn(database)) === 6, '6 rows', 90_000);
    const { rows } = await database.query('select reason, detail from rejected_rows order by kafka_offset');
    expect(rows.map(({ reason }) => reason)).toEqual(['undecodable', 'undecodable', 'refused_by_database']);
    expect(rows[1]!.detail).toContain('the registry has no schema with this id');
    expect(await sink.stop()).toBe(0);
  });

  it('waits while the database is away, and loses nothing', async () => {
    const { env, write } = await surroundings();
    const { url, database } = await postgres();
    const name = new URL(url).pathname.slice(1);
    const server = openPostgres(stack().postgresUrl);
    cleanups.push(() => server.close(2_000));
    const sink = startSink({ ...env, DATABASE_URL: url });
    await write(partsFrom(0, 10));
    await waitUntil(async () => (await rowsIn(database)) === 10, '10 rows', 90_000);
    await server.query(`alter database ${name} with allow_connections false`);
    await server.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
    await write(partsFrom(10, 10));
    await sink.logged('the database did not take the rows');
    await server.query(`alter database ${name} with allow_connections true`);
    await waitUntil(async () => (await rowsIn(database)) === 20, '20 rows', 90_000);
    expect(await sink.stop()).toBe(0);
  });

  it('shares the partitions with a second one, and both together write everything once', async () => {
    const { env, write, folder } = await surroundings();
    const { url, database } = await postgres();
    const one = startSink({ ...env, DATABASE_URL: url });
    await one.logged('started');
    const two = startSink({ ...env, DATABASE_URL: url, DATA_FOLDER: join(folder, 'two') });
    await two.logged('started');
    for (let batch = 0; batch < 10; batch++) await write(partsFrom(batch * 20, 20));
    await waitUntil(async () => (await rowsIn(database)) === 200, '200 rows', 90_000);
    await one.kill();
    await write(partsFrom(200, 20));
    await waitUntil(async () => (await rowsIn(database)) === 220, '220 rows', 90_000);
    expect(await two.stop()).toBe(0);
  });

  it('refuses a log that is not the one it has read, and begins anew when that is accepted', async () => {
    const { env, write } = await surroundings();
    const { url, database } = await postgres();
    await write(partsFrom(0, 30));
    const sink = startSink({ ...env, DATABASE_URL: url });
    await waitUntil(async () => (await rowsIn(database)) === 30, '30 rows', 90_000);
    await sink.stop();
    // As if the topic had been deleted and had grown again: another record stands at the last offset.
    await database.query(
      "update sink_positions set last_appended_at = last_appended_at - interval '1 second' where last_offset is not null",
    );
    await database.query('delete from window_aggregates');
    const refusing = startSink({ ...env, DATABASE_URL: url });
    await waitUntil(() => refusing.child.exitCode !== null, 'the refusal', 90_000);
    expect([refusing.child.exitCode, refusing.log()]).toEqual([1, expect.stringContaining('LOG_REPLACED')]);
    startSink({ ...env, DATABASE_URL: url }, '--accept-loss');
    await waitUntil(async () => (await rowsIn(database)) === 30, '30 rows again', 90_000);
  });

  it('writes into the embedded database, also after kill -9', async () => {
    const { env, write, folder, isCaughtUp } = await surroundings();
    await write(partsFrom(0, 500), [alert(), resolved()]);
    const sink = startSink(env);
    await sink.logged('partition taken');
    await sink.kill();
    await write(partsFrom(500, 500));
    const again = startSink(env);
    // Only one process may have the embedded database open, so the group's offsets tell when everything is written.
    await waitUntil(isCaughtUp, 'the end of the topic', 90_000);
    expect(await again.stop()).toBe(0);
    const database = openEmbeddedDatabase(join(folder, 'sql'));
    cleanups.unshift(() => database.close(5_000));
    expect(await rowsIn(database)).toBe(1000);
    expect(await numberOf(database, 'select max(transition_number)::text as n from alerts')).toBe(2);
  });
});
