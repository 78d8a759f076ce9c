import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { TOPIC_ROLES } from '../../src/kafka/topics.ts';
import { isAlive } from '../../src/local-stack/stack-file.ts';
import { OUR_SCHEMAS } from '../../src/registry/our-schemas.ts';
import { openEmbeddedDatabase } from '../../src/sql/embedded.ts';
import { foldVerdict } from '../support/fold-verdict.ts';
import { jsonLines } from '../support/ingot-process.ts';
import { firstDifference } from '../support/oracle/compare.ts';
import { byAggregateKey, byTransition, readAggregateRows, readAlertRows } from '../support/sql-rows.ts';
import { dumpTopics, type LogDump } from '../support/topic-dump.ts';
import {
  type CommandEnd,
  killWhatStillRuns,
  processesNaming,
  runCommand,
  stackFileOf,
  startCommand,
  type UpProcess,
} from '../support/up-process.ts';
import { waitUntil } from '../support/wait-until.ts';

// `ingot up` as a user types it, with a Kafka, a registry and an MQTT broker of its own: a run that checks itself, and a stack that is
// looked at from a second terminal, stopped, killed, and goes on each time.

const RUNS = /page, metrics +(http:\S+)[\s\S]*Try in another terminal/;
const PARTITIONS = 4;

afterAll(killWhatStillRuns);

describe('a run that checks itself', { timeout: 240_000 }, () => {
  let scratch: string;
  let ended: CommandEnd;

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'ingot-up-run-'));
    const words = 'up --simulate 12 --cycle 10s --duration 12s --verify --ephemeral';
    ended = await runCommand(words.split(' '), { TMPDIR: scratch });
  }, 240_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('says what was sent and what came out, and that they are equal', () => {
    expect(ended).toMatchObject({ code: 0, err: '' });
    const sent = /sent +(\d+) readings, \1 acknowledged/.exec(ended.out)?.[1];
    expect(Number(sent)).toBeGreaterThan(200);
    const { out } = ended;
    expect(out).toMatch(new RegExp(`received +${sent} messages over MQTT`));
    expect(out).toMatch(new RegExp(`produced +${sent} readings to Kafka, 0 in flight`));
    expect(out).toMatch(/windows +(\d+) of \1 as expected/);
    expect(out).toMatch(/alerts +(\d+) of \1 as expected/);
    expect(out).toMatch(/ledger +balanced, nothing under way/);
    expect(out).toContain('verified: what came out is what was sent');
  });

  test('prints alerts as they are raised and resolved', () => {
    expect(ended.out).toMatch(/^\d\d:\d\d:\d\d {2}RAISED {3}CRITICAL sim-\d{4} {2}high-temperature: /m);
    expect(ended.out).toMatch(/^\d\d:\d\d:\d\d {2}RESOLVED CRITICAL sim-\d{4} {2}high-temperature: /m);
  });

  test('leaves no folder and no process', () => {
    // Node keeps its compiled modules in the temporary folder.
    expect(readdirSync(scratch).filter((name) => name !== 'node-compile-cache')).toEqual([]);
    expect(processesNaming(scratch)).toEqual([]);
  });
});

