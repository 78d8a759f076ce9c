import { createServer } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../../src/cli/run-cli.ts';
import { connectBriefly } from '../../../src/mqtt/brief-client.ts';
import { refusalOf, unreachable } from '../../../src/mqtt/broker-refusal.ts';
import { noticeBroker } from '../../../src/mqtt/notice-broker.ts';
import { openPostgres } from '../../../src/sql/postgres.ts';

// Every command that asks something of Kafka or the registry, with an address where nobody listens: it says so, which setting to look at, and
// ends with exit code 3 within its deadline. Roles wait longer; those are in test/e2e and test/integrity.

let nobody: string;
beforeAll(async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  nobody = `127.0.0.1:${(server.address() as { port: number }).port}`;
  await new Promise((resolve) => server.close(resolve));
});

async function ingot(line: string): Promise<{ code: number; err: string; out: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const said = Promise.all([text(stdout), text(stderr)]);
  const code = await runCli({
    words: line.split(' '),
    environment: { LOG_LEVEL: 'silent', KAFKA_BROKERS: nobody, SCHEMA_REGISTRY_URL: `http://${nobody}` },
    stdout,
    stderr,
    signal: new AbortController().signal,
  });
  stdout.end();
  stderr.end();
  const [out, err] = await said;
  return { code, err, out };
}

const OF_KAFKA = [
  'alerts tail',
  'readings tail',
  'aggregates tail',
  'dlq list',
  'dlq show mqtt.dlq/0/0',
  'dlq replay',
  'devices list',
  'devices show d1',
  'devices set d1 --label a=b',
  'devices forget d1',
  'topics list',
  'topics create',
  'topics describe',
  'lag',
  'rebuild-state',
];
const OF_REGISTRY = ['schemas list', 'schemas show alerts', 'schemas check', 'schemas register'];

describe.concurrent('an address where nobody listens', () => {
  test.each(OF_KAFKA)('ingot %s', { timeout: 120_000 }, async (line) => {
    const { code, err, out } = await ingot(line);
    expect(err).toMatch(/^ingot: Kafka at \S+: .*ECONNREFUSED.* Check KAFKA_BROKERS\. \[KAFKA_UNREACHABLE\]\n$/);
    expect([code, out]).toEqual([3, '']);
  });

  test.each(OF_REGISTRY)('ingot %s', { timeout: 120_000 }, async (line) => {
    const { code, err, out } = await ingot(line);
    expect(err).toMatch(
      /^ingot: The Schema Registry at \S+ does not answer: .*ECONNREFUSED.* Check SCHEMA_REGISTRY_URL\. \[REGISTRY_UNREACHABLE\]\n$/,
    );
    expect([code, out]).toEqual([3, '']);
  });

  const atMqtt = () => ({ url: `mqtt://${nobody}`, deadlineMs: 60_000 });
  const session = { protocolVersion: 5, clientId: 'nobody', clean: true, sessionExpirySeconds: 0 } as const;
  test.each([
    ['a question to the MQTT broker', () => connectBriefly(atMqtt(), session), /ECONNREFUSED.* Check MQTT_URL\.$/],
    ['the alert notices', () => noticeBroker({ ...atMqtt(), clientId: 'nobody' }).connect(), /ECONNREFUSED.* Check MQTT_URL\.$/],
    ['SQL', () => openPostgres(`postgres://x@${nobody}/y`).query('select 1'), /ECONNREFUSED.* Check DATABASE_URL\.$/],
  ])('%s', async (_who, ask, said) => {
    await expect(ask()).rejects.toThrow(said);
  });
});

test('the bridge, whose client tries for a while, says which setting to look at; also when the error has no words', () => {
  const silent = Object.assign(new AggregateError([new Error('a')], ''), { code: 'ECONNREFUSED' });
  expect(unreachable('the MQTT broker', 30_000, silent).message).toMatch(/30000 ms: ECONNREFUSED\. Check MQTT_URL\.$/);
  expect(refusalOf(Object.assign(new Error('Not authorized'), { code: 5 }), 'the MQTT broker')?.message).toMatch(/Check MQTT_USERNAME, /);
});
