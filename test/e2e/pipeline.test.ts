import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTruthFile, type TruthReading } from '../../simulators/truth-file.ts';
import { openPostgres } from '../../src/sql/postgres.ts';
import type { SqlDatabase } from '../../src/sql/sql-database.ts';
import type { FoldVerdict } from '../support/fold-verdict.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { firstDifference } from '../support/oracle/compare.ts';
import { type RoleMetrics, readMetrics } from '../support/role-metrics.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { byAggregateKey, byTransition, newestTransitions, readAggregateRows, readAlertRows } from '../support/sql-rows.ts';
import { freshName, stack } from '../support/stack.ts';
import { freshPostgresUrl } from '../support/test-databases.ts';
import { TestPipeline } from '../support/test-pipeline.ts';
import type { LogDump } from '../support/topic-dump.ts';
import { deliveryOf } from '../support/truth-delivery.ts';
import { waitUntil } from '../support/wait-until.ts';

// The whole pipeline as a user runs it: simulated devices, mosquitto, bridge, Kafka and registry, aggregator, sink, PostgreSQL. Every role
// is a process. Then everything that came out is judged, by the simulators' truth, by the oracle of the fold and by the ledgers.

const DEVICES = 50;
const PARTITIONS = 4;
const fleet = freshName('fleet');
/** A device that is not of the fleet and sends what a fleet does not. */
const odd = freshName('odd');
const names = Array.from({ length: DEVICES }, (_, index) => `${fleet}-${String(index + 1).padStart(4, '0')}`);

const RULES = `rules:
  - { id: high-temperature, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }
  - { id: lasting, metric: temperature, above: 100, deadband: 5, for: 2s, severity: WARNING }
  - { id: no-deadband, metric: temperature, above: 100, deadband: 0, offDelay: 1s, severity: INFO }
  - { id: weak-battery, metric: battery, below: 1, deadband: 1, severity: WARNING }
`;

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/** What the odd device sends, one message each, and what has to become of it. */
function oddMessages(now: number): { readonly payload: string; readonly times: number }[] {
  const message = (fields: object) => JSON.stringify({ ts: now, temperature: 20, ...fields });
  return [
    { payload: 'no JSON', times: 1 },
    { payload: JSON.stringify({ ts: 17, temperature: 20 }), times: 1 },
    { payload: message({ seq: 1 }), times: 3 },
    { payload: message({ seq: 2, ts: now + HOUR_MS }), times: 1 },
    { payload: message({ seq: 3, ts: now - 8 * 24 * HOUR_MS }), times: 1 },
    { payload: message({ seq: 4, aggregatable: false, temperature: 130 }), times: 1 },
    { payload: message({ seq: 5, ts: now - MINUTE_MS }), times: 1 },
    { payload: JSON.stringify({ ts: now, seq: 6, status: 'ok' }), times: 1 },
    { payload: message({ seq: 7, metrics: { torque: 7.5 } }), times: 1 },
  ];
}
const ODD_SENT = 11;
const ODD_OUTCOMES = { duplicate: 2, future: 1, ancient: 1, not_aggregatable: 1 };

interface Verified {
  readonly code: number | null;
  readonly report: Record<string, unknown> | undefined;
}

let pipeline: TestPipeline;
let database: SqlDatabase;
let truth: readonly TruthReading[];
let verified: Verified;
let metrics: Readonly<Record<'bridge' | 'aggregator' | 'sink', RoleMetrics>>;
let exitCodes: readonly (number | null)[];
let dump: LogDump;
let verdict: FoldVerdict;

async function sendOddMessages(): Promise<void> {
  const client = await connectAsync(stack().mosquittoUrl);
  for (const { payload, times } of oddMessages(Date.now())) {
    for (let time = 0; time < times; time++) await client.publishAsync(`devices/${odd}/telemetry`, payload, { qos: 1 });
  }
  await client.endAsync();
}