describe('a stack that is kept', { timeout: 180_000 }, () => {
  let scratch: string;
  let dataFolder: string;
  let up: UpProcess;
  /** Readings of the first start. */
  let producedBefore: number;
  const inSecondTerminal = (line: string) => runCommand(line.split(' '), { DATA_FOLDER: dataFolder });

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'ingot-up-stack-'));
    dataFolder = join(scratch, 'data');
    up = startCommand('up --simulate 6 --cycle 10s'.split(' '), { DATA_FOLDER: dataFolder, LOG_LEVEL: 'info' });
    await up.said(/RESOLVED/);
  }, 240_000);
  afterAll(() => {
    killWhatStillRuns();
    rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 500 });
  });

  describe('in a second terminal without configuration', () => {
    test.each([
      ['alerts tail --limit 2', [{ ruleId: 'high-temperature' }, { ruleId: 'high-temperature' }]],
      ['readings tail --limit 3', Array(3).fill({ temperature: expect.any(Number) })],
      ['aggregates tail --limit 2', Array(2).fill({ windowStart: expect.any(Number), count: expect.any(Number) })],
      ['schemas list', Array(OUR_SCHEMAS.length).fill({ standing: 'up to date' })],
      ['topics list', Array(TOPIC_ROLES.length).fill({ state: 'ok', partitions: PARTITIONS })],
      ['lag', Array(3).fill({ lag: expect.any(Number) })],
    ])('%s', async (line, rows) => {
      const { code, out, err } = await inSecondTerminal(line);
      expect([code, err]).toEqual([0, '']);
      expect(jsonLines(out)).toEqual(rows.map((row) => expect.objectContaining(row)));
    });

    test('config print tells where the addresses are from', async () => {
      const { out } = await inSecondTerminal('config print');
      const settings = new Map(jsonLines(out).map(({ setting, value, origin }) => [setting, { value, origin }]));
      const { addresses } = stackFileOf(dataFolder);
      for (const variable of ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'MQTT_URL']) {
        expect(settings.get(variable)).toEqual({ value: addresses[variable], origin: 'running stack' });
      }
    });

    test('a bad message is found in dlq list', async () => {
      const client = await connectAsync(stackFileOf(dataFolder).addresses['MQTT_URL']!);
      await client.publishAsync('devices/broken-1/telemetry', 'no JSON', { qos: 1 });
      await client.endAsync();
      const letters = await waitUntil(
        async () => {
          const { out } = await inSecondTerminal('dlq list');
          return jsonLines(out).length > 0 && jsonLines(out);
        },
        'the dead letter',
        60_000,
      );
      expect(letters).toEqual([expect.objectContaining({ reason: 'invalid_json' })]);
    });

    test('verify agrees with the truth, and says where a truth that was tampered with differs', async () => {
      const truth = join(scratch, 'truth.jsonl');
      expect(await inSecondTerminal(`simulate --devices 2 --prefix more --duration 2s --truth ${truth}`)).toMatchObject({ code: 0 });
      expect(await inSecondTerminal(`verify --truth ${truth} --timeout 40s`)).toMatchObject({ code: 0 });
      const tampered = join(scratch, 'tampered.jsonl');
      writeFileSync(tampered, readFileSync(truth, 'utf8').replace(/"temperature":\d/, '"temperature":9'));
      const { code, out } = await inSecondTerminal(`verify --truth ${tampered} --timeout 1ms`);
      expect(code).toBe(4);
      expect(jsonLines(out)[0]?.['differences']).not.toEqual([]);
    });
  });

  test('the start says how a second terminal finds a folder that is not the usual one', () => {
    expect(up.out()).toContain(`  DATA_FOLDER=${dataFolder} ./ingot alerts tail `);
  });

  test('health, metrics and the page answer', async () => {
    const [, url = ''] = await up.said(RUNS);
    const get = async (path: string) => {
      const answer = await fetch(url + path, { signal: AbortSignal.timeout(20_000) });
      return { status: answer.status, text: await answer.text() };
    };
    expect(await get('/healthz')).toMatchObject({ status: 200 });
    const ready = await get('/readyz');
    const { state, dependencies } = JSON.parse(ready.text) as { state: string; dependencies: { name: string; isUp: boolean }[] };
    expect([ready.status, state]).toEqual([200, 'ready']);
    expect(dependencies.map(({ name }) => name).sort()).toEqual(['database', 'kafka', 'mqtt', 'mqtt_alerts', 'registry']);
    expect((await get('/metrics')).text).toMatch(/^ingot_readings_produced_total [1-9]/m);
    expect((await get('/')).text).toContain('<title>');
  });

  test('a second instance on the same folder is refused, and harms nothing', async () => {
    const { code, err } = await inSecondTerminal('up');
    expect([code, err]).toEqual([2, expect.stringMatching(new RegExp(`already runs on .*process ${up.child.pid}.*DATA_FOLDER_IN_USE`))]);
    expect(stackFileOf(dataFolder).pid).toBe(up.child.pid);
  });

  test('the first SIGINT drains in the order of the flow, within its time', async () => {
    const children = Object.values(stackFileOf(dataFolder).children);
    const atMs = performance.now();
    up.child.kill('SIGINT');
    const { code, out, err } = await up.ended;
    expect(code).toBe(0);
    expect(performance.now() - atMs).toBeLessThan(45_000);
    expect(out).toMatch(
      /Stopping in the order of the flow[\s\S]*have sent (\d+) readings, \1 acknowledged\n\nSummary\n[\s\S]*ledger +balanced[\s\S]*Stopped\. The data are in/,
    );
    const events = jsonLines(err).map(({ component, msg }) => `${component}: ${msg}`);
    producedBefore = Number(jsonLines(err).find(({ component, msg }) => component === 'bridge' && msg === 'drained')?.['produced']);
    const order = ['bridge: drained', 'aggregator: partition released', 'sink: partition released', 'shutdown: drained'];
    const places = order.map((event) => events.indexOf(event));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(children.filter(isAlive)).toEqual([]);
    expect(existsSync(join(dataFolder, 'stack.json'))).toBe(false);
  });

  test('kill -9 leaves nothing running for long', async () => {
    up = startCommand('up --simulate 6 --cycle 10s --seed 2'.split(' '), { DATA_FOLDER: dataFolder });
    await up.said(/RAISED/);
    const children = Object.values(stackFileOf(dataFolder).children);
    expect(children).toHaveLength(2);
    up.child.kill('SIGKILL');
    await up.ended;
    await waitUntil(() => !children.some(isAlive), 'the end of Kafka and the registry', 15_000);
  });

  test('after both the next start goes on: the log is one fold, and SQL has its rows', async () => {
    up = startCommand(['up'], { DATA_FOLDER: dataFolder });
    await up.said(RUNS);
    const dump = await settledDump(dataFolder);
    expect(foldVerdict(dump, 'telemetry.readings').violations).toEqual([]);
    const readings = dump.partitions.flatMap((partition) => partition.readings);
    expect(readings.length).toBeGreaterThan(producedBefore);
    expect(producedBefore).toBeGreaterThan(50);
    await waitUntil(async () => jsonLines((await inSecondTerminal('lag')).out).every(({ lag }) => lag === 0), 'everything in SQL', 60_000);
    up.child.kill('SIGTERM');
    // No warning either: such as that of a registry which does not know yet what it had.
    expect(await up.ended).toMatchObject({ code: 0, err: '' });

    const database = openEmbeddedDatabase(join(dataFolder, 'sql'));
    try {
      const aggregates = dump.partitions.flatMap((partition) => partition.aggregates).sort(byAggregateKey);
      expect(
        firstDifference(aggregates, (await readAggregateRows(database)).sort(byAggregateKey), { name: 'window_aggregates' }),
      ).toBeNull();
      const alerts = dump.partitions.flatMap((partition) => partition.alerts).sort(byTransition);
      const rows = (await readAlertRows(database, 'alert_transitions')).sort(byTransition);
      expect(firstDifference(alerts, rows, { name: 'alert_transitions' })).toBeNull();
    } finally {
      await database.close(5_000);
    }
  });
});

/** What the topics hold when every window is closed. */
async function settledDump(dataFolder: string): Promise<LogDump> {
  const { KAFKA_BROKERS = '', SCHEMA_REGISTRY_URL = '' } = stackFileOf(dataFolder).addresses;
  const log = createKafkaLog({ brokers: KAFKA_BROKERS.split(','), clientId: 'test' });
  const dump = () => dumpTopics({ log, prefix: 'telemetry.', partitions: PARTITIONS, registryUrl: SCHEMA_REGISTRY_URL });
  try {
    return await waitUntil(
      async () => {
        const dumped = await dump();
        return foldVerdict(dumped, 'telemetry.readings').isSettled && dumped;
      },
      'the last windows',
      60_000,
    );
  } finally {
    await log.close();
  }
}
