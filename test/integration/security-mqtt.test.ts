import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync, type IClientOptions } from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { jsonLines, runIngot, startIngot } from '../support/ingot-process.ts';
import { readTopic } from '../support/read-topic.ts';
import { type RoleProcess, startRole } from '../support/role-process.ts';
import { openSecretScene, type SecretScene } from '../support/secret-scene.ts';
import { type SecuredMosquitto, startSecuredMosquitto } from '../support/secured-mosquitto.ts';
import { freshName, stack } from '../support/stack.ts';
import { waitUntil } from '../support/wait-until.ts';

// The bridge against a real mosquitto with TLS, passwords and client certificates: what gets in, what is refused, and what is said.

const USERNAME = 'bridge-user';
const PASSWORD = 'mqtt secret/with:odd@characters';

const prefix = `${freshName('mqtt-security')}.`;
let scene: SecretScene;
let certificates: Certificates;
let mosquitto: SecuredMosquitto;
let log: LogClient;
let environment: Readonly<Record<string, string>>;
let withPassword: Readonly<Record<string, string>>;
const roles: RoleProcess[] = [];

beforeAll(async () => {
  scene = openSecretScene();
  certificates = await makeCertificates(scene.folder);
  mosquitto = await startSecuredMosquitto({ folder: scene.folder, certificates, username: USERNAME, password: PASSWORD });
  const { kafkaBrokers, registryUrl } = stack();
  log = createKafkaLog({ brokers: kafkaBrokers, clientId: freshName('test') });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: 1, replication: 1 }));
  environment = {
    KAFKA_BROKERS: kafkaBrokers.join(','),
    SCHEMA_REGISTRY_URL: registryUrl,
    SCHEMA_AUTO_REGISTER: 'true',
    KAFKA_TOPIC_PREFIX: prefix,
    DATA_FOLDER: join(scene.folder, 'data'),
    HTTP_PORT: '0',
    MQTT_TLS_CA_FILE: certificates.ca,
  };
  withPassword = { MQTT_USERNAME: USERNAME, MQTT_PASSWORD_FILE: scene.secretFile('mqtt-password', PASSWORD) };
});
afterEach(async () => {
  await Promise.all(roles.splice(0).map((role) => role.kill()));
});
afterAll(async () => {
  await log?.close();
  await mosquitto?.stop();
  scene?.remove();
});

async function startBridge(settings: Readonly<Record<string, string>>): Promise<RoleProcess> {
  const role = startRole('bridge', { ...environment, ...settings });
  roles.push(role);
  await role.logged('taking messages');
  return role;
}

/** Publishes as the user does, and waits until the reading is in Kafka. */
async function sendThrough(device: string, password = PASSWORD): Promise<void> {
  const options: IClientOptions = { username: USERNAME, password, ca: readFileSync(certificates.ca), protocolVersion: 5 };
  const client = await connectAsync(mosquitto.passwordUrl, options, false);
  await client.publishAsync(`devices/${device}/telemetry`, JSON.stringify({ ts: Date.now(), temperature: 21 }), { qos: 1 });
  await client.endAsync();
  const isThere = async () => (await readTopic(log, topicNames(prefix).readings)).some(({ key }) => key === device);
  await waitUntil(isThere, `the reading of ${device}`);
}

function withCredentials(address: string): string {
  const url = new URL(address);
  url.username = USERNAME;
  url.password = encodeURIComponent(PASSWORD);
  return url.href;
}

const certificatePair = ({ cert, key }: { cert: string; key: string }) => ({ MQTT_TLS_CERT_FILE: cert, MQTT_TLS_KEY_FILE: key });

describe('the bridge is let in', () => {
  test.each([
    ['with a password', () => ({ ...withPassword, MQTT_URL: mosquitto.passwordUrl })],
    ['with credentials in the address', () => ({ MQTT_URL: withCredentials(mosquitto.passwordUrl) })],
    ['with a password over WebSockets', () => ({ ...withPassword, MQTT_URL: mosquitto.webSocketUrl })],
    ['with a client certificate', () => ({ ...certificatePair(certificates.client), MQTT_URL: mosquitto.certificateUrl })],
  ])('%s', async (_how, settings) => {
    const device = freshName('device');
    const bridge = await startBridge({ ...settings(), INSTANCE_ID: device });
    await sendThrough(device);
    expect(await bridge.stop()).toBe(0);
    expect(bridge.log()).not.toContain(PASSWORD);
    expect(bridge.log()).not.toContain(encodeURIComponent(PASSWORD));
  });

  test('again, when its password is good again; meanwhile it says what is wrong', async () => {
    const device = freshName('device');
    const bridge = await startBridge({ ...withPassword, MQTT_URL: mosquitto.passwordUrl, INSTANCE_ID: device });
    await mosquitto.changePassword('another');
    await bridge.logged('Not authorized');
    await mosquitto.changePassword(PASSWORD);
    await sendThrough(device);
    expect(await bridge.stop()).toBe(0);
    expect(bridge.log()).not.toContain(PASSWORD);
  });
});

describe('the bridge is refused, and ends with exit code 3', () => {
  const REFUSED: readonly [string, () => Readonly<Record<string, string>>, RegExp][] = [
    ['wrong password', () => ({ MQTT_USERNAME: USERNAME, MQTT_PASSWORD: 'wrong-secret' }), /refused the connection: .*Not authorized/],
    ['unknown user', () => ({ MQTT_USERNAME: 'nobody', MQTT_PASSWORD: 'wrong-secret' }), /refused the connection: .*Not authorized/],
    ['no password', () => ({}), /refused the connection: .*Not authorized/],
    ['another CA', () => ({ ...withPassword, MQTT_TLS_CA_FILE: certificates.otherCa }), /MQTT_TLS_CA_FILE/],
    ['the CAs of this machine', () => ({ ...withPassword, MQTT_TLS_CA_FILE: '' }), /MQTT_TLS_CA_FILE/],
    ['a name that is not in the certificate', () => ({ ...withPassword, MQTT_URL: mosquitto.passwordUrlByAddress }), /altnames.*MQTT_URL/],
    ['no client certificate', () => ({ MQTT_URL: mosquitto.certificateUrl }), /MQTT_TLS_CERT_FILE/],
    [
      'a client certificate of another CA',
      () => ({ ...certificatePair(certificates.stranger), MQTT_URL: mosquitto.certificateUrl }),
      /MQTT_TLS_CERT_FILE/,
    ],
  ];

  test.each(REFUSED)('%s', async (_what, settings, said) => {
    const given = { ...environment, MQTT_URL: mosquitto.passwordUrl, ...settings(), INSTANCE_ID: freshName('refused') };
    const { code, err } = await runIngot(['bridge'], { ...given, LOG_LEVEL: 'silent' });
    expect(err).toMatch(said);
    expect(err).toMatch(/\[MQTT_REFUSED\]\n$/);
    expect(err).not.toMatch(/wrong-secret|mqtt secret/);
    expect(code).toBe(3);
  });
});

test('simulated devices get in too', async () => {
  const settings = { ...withPassword, MQTT_URL: mosquitto.passwordUrl, MQTT_TLS_CA_FILE: certificates.ca };
  const words = ['simulate', '--devices', '2', '--duration', '1s', '--progress', 'jsonl'];
  const { code, out, err } = await startIngot(words, settings).ended;
  expect(code).toBe(0);
  expect(jsonLines(out).at(-1)).toMatchObject({ event: 'ended', sent: 4, acked: 4 });
  expect(out + err).not.toContain(PASSWORD);
});
