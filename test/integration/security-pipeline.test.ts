import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { type Ended, jsonLines, runIngot, startIngot } from '../support/ingot-process.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { openSecretScene, type SecretScene } from '../support/secret-scene.ts';
import { type SecuredKafka, startSecuredKafka } from '../support/secured-kafka.ts';
import { type SecuredMosquitto, startSecuredMosquitto } from '../support/secured-mosquitto.ts';
import { type SecuredRegistry, startSecuredRegistry } from '../support/secured-registry.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// The whole pipeline where everything asks for TLS and a password, and Kafka allows no more than it must: a reading becomes an alert, and nothing that anybody can read has a secret
// in it, at the deepest level of the log.

const SECRETS = { mqtt: 'mqtt-5ecret/@:', kafka: 'kafka-5ecret', registry: 'registry-5ecret:@', page: 'page-5ecret' };
const MQTT_USER = 'bridge-user';
const KAFKA_USER = { username: 'pipeline', password: SECRETS.kafka };
const REGISTRY_AUTH = `pipeline:${SECRETS.registry}`;
/** Three servers and three roles, on a machine that may be busy. */
const START_DEADLINE_MS = 300_000;
const HOT_DEVICE = 'boiler-7';
const prefix = `${freshName('secured')}.`;

let scene: SecretScene;
let certificates: Certificates;
let kafka: SecuredKafka;
let mosquitto: SecuredMosquitto;
let registry: SecuredRegistry;
let environment: Readonly<Record<string, string>>;
let roles: readonly RoleProcess[] = [];
/** Everything that the commands have said. */
const said: string[] = [];

async function run(...words: string[]): Promise<Ended> {
  const ended = await runIngot(words, { ...environment, LOG_LEVEL: 'silent' });
  said.push(ended.out, ended.err);
  return ended;
}

/** The same as a process of its own, whose log is heard too. */
async function runWithLog(...words: string[]): Promise<Ended> {
  const ended = await startIngot(words, environment).ended;
  said.push(ended.out, ended.err);
  return ended;
}

beforeAll(async () => {
  scene = openSecretScene();
  certificates = await makeCertificates(scene.folder);
  [kafka, mosquitto, registry] = await Promise.all([
    startSecuredKafka({
      folder: scene.folder,
      certificates,
      plainUser: { username: 'other', password: 'other' },
      scramUser: KAFKA_USER,
      onlyPrefix: prefix,
    }),
    startSecuredMosquitto({ folder: scene.folder, certificates, username: MQTT_USER, password: SECRETS.mqtt }),
    startSecuredRegistry({ target: stack().registryUrl, certificates, auth: REGISTRY_AUTH }),
  ]);
  environment = {
    MQTT_URL: mosquitto.passwordUrl,
    MQTT_TLS_CA_FILE: certificates.ca,
    MQTT_USERNAME: MQTT_USER,
    MQTT_PASSWORD_FILE: scene.secretFile('mqtt-password', SECRETS.mqtt),
    KAFKA_BROKERS: kafka.saslBrokers,
    KAFKA_SSL: 'true',
    KAFKA_SSL_CA_FILE: certificates.ca,
    KAFKA_SASL_MECHANISM: 'scram-sha-512',
    KAFKA_SASL_USERNAME: KAFKA_USER.username,
    KAFKA_SASL_PASSWORD_FILE: scene.secretFile('kafka-password', SECRETS.kafka),
    KAFKA_TOPIC_PREFIX: prefix,
    KAFKA_PARTITIONS: '1',
    SCHEMA_REGISTRY_URL: registry.url,
    SCHEMA_REGISTRY_CA_FILE: certificates.ca,
    SCHEMA_REGISTRY_AUTH_FILE: scene.secretFile('registry-auth', REGISTRY_AUTH),
    HTTP_TOKEN_FILE: scene.secretFile('page-token', SECRETS.page),
    HTTP_PORT: '0',
    DATA_FOLDER: join(scene.folder, 'data'),
    LOG_LEVEL: 'trace',
  };
  expect((await run('topics', 'create')).code).toBe(0);
  expect((await run('schemas', 'register')).code).toBe(0);
  roles = ['bridge', 'aggregate', 'dashboard'].map((role) => startRole(role, environment));
  await Promise.all(roles.map((role) => role.logged('"started"')));
  await publish(120);
}, START_DEADLINE_MS);
afterAll(async () => {
  await Promise.all(roles.map((role) => role.kill()));
  await Promise.all([kafka, mosquitto, registry].map((server) => server?.stop()));
  scene?.remove();
});