async function rowCount(table: string): Promise<number> {
  const { rows } = await database.query(`select count(*)::text as n from ${table}`);
  return Number(rows[0]!['n']);
}

/** Judged on topics that still grow: whether it is worth while to stop and look closely. */
async function isInSql(): Promise<boolean> {
  const { partitions } = await pipeline.dump();
  const written = (topic: 'aggregates' | 'alerts') => partitions.reduce((sum, partition) => sum + partition[topic].length, 0);
  return (await rowCount('window_aggregates')) >= written('aggregates') && (await rowCount('alert_transitions')) >= written('alerts');
}

async function isCommitted(): Promise<boolean> {
  const admin = pipeline.log.admin();
  const readings = `${pipeline.prefix}readings`;
  const committed = await admin.committedOffsets(`${pipeline.prefix}aggregator`, readings);
  return (await admin.watermarks(readings)).every(({ highWatermark }, partition) => committed[partition] === highWatermark);
}

beforeAll(async () => {
  const databaseUrl = await freshPostgresUrl();
  database = openPostgres(databaseUrl);
  pipeline = await TestPipeline.create({ partitions: PARTITIONS, devices: [...names, odd], rules: RULES });
  const bridge = pipeline.start('bridge');
  const aggregator = pipeline.start('aggregate');
  const sink = pipeline.start('sink', { DATABASE_URL: databaseUrl });
  await bridge.logged('taking messages');
  await aggregator.logged('"started"');
  await sink.logged('"started"');
  const truthFile = join(pipeline.folder, 'truth.jsonl');
  const words = `simulate --devices ${DEVICES} --rate 250 --prefix ${fleet} --cycle 10s --duration 15s --seed 4`;
  const simulator = pipeline.start(`${words} --truth ${truthFile}`);
  await simulator.logged('over MQTT 5');
  await sendOddMessages();
  expect(await simulator.ended()).toBe(0);
  truth = (await readTruthFile(truthFile)).flatMap((run) => run.readings);
  const ended = await runIngot(['verify', '--truth', truthFile, '--timeout', '20s', '-o', 'json'], pipeline.environment);
  verified = { code: ended.code, report: jsonLines(ended.out)[0] };
  await pipeline.settle();
  await waitUntil(isInSql, 'the rows', 20_000);
  await waitUntil(isCommitted, 'the offsets of the group at the end of the log (I2)', 20_000);
  metrics = { bridge: await readMetrics(bridge), aggregator: await readMetrics(aggregator), sink: await readMetrics(sink) };
  exitCodes = await stopInOrder([bridge, aggregator, sink]);
  dump = await pipeline.dump();
  verdict = pipeline.verdict(dump);
}, 240_000);

async function stopInOrder(roles: readonly RoleProcess[]): Promise<(number | null)[]> {
  const codes: (number | null)[] = [];
  for (const role of roles) codes.push(await role.stop());
  return codes;
}

afterAll(async () => {
  await pipeline?.close();
  await database?.close(2_000);
});

