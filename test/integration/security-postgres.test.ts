import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicSpecs } from '../../src/kafka/topics.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { runIngot } from '../support/ingot-process.ts';
import { startRole } from '../support/role-process.ts';
import { openSecretScene, type SecretScene } from '../support/secret-scene.ts';
import { type SecuredPostgres, startSecuredPostgres } from '../support/secured-postgres.ts';
import { freshName, stack } from '../support/stack.ts';

// The sink against a real PostgreSQL with TLS and a password, by DATABASE_URL alone.

const USERNAME = 'secured';
const PASSWORD = 'sql-secret-4@';

const prefix = `${freshName('sql-security')}.`;
let scene: SecretScene;
let certificates: Certificates;
let postgres: SecuredPostgres;
let environment: Readonly<Record<string, string>>;

beforeAll(async () => {
  scene = openSecretScene();
  certificates = await makeCertificates(scene.folder);
  postgres = await startSecuredPostgres({ folder: scene.folder, certificates, username: USERNAME, password: PASSWORD });
  const { kafkaBrokers, registryUrl } = stack();
  const log = createKafkaLog({ brokers: kafkaBrokers, clientId: freshName('test') });
  await log.admin().createTopics(topicSpecs({ prefix, partitions: 1, replication: 1 }));
  await log.close();
  environment = {
    KAFKA_BROKERS: kafkaBrokers.join(','),
    SCHEMA_REGISTRY_URL: registryUrl,
    KAFKA_TOPIC_PREFIX: prefix,
    DATA_FOLDER: join(scene.folder, 'data'),
    HTTP_PORT: '0',
  };
  mkdirSync(environment['DATA_FOLDER']!);
});
afterAll(async () => {
  await postgres?.stop();
  scene?.remove();
});

interface UrlParts {
  readonly password?: string;
  readonly host?: string;
  readonly query?: string;
}

const verified = () => `sslmode=verify-full&sslrootcert=${certificates.ca}`;

/** A new file with the URL in it. */
function urlFile({ password = PASSWORD, host = 'localhost', query = verified() }: UrlParts): string {
  const credentials = `${USERNAME}:${encodeURIComponent(password)}`;
  return scene.secretFile(freshName('database-url'), `postgres://${credentials}@${host}:${postgres.port}/ingot?${query}`);
}

test('the sink is let in, and its log has no password', async () => {
  const sink = startRole('sink', { ...environment, DATABASE_URL_FILE: urlFile({}), LOG_LEVEL: 'trace' });
  try {
    await sink.logged('"started"');
    expect(await sink.stop()).toBe(0);
    expect(sink.log()).not.toMatch(/sql-secret/);
  } finally {
    await sink.kill();
  }
});

describe('refused, with exit code 3 and what to look at', () => {
  test.each<[string, () => UrlParts, RegExp]>([
    ['wrong password', () => ({ password: 'wrong-secret' }), /password authentication failed.*DATABASE_REFUSED/],
    ['no TLS', () => ({ query: 'sslmode=disable' }), /pg_hba\.conf.*DATABASE_REFUSED/],
    ['another CA', () => ({ query: `sslmode=verify-full&sslrootcert=${certificates.otherCa}` }), /sslrootcert.*DATABASE_REFUSED/],
    ['the CAs of this machine', () => ({ query: 'sslmode=verify-full' }), /sslrootcert.*DATABASE_REFUSED/],
    ['a name that is not in the certificate', () => ({ host: '127.0.0.1' }), /altnames.*DATABASE_URL.*DATABASE_REFUSED/],
  ])('%s', async (_what, parts, said) => {
    const { code, err } = await runIngot(['sink'], { ...environment, DATABASE_URL_FILE: urlFile(parts()), LOG_LEVEL: 'silent' });
    expect(err).toMatch(said);
    expect(err).not.toMatch(/wrong-secret|sql-secret/);
    expect(code).toBe(3);
  });
});

test('a CA file that is not there is an error of the configuration', async () => {
  const DATABASE_URL_FILE = urlFile({ query: 'sslmode=verify-full&sslrootcert=/no/such/file' });
  const { code, err } = await runIngot(['sink'], { ...environment, DATABASE_URL_FILE });
  expect([code, err]).toEqual([2, expect.stringMatching(/sslrootcert is "\/no\/such\/file"; it cannot be read: there is no such file/)]);
  expect(err).not.toContain('sql-secret');
});