async function publish(temperature: number): Promise<void> {
  const options = { username: MQTT_USER, password: SECRETS.mqtt, ca: readFileSync(certificates.ca) };
  const client = await connectAsync(mosquitto.passwordUrl, options, false);
  const payload = JSON.stringify({ ts: Date.now(), temperature });
  await client.publishAsync(`devices/${HOT_DEVICE}/telemetry`, payload, { qos: 1 });
  await client.endAsync();
}

/** What a role answers under a path, without or with the token. */
async function ask(role: RoleProcess, path: string, token?: string): Promise<{ status: number; text: string }> {
  const url = await waitUntil(() => /"url":"(http:[^"]+)","msg":"listening"/.exec(role.log())?.[1], 'the address of the role');
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(`${url}${path}`, { headers, signal: AbortSignal.timeout(20_000) });
  return { status: answer.status, text: await answer.text() };
}

/** A secret as it would look in a log, a URL or a header. */
const LOOKS = [...Object.values(SECRETS), REGISTRY_AUTH].flatMap((secret) => [
  secret,
  encodeURIComponent(secret),
  Buffer.from(secret).toString('base64'),
]);
const secretsIn = (text: string): readonly string[] => [
  ...LOOKS.filter((look) => text.includes(look)),
  ...(text.match(/\w+-5ecret/g) ?? []),
];

describe('the whole pipeline, secured', () => {
  test('a reading becomes an alert that a subscriber sees', async () => {
    const { code, out } = await run('alerts', 'tail', '--since', 'beginning', '--limit', '1', '-o', 'jsonl');
    expect(code).toBe(0);
    expect(jsonLines(out)).toMatchObject([{ deviceId: HOT_DEVICE, transition: 'RAISED', value: 120 }]);
  });

  test('the commands that look at it work', async () => {
    expect((await runWithLog('readings', 'tail', '--since', 'beginning', '--no-follow')).code).toBe(0);
    expect((await run('lag')).code).toBe(0);
    expect((await run('config', 'print', '-o', 'json')).code).toBe(0);
    expect((await run('config', 'check')).code).toBe(0);
  });

  test('the doctor gets in everywhere', async () => {
    const { out } = await runWithLog('doctor', '--log-level', 'trace', '-o', 'jsonl');
    const failed = jsonLines(out).filter(({ state }) => state === 'fail');
    expect(failed).toEqual([]);
    expect(jsonLines(out).length).toBeGreaterThan(5);
  });

  test('other topics than those with the prefix are refused', async () => {
    const { code, err } = await runIngot(['topics', 'create'], { ...environment, KAFKA_TOPIC_PREFIX: 'other.', LOG_LEVEL: 'silent' });
    expect([code, err]).toEqual([1, expect.stringMatching(/authoriz.*\[TOPIC_NOT_CREATED\]\n$/i)]);
  });

  test('the page wants its token, and then shows the device', async () => {
    const page = roles[2]!;
    expect((await ask(page, '/api/devices')).status).toBe(401);
    const isShown = async () => (await ask(page, '/api/devices', SECRETS.page)).text.includes(HOT_DEVICE);
    await waitUntil(isShown, 'the device on the page');
  });

  test('no secret is in any log, answer, page or command', async () => {
    const open = ['/healthz', '/readyz', '/metrics'];
    const answers = await Promise.all(roles.flatMap((role) => open.map((path) => ask(role, path))));
    const closed = ['/', '/api/ledger', '/api/devices', '/api/alerts', '/no-such-page'];
    const pages = await Promise.all(closed.flatMap((path) => [ask(roles[2]!, path), ask(roles[2]!, path, SECRETS.page)]));
    const texts = [...roles.map((role) => role.log()), ...said, ...[...answers, ...pages].map(({ text }) => text)];
    expect(texts.flatMap(secretsIn)).toEqual([]);
    expect(roles.every((role) => /"level":[12]0,/.test(role.log()))).toBe(true);
  });

  test('every role stops in good order', async () => {
    expect(await Promise.all(roles.map((role) => role.stop()))).toEqual([0, 0, 0]);
    expect(roles.flatMap((role) => secretsIn(role.log()))).toEqual([]);
  });
});