describe(`the pipeline with ${DEVICES} devices and all scenarios`, () => {
  test('gives every window and every alert that the truth demands, and nothing else', () => {
    expect(verified.report).toMatchObject({
      differences: [],
      readingsSent: truth.length,
      readingsAcked: truth.length,
      windowsUndecided: 0,
    });
    expect(verified.report?.['windowsEqual']).toBe(verified.report?.['windowsExpected']);
    expect(verified.report?.['alertsEqual']).toBe(verified.report?.['alertsExpected']);
    expect(verified.report?.['windowsExpected']).toBeGreaterThan(3 * 4 * DEVICES);
    expect(verified.report?.['alertsExpected']).toBeGreaterThan(DEVICES);
    expect(verified.code).toBe(0);
  });

  test('writes what one sequential fold of its log and journal gives, exactly and in order (I1, I3, I5, I6, I8)', () => {
    expect(verdict.violations).toEqual([]);
    expect(Object.fromEntries(verdict.outcomes)).toEqual({ ...ODD_OUTCOMES, counted: truth.length + 4 });
    const transitions = dump.partitions.flatMap(({ alerts }) => alerts.map(({ transition }) => transition));
    expect(new Set(transitions)).toEqual(new Set(['RAISED', 'RESOLVED']));
    const closedBy = dump.partitions.flatMap(({ aggregates }) => aggregates.map((row) => row.closedBy));
    expect(new Set(closedBy)).toEqual(new Set(['TIME', 'IDLE', 'LATE']));
  });

  test('has every acknowledged message in readings or mqtt.dlq, once (I9)', () => {
    const { lost, invented, duplicates, inKafka } = deliveryOf(truth, dump);
    expect({ lost, invented, duplicates, inKafka }).toEqual({ lost: [], invented: [], duplicates: 0, inKafka: truth.length });
    const refused = dump.partitions.flatMap(({ bridgeDeadLetters }) => bridgeDeadLetters);
    expect(refused.map(({ key, value, headers }) => [key, value.toString(), headers['failure-reason']])).toEqual([
      [odd, 'no JSON', 'invalid_json'],
      [odd, '{"ts":17,"temperature":20}', 'invalid_timestamp'],
    ]);
  });

  test('has in SQL the last value of every key of its topics (I12)', async () => {
    const aggregates = dump.partitions.flatMap((partition) => partition.aggregates).sort(byAggregateKey);
    const alerts = dump.partitions.flatMap((partition) => partition.alerts);
    const rows = (await readAggregateRows(database)).sort(byAggregateKey);
    expect(firstDifference(aggregates, rows, { name: 'window_aggregates' })).toBeNull();
    const transitions = (await readAlertRows(database, 'alert_transitions')).sort(byTransition);
    expect(firstDifference([...alerts].sort(byTransition), transitions, { name: 'alert_transitions' })).toBeNull();
    const newest = (await readAlertRows(database, 'alerts')).sort(byTransition);
    expect(firstDifference(newestTransitions(alerts).sort(byTransition), newest, { name: 'alerts' })).toBeNull();
    expect(await rowCount('rejected_rows')).toBe(0);
  });

  test('has balanced ledgers in /metrics (P9)', () => {
    const { bridge, aggregator, sink } = metrics;
    const received = bridge.sum('bridge_messages_received_total');
    expect(received).toBe(truth.length + ODD_SENT);
    const deadLettered = bridge.sum('dead_letters_total', { stage: 'bridge' });
    const ignored = bridge.sum('bridge_messages_ignored_total');
    expect(received).toBe(bridge.sum('readings_produced_total') + deadLettered + ignored + bridge.sum('bridge_inflight_messages'));
    expect([deadLettered, bridge.sum('bridge_inflight_messages')]).toEqual([2, 0]);
    expect(bridge.sum('bridge_messages_rejected_total')).toBe(2);

    const consumed = aggregator.sum('readings_consumed_total');
    expect(consumed).toBe(bridge.sum('readings_produced_total'));
    for (const [outcome, count] of verdict.outcomes) expect(aggregator.sum('readings_consumed_total', { outcome })).toBe(count);
    expect([...verdict.outcomes.values()].reduce((sum, count) => sum + count)).toBe(consumed);
    expect(aggregator.sum('readings_duplicate_total')).toBe(ODD_OUTCOMES.duplicate);
    expect(aggregator.sum('dead_letters_total', { stage: 'aggregator' })).toBe(2);
    expect(aggregator.sum('aggregator_lag_records')).toBe(0);

    const emitted = aggregator.sum('windows_emitted_total');
    expect(emitted).toBe(sink.sum('sink_rows_total', { table: 'window_aggregates', outcome: 'written' }));
    const transitions = aggregator.sum('alert_transitions_total');
    expect(transitions).toBe(sink.sum('sink_rows_total', { table: 'alert_transitions', outcome: 'written' }));
  });

  test('ends in order when it is told to', () => {
    expect(exitCodes).toEqual([0, 0, 0]);
  });
});
