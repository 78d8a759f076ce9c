import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTruthFile } from '../../simulators/truth-file.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicSpecs } from '../../src/kafka/topics.ts';
import { jsonLines, runIngot, startIngot } from '../support/ingot-process.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// Devices, bridge and aggregator as processes on mosquitto, Kafka and the registry; then what came out against what was sent.

const prefix = `${freshName('simulate')}.`;
const fleet = freshName('sim');
const machine = freshName('machine');
const DEVICES = 10;
const NAB = 'examples/nab/machine_temperature_system_failure.csv';

const RULES = `rules:
  - { id: high-temperature, metric: temperature, above: 100, deadband: 5, severity: CRITICAL }
  - { id: lasting, metric: temperature, above: 100, deadband: 5, for: 2s, severity: WARNING }
  - { id: machine-overheat, metric: machine_temperature, above: 100, deadband: 5, severity: CRITICAL }
  - { id: machine-no-deadband, metric: machine_temperature, above: 100, deadband: 0, severity: WARNING }
`;

let folder = '';
let environment: Record<string, string> = {};
const roles: RoleProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ingot-simulate-'));
  await writeFile(join(folder, 'rules.yaml'), RULES);
  const { kafkaBrokers, registryUrl, mosquittoUrl } = stack();
  const log = createKafkaLog({ brokers: kafkaBrokers, clientId: freshName('test') });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: 3, replication: 1 }));
  await log.close();
  const devices = [machine, ...Array.from({ length: DEVICES }, (_, index) => `${fleet}-${String(index + 1).padStart(4, '0')}`)];
  environment = {
    MQTT_URL: mosquittoUrl,
    MQTT_TOPICS: devices.map((device) => `devices/${device}/telemetry`).join(','),
    KAFKA_BROKERS: kafkaBrokers.join(','),
    KAFKA_TOPIC_PREFIX: prefix,
    SCHEMA_REGISTRY_URL: registryUrl,
    SCHEMA_AUTO_REGISTER: 'true',
    WINDOW_SIZE: '5s',
    WINDOW_GRACE: '1s',
    WINDOW_IDLE: '2s',
    EVENT_TIME_PAST_LIMIT: 'unlimited',
    RULES_FILE: join(folder, 'rules.yaml'),
    DATA_FOLDER: folder,
  };
  roles.push(startRole('bridge', environment), startRole('aggregate', environment));
  await roles[0]!.logged('taking messages');
  await roles[1]!.logged('"started"');
});

afterAll(async () => {
  await Promise.all(roles.map((role) => role.kill()));
  await rm(folder, { recursive: true });
});

const simulate = (truth: string, ...words: string[]) =>
  startIngot(['simulate', '--devices', String(DEVICES), '--prefix', fleet, '--cycle', '10s', '--truth', truth, ...words], environment);

async function verified(truth: string, timeout = '30s') {
  const { code, out, err } = await runIngot(['verify', '--truth', truth, '--timeout', timeout, '-o', 'json'], environment);
  const [report] = jsonLines(out);
  return { code, err, report };
}

describe('ingot simulate and ingot verify, on real components', () => {
  test('what comes out of all scenarios is what was sent; a truth that says otherwise is found out', async () => {
    const truth = join(folder, 'mix.jsonl');
    const simulated = await simulate(truth, '--duration', '12s').ended;
    expect(simulated).toMatchObject({ code: 0, err: expect.stringContaining('over MQTT 5') });
    expect(jsonLines(simulated.out).at(-1)).toMatchObject({ event: 'ended', sent: 240, acked: 240, broken: 0 });
    const { code, report } = await verified(truth);
    expect(report).toMatchObject({ differenceCount: 0, readingsAcked: 240, windowsUndecided: 0 });
    expect(report?.['windowsEqual']).toBe(report?.['windowsExpected']);
    expect(report?.['alertsExpected']).toBeGreaterThan(5);
    expect(code).toBe(0);

    const lines = (await readFile(truth, 'utf8')).split('\n');
    const at = lines.findIndex((line) => line.includes('"kind":"reading"'));
    const forged = join(folder, 'forged.jsonl');
    await writeFile(forged, lines.with(at, lines[at]!.replace(/"humidity":\d+/, '"humidity":99')).join('\n'));
    const found = await verified(forged, '1s');
    expect(found.code).toBe(4);
    expect(found.report).toMatchObject({ differenceCount: 1, differences: [{ kind: 'window_differs' }] });
  });

  test('SIGTERM: what was sent is acknowledged, and comes out', async () => {
    const truth = join(folder, 'stopped.jsonl');
    const simulated = simulate(truth);
    await simulated.waitForOutput(/"acked":[1-9]/);
    simulated.child.kill('SIGTERM');
    const { code, out } = await simulated.ended;
    expect(code).toBe(0);
    const last = jsonLines(out).at(-1);
    expect(last).toMatchObject({ event: 'ended', acked: last?.['sent'] });
    const [run] = await readTruthFile(truth);
    expect(run?.footer).toMatchObject({ endedBy: 'stopped', sent: last?.['sent'] });
    expect(await verified(truth)).toMatchObject({ code: 0, report: { differenceCount: 0 } });
  });

  test('kill -9 of the simulators leaves a truth that still holds', async () => {
    const truth = join(folder, 'killed.jsonl');
    const simulated = simulate(truth, '--rate', '400');
    await simulated.waitForOutput(/"acked":[1-9]\d\d/);
    simulated.child.kill('SIGKILL');
    await simulated.ended;
    // The program behind the CLI lost its parent: it drains and ends by itself.
    await waitUntil(async () => (await readTruthFile(truth))[0]?.footer !== null, 'the footer');
    expect(await verified(truth)).toMatchObject({ code: 0, report: { differenceCount: 0 } });
  });

  test('a machine of NAB: 21 episodes with the deadband of its rules, 239 without', { timeout: 240_000 }, async () => {
    const truth = join(folder, 'nab.jsonl');
    const words = ['simulate', '--replay', NAB, '--metric', 'machine_temperature', '--device', machine, '--truth', truth];
    const replayed = await startIngot(words, environment).ended;
    expect(replayed).toMatchObject({ code: 0, err: expect.stringContaining('EVENT_TIME_PAST_LIMIT=unlimited') });
    const { code, report } = await verified(truth, '60s');
    expect(report).toMatchObject({ differenceCount: 0, readingsAcked: 22_695, windowsEqual: 22_683, alertsEqual: 260 });
    expect(code).toBe(0);
    const tailed = await runIngot(
      ['alerts', 'tail', '--since', 'beginning', '--no-follow', '--device', machine, '-o', 'jsonl'],
      environment,
    );
    const resolved = jsonLines(tailed.out).filter((alert) => alert['transition'] === 'RESOLVED');
    expect(resolved.filter((alert) => alert['ruleId'] === 'machine-overheat')).toHaveLength(21);
    expect(resolved.filter((alert) => alert['ruleId'] === 'machine-no-deadband')).toHaveLength(239);
  });

  test('usage and missing files are errors that say what to do', async () => {
    expect(await runIngot(['verify'], environment)).toMatchObject({ code: 2, err: expect.stringContaining('--truth') });
    expect((await runIngot(['verify', '--truth', join(folder, 'nothing.jsonl')], environment)).code).toBe(2);
    const refused = await startIngot(['simulate', '--mqtt-url', 'mqtt://127.0.0.1:1'], environment).ended;
    expect(refused).toMatchObject({ code: 3, err: expect.stringContaining("Start one with 'ingot up', or set MQTT_URL") });
  });
});
