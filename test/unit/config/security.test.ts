import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mqttAddress } from '../../../src/cli/roles/connect-mqtt.ts';
import { registryAddress } from '../../../src/cli/roles/connect-registry.ts';
import { loadConfig, maskUrlPassword, requireConfig } from '../../../src/config/load-config.ts';
import { readTlsFiles } from '../../../src/config/pem-file.ts';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';

// Secrets, certificates and keys in the configuration: everything that is wrong is said at the start, with the path and without the secret.

let folder: string;
let certificates: Certificates;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-config-security-'));
  certificates = await makeCertificates(folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

let filesMade = 0;
function fileWith(text: string): string {
  const path = join(folder, `file-${++filesMade}`);
  writeFileSync(path, text);
  return path;
}

const problemsOf = (environment: Readonly<Record<string, string>>) => loadConfig({ environment }).problems;
const SECRETS = ['MQTT_PASSWORD', 'KAFKA_SASL_PASSWORD', 'SCHEMA_REGISTRY_AUTH', 'DATABASE_URL', 'HTTP_TOKEN'];

describe('a secret in a file', () => {
  test.each([
    ['u:secret\n', 'u:secret'],
    ['u:secret\r\n', 'u:secret'],
    ['u:secret', 'u:secret'],
    ['u: secret ', 'u: secret '],
  ])('%j loses its line end, and nothing else', (written, read) => {
    const environment = { SCHEMA_REGISTRY_AUTH_FILE: fileWith(written) };
    expect(requireConfig(loadConfig({ environment })).registry.auth).toBe(read);
  });

  test.each(SECRETS)('%s: a file that is missing or empty is a problem that names its path', (variable) => {
    for (const [path, why] of [
      ['/nowhere/secret', 'it cannot be read: there is no such file'],
      [folder, 'it cannot be read: it is a folder'],
      [fileWith(''), 'it is empty'],
      [fileWith('\n'), 'it is empty'],
    ] as const) {
      const [first] = problemsOf({ [`${variable}_FILE`]: path });
      expect(first).toBe(`${variable}_FILE: given ${JSON.stringify(path)}; ${why}; allowed is a readable file with the secret in it.`);
    }
  });

  test('that is not allowed is not repeated', () => {
    const problems = problemsOf({ DATABASE_URL_FILE: fileWith('mysql://u:s3cret@h/d'), HTTP_TOKEN_FILE: fileWith('s3cret') });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('s3cret');
  });
});

describe('passwords in URLs', () => {
  test.each([
    ['mqtt://u:p@h:1883', 'mqtt://u:[masked]@h:1883'],
    ['mqtt://:p@h', 'mqtt://:[masked]@h'],
    ['mqtt://u:p@ss@h', 'mqtt://u:[masked]@h'],
    ['mqtt://u:p/w@h', 'mqtt://u:[masked]@h'],
    ['mqtt://u:p:w?#@h/x', 'mqtt://u:[masked]@h/x'],
    ['mqtt://u@h', 'mqtt://u@h'],
    ['http://h:8081/apis', 'http://h:8081/apis'],
  ])('%s is shown as %s', (url, shown) => {
    expect(maskUrlPassword(url)).toBe(shown);
  });

  test('are not repeated when the URL is not allowed', () => {
    const problems = problemsOf({ MQTT_URL: 'http://u:p/s3cret@h', SCHEMA_REGISTRY_URL: 'ftp://u:s3cret@h' });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('s3cret');
  });

  test('of the MQTT broker are taken out of the address, whatever they hold; MQTT_USERNAME and MQTT_PASSWORD win', () => {
    const MQTT_URL = 'mqtt://u:p%40%3A%2F@127.0.0.1:1883';
    const address = (environment: Readonly<Record<string, string>>) => mqttAddress(requireConfig(loadConfig({ environment })));
    expect(address({ MQTT_URL })).toEqual({ url: 'mqtt://127.0.0.1:1883', username: 'u', password: 'p@:/', tls: {} });
    expect(address({ MQTT_URL, MQTT_USERNAME: 'other', MQTT_PASSWORD: 'one' })).toMatchObject({ username: 'other', password: 'one' });
    expect(address({ MQTT_URL: 'mqtt://u@127.0.0.1', MQTT_PASSWORD: 'p' })).toMatchObject({ username: 'u', password: 'p' });
    expect(address({})).toEqual({ url: 'mqtt://127.0.0.1:1883', username: undefined, password: undefined, tls: {} });
  });

  test('of the registry do not stay in the address that is logged; SCHEMA_REGISTRY_AUTH wins', () => {
    const SCHEMA_REGISTRY_URL = 'http://u:p%40%3A@127.0.0.1:8081/apis';
    const address = (environment: Readonly<Record<string, string>>) => registryAddress(requireConfig(loadConfig({ environment })));
    expect(address({ SCHEMA_REGISTRY_URL })).toEqual({ url: 'http://127.0.0.1:8081/apis', auth: 'u:p@:' });
    expect(address({ SCHEMA_REGISTRY_URL, SCHEMA_REGISTRY_AUTH: 'other:one' })).toMatchObject({ auth: 'other:one' });
  });
});

describe('certificates and keys', () => {
  const tls = (more: Readonly<Record<string, string>>) => ({ KAFKA_SSL: 'true', ...more });

  test('are read', () => {
    const { client, ca } = certificates;
    const environment = tls({ KAFKA_SSL_CA_FILE: ca, KAFKA_SSL_CERT_FILE: client.cert, KAFKA_SSL_KEY_FILE: client.key });
    expect(readTlsFiles(requireConfig(loadConfig({ environment })).kafka)).toEqual({
      ca: readFileSync(ca, 'utf8'),
      cert: readFileSync(client.cert, 'utf8'),
      key: readFileSync(client.key, 'utf8'),
    });
  });

  test('that cannot be used are problems that name the path and the reason, all at once', () => {
    const empty = fileWith('');
    const problems = problemsOf(
      tls({ KAFKA_SSL_CA_FILE: '/nowhere/ca.pem', KAFKA_SSL_CERT_FILE: empty, KAFKA_SSL_KEY_FILE: certificates.client.cert }),
    );
    expect(problems).toEqual([
      'KAFKA_SSL_CA_FILE: given "/nowhere/ca.pem" (environment variable KAFKA_SSL_CA_FILE); it cannot be read: there is no such file; allowed is a PEM file with a certificate.',
      `KAFKA_SSL_CERT_FILE: given "${empty}" (environment variable KAFKA_SSL_CERT_FILE); it is empty; allowed is a PEM file with a certificate.`,
      expect.stringMatching(/^KAFKA_SSL_KEY_FILE: .*it has no line -----BEGIN PRIVATE KEY-----; allowed is a PEM file with a key/),
    ]);
  });

  test('must belong together', () => {
    const { client, server } = certificates;
    expect(problemsOf(tls({ KAFKA_SSL_CERT_FILE: client.cert, KAFKA_SSL_KEY_FILE: server.key }))).toEqual([
      expect.stringMatching(/KAFKA_SSL_CERT_FILE .*KAFKA_SSL_KEY_FILE .*: these cannot be used \(.*key values mismatch/),
    ]);
    expect(problemsOf(tls({ KAFKA_SSL_CERT_FILE: client.cert }))).toEqual([
      'KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE go together; give both or none.',
    ]);
  });

  test('a key with a passphrase is refused by that name', () => {
    const { cert, key } = certificates.client;
    const newer = join(folder, 'newer.key');
    const traditional = join(folder, 'traditional.key');
    const passphrase = ['-in', key, '-passout', 'pass:s3cret'];
    execFileSync('openssl', ['pkcs8', '-topk8', ...passphrase, '-out', newer]);
    execFileSync('openssl', ['ec', '-aes128', ...passphrase, '-out', traditional], { stdio: 'ignore' });
    for (const encrypted of [newer, traditional]) {
      expect(problemsOf(tls({ KAFKA_SSL_CERT_FILE: cert, KAFKA_SSL_KEY_FILE: encrypted }))).toEqual([
        expect.stringContaining('its key has a passphrase'),
      ]);
    }
  });

  test('without TLS are a contradiction: somebody believes that the connection is protected', () => {
    const { ca } = certificates;
    expect(problemsOf({ KAFKA_SSL_CA_FILE: ca, MQTT_TLS_CA_FILE: ca, SCHEMA_REGISTRY_CA_FILE: ca })).toEqual([
      expect.stringMatching(/^MQTT_TLS_CA_FILE, .*need MQTT_URL beginning with mqtts:/),
      expect.stringMatching(/^KAFKA_SSL_CA_FILE, .*need KAFKA_SSL=true/),
      expect.stringMatching(/^SCHEMA_REGISTRY_CA_FILE, .*need SCHEMA_REGISTRY_URL beginning with https:/),
    ]);
  });

  test('of DATABASE_URL are looked at too', () => {
    const url = (file: string) => `postgres://u:s3cret@h/d?sslmode=verify-full&sslrootcert=${file}`;
    expect(problemsOf({ DATABASE_URL: url(certificates.ca) })).toEqual([]);
    expect(problemsOf({ DATABASE_URL: url('/nowhere') })).toEqual([
      'DATABASE_URL: its sslrootcert is "/nowhere"; it cannot be read: there is no such file; allowed is a readable PEM file.',
    ]);
  });
});

describe('passwords that anybody on the way could read', () => {
  const warningsOf = (environment: Readonly<Record<string, string>>) => loadConfig({ environment }).warnings;
  const plain = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: 'p' };

  test('are warned of', () => {
    expect(warningsOf({ MQTT_URL: 'mqtt://broker', MQTT_USERNAME: 'u', MQTT_PASSWORD: 'p' })).toEqual([
      expect.stringContaining('mqtts://'),
    ]);
    expect(warningsOf({ MQTT_URL: 'ws://u:p@broker' })).toEqual([expect.stringContaining('wss://')]);
    expect(warningsOf({ ...plain, KAFKA_BROKERS: '127.0.0.1:1,kafka:9092' })).toEqual([expect.stringContaining('KAFKA_SSL=true')]);
    expect(warningsOf({ SCHEMA_REGISTRY_URL: 'http://registry', SCHEMA_REGISTRY_AUTH: 'u:p' })).toEqual([
      expect.stringContaining('https://'),
    ]);
  });

  test('are fine with TLS, with SCRAM, or when they do not leave the machine', () => {
    expect(warningsOf({ MQTT_URL: 'mqtts://broker', MQTT_USERNAME: 'u', MQTT_PASSWORD: 'p' })).toEqual([]);
    expect(warningsOf({ MQTT_URL: 'mqtt://localhost', MQTT_USERNAME: 'u', MQTT_PASSWORD: 'p' })).toEqual([]);
    expect(warningsOf({ ...plain, KAFKA_BROKERS: 'kafka:9093', KAFKA_SSL: 'true' })).toEqual([]);
    expect(warningsOf({ ...plain, KAFKA_BROKERS: '[::1]:9092' })).toEqual([]);
    expect(warningsOf({ ...plain, KAFKA_SASL_MECHANISM: 'scram-sha-512', KAFKA_BROKERS: 'kafka:9092' })).toEqual([]);
    expect(warningsOf({ SCHEMA_REGISTRY_URL: 'https://registry', SCHEMA_REGISTRY_AUTH: 'u:p' })).toEqual([]);
  });
});
