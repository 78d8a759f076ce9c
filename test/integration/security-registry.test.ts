import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { openSecretScene, type SecretScene } from '../support/secret-scene.ts';
import { type SecuredRegistry, startSecuredRegistry } from '../support/secured-registry.ts';
import { freshName, stack } from '../support/stack.ts';

// The real registry behind TLS and basic authentication.

const PASSWORD = 'registry:secret@3';
const AUTH = `schema-user:${PASSWORD}`;

let scene: SecretScene;
let certificates: Certificates;
let registry: SecuredRegistry;
let withCertificate: SecuredRegistry;
let authFile: string;
let wrongAuthFile: string;

beforeAll(async () => {
  scene = openSecretScene();
  certificates = await makeCertificates(scene.folder);
  const target = stack().registryUrl;
  registry = await startSecuredRegistry({ target, certificates, auth: AUTH });
  withCertificate = await startSecuredRegistry({ target, certificates, auth: AUTH, asksForCertificate: true });
  authFile = scene.secretFile('registry-auth', AUTH);
  wrongAuthFile = scene.secretFile('wrong-auth', 'schema-user:wrong-secret');
});
afterAll(async () => {
  await registry?.stop();
  await withCertificate?.stop();
  scene?.remove();
});

const secured = () => ({
  SCHEMA_REGISTRY_URL: registry.url,
  SCHEMA_REGISTRY_CA_FILE: certificates.ca,
  SCHEMA_REGISTRY_AUTH_FILE: authFile,
  KAFKA_TOPIC_PREFIX: `${freshName('registry-security')}.`,
});
const certificatePair = ({ cert, key }: { cert: string; key: string }) => ({
  SCHEMA_REGISTRY_CERT_FILE: cert,
  SCHEMA_REGISTRY_KEY_FILE: key,
});

/** As some write it: the credentials in the address. */
function urlWithCredentials(password: string): string {
  const url = new URL(registry.url);
  url.username = 'schema-user';
  url.password = encodeURIComponent(password);
  return url.href;
}

describe('let in', () => {
  test.each([
    ['with a password from a file', () => ({})],
    ['with credentials in the address', () => ({ SCHEMA_REGISTRY_URL: urlWithCredentials(PASSWORD), SCHEMA_REGISTRY_AUTH_FILE: '' })],
    ['with a client certificate too', () => ({ ...certificatePair(certificates.client), SCHEMA_REGISTRY_URL: withCertificate.url })],
  ])('%s', async (_how, settings) => {
    const environment = { ...secured(), ...settings() };
    const registered = await runIngot(['schemas', 'register', '-o', 'jsonl'], environment);
    expect(registered).toMatchObject({ code: 0, err: '' });
    const listed = await runIngot(['schemas', 'list', '-o', 'jsonl'], environment);
    expect(new Set(jsonLines(listed.out).map(({ standing }) => standing))).toEqual(new Set(['up to date']));
    expect(registry.passed() + withCertificate.passed()).toBeGreaterThan(0);
  });
});

describe('refused, with exit code 3 and what to look at', () => {
  const REFUSED: readonly [string, () => Readonly<Record<string, string>>, RegExp][] = [
    ['wrong password', () => ({ SCHEMA_REGISTRY_AUTH_FILE: wrongAuthFile }), /401.*SCHEMA_REGISTRY_AUTH\..*REGISTRY_REFUSED/],
    [
      'wrong password in the address',
      () => ({ SCHEMA_REGISTRY_URL: urlWithCredentials('wrong-secret'), SCHEMA_REGISTRY_AUTH_FILE: '' }),
      /401.*SCHEMA_REGISTRY_AUTH\..*REGISTRY_REFUSED/,
    ],
    ['no password', () => ({ SCHEMA_REGISTRY_AUTH_FILE: '' }), /401.*SCHEMA_REGISTRY_AUTH\..*REGISTRY_REFUSED/],
    ['another CA', () => ({ SCHEMA_REGISTRY_CA_FILE: certificates.otherCa }), /SCHEMA_REGISTRY_CA_FILE.*REGISTRY_REFUSED/],
    ['the CAs of this machine', () => ({ SCHEMA_REGISTRY_CA_FILE: '' }), /SCHEMA_REGISTRY_CA_FILE.*REGISTRY_REFUSED/],
    [
      'a name that is not in the certificate',
      () => ({ SCHEMA_REGISTRY_URL: registry.urlByAddress }),
      /altnames.*SCHEMA_REGISTRY_URL.*REGISTRY_REFUSED/,
    ],
    ['no client certificate', () => ({ SCHEMA_REGISTRY_URL: withCertificate.url }), /SCHEMA_REGISTRY_CERT_FILE.*REGISTRY_REFUSED/],
    [
      'a client certificate of another CA',
      () => ({ ...certificatePair(certificates.stranger), SCHEMA_REGISTRY_URL: withCertificate.url }),
      // This server hangs up without a word of TLS.
      /socket hang up.*REGISTRY_UNREACHABLE/,
    ],
    [
      'no TLS at this port',
      () => ({ SCHEMA_REGISTRY_URL: stack().registryUrl.replace('http:', 'https:') }),
      /speaks no TLS.*SCHEMA_REGISTRY_URL.*REGISTRY_REFUSED/,
    ],
  ];

  test.each(REFUSED)('%s', async (_what, settings, said) => {
    const { code, err } = await runIngot(['schemas', 'list'], { ...secured(), ...settings() });
    expect(err).toMatch(said);
    expect(err).not.toMatch(/wrong-secret|secret@3|secret%40/);
    expect(code).toBe(3);
  });

  test('a role ends too instead of waiting, and its log has no password', async () => {
    const environment = {
      ...secured(),
      SCHEMA_REGISTRY_URL: urlWithCredentials('wrong-secret'),
      SCHEMA_REGISTRY_AUTH_FILE: '',
      DATA_FOLDER: join(scene.folder, 'refused'),
      HTTP_PORT: '0',
      LOG_LEVEL: 'silent',
    };
    const { code, err } = await runIngot(['bridge'], environment);
    expect([code, err]).toEqual([3, expect.stringMatching(/401.*\[REGISTRY_REFUSED\]\n$/)]);
    expect(err).not.toContain('wrong-secret');
  });
});
