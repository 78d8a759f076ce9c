import { join } from 'node:path';
import type { Counter } from 'prom-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectLog } from '../../src/cli/roles/connect-log.ts';
import { loadConfig, requireConfig } from '../../src/config/load-config.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { metricsRegistry } from '../../src/ops/metrics.ts';
import { type Certificates, makeCertificates } from '../support/certificates.ts';
import { jsonLines, runIngot } from '../support/ingot-process.ts';
import { readTopic } from '../support/read-topic.ts';
import { openSecretScene, type SecretScene } from '../support/secret-scene.ts';
import { LOGIN_LASTS_MS, type SecuredKafka, startSecuredKafka } from '../support/secured-kafka.ts';
import { freshName } from '../support/stack.ts';
import { encodedRecords } from '../support/written-records.ts';

// Every part that speaks to Kafka, and the commands, against a real one with TLS, PLAIN, both SCRAMs and client certificates.

const PLAIN = { username: 'plain-user', password: 'plain-secret-1' };
/** A Kafka on a machine that may be busy. */
const START_DEADLINE_MS = 300_000;
const SCRAM = { username: 'scram-user', password: 'scram-secret-2' };

let scene: SecretScene;
let certificates: Certificates;
let kafka: SecuredKafka;
let steadySender: SteadySender;
let passwordFiles: { readonly plain: string; readonly scram: string };
const logs: LogClient[] = [];

beforeAll(async () => {
  scene = openSecretScene();
  certificates = await makeCertificates(scene.folder);
  kafka = await startSecuredKafka({ folder: scene.folder, certificates, plainUser: PLAIN, scramUser: SCRAM });
  passwordFiles = { plain: scene.secretFile('plain-password', PLAIN.password), scram: scene.secretFile('scram-password', SCRAM.password) };
  steadySender = await startSteadySender();
}, START_DEADLINE_MS);
afterAll(async () => {
  await Promise.all(logs.map((log) => log.close()));
  await kafka?.stop();
  scene?.remove();
});

type Settings = Readonly<Record<string, string>>;

const tls = (): Settings => ({ KAFKA_SSL: 'true', KAFKA_SSL_CA_FILE: certificates.ca });
const plainLogin = (): Settings => ({
  ...tls(),
  KAFKA_BROKERS: kafka.saslBrokers,
  KAFKA_SASL_MECHANISM: 'plain',
  KAFKA_SASL_USERNAME: PLAIN.username,
  KAFKA_SASL_PASSWORD_FILE: passwordFiles.plain,
});
const scramLogin = (mechanism: string) => (): Settings => ({
  ...tls(),
  KAFKA_BROKERS: kafka.saslBrokers,
  KAFKA_SASL_MECHANISM: mechanism,
  KAFKA_SASL_USERNAME: SCRAM.username,
  KAFKA_SASL_PASSWORD_FILE: passwordFiles.scram,
});
const certificateLogin = (pair = certificates.client): Settings => ({
  ...tls(),
  KAFKA_BROKERS: kafka.certificateBrokers,
  KAFKA_SSL_CERT_FILE: pair.cert,
  KAFKA_SSL_KEY_FILE: pair.key,
});

interface SteadySender {
  /** Goes on until the connections' first logins have run out. */
  stop(): Promise<{ readonly log: LogClient; readonly topic: string; readonly sent: readonly string[] }>;
}

/** Writes and reads with PLAIN, on the same connections, while the other tests run. */
async function startSteadySender(): Promise<SteadySender> {
  const topic = `${freshName('login-again')}.readings`;
  const log = connect(plainLogin());
  await log.admin().createTopics([{ name: topic, partitions: 1, replicationFactor: 1, configs: {} }]);
  const lane = log.produceLane({ name: 'steady', acks: 'all' });
  const cursor = log
    .fetchLoop({ name: 'steady', maxWaitMs: 100, maxBytesPerPartition: 65_536, isolation: 'committed' })
    .open({ topic, partition: 0 }, 0);
  const sent: string[] = [];
  const enoughAtMs = performance.now() + LOGIN_LASTS_MS + 2_000;
  let isStopped = false;
  const goOn = async (): Promise<void> => {
    while (!isStopped || performance.now() < enoughAtMs) {
      sent.push(String(sent.length));
      await lane.send(encodedRecords(topic, 1, [{ key: 'd1', value: sent.at(-1)! }]));
      // The answer that says that nothing more came takes its long poll, which is the pace of this.
      while ((await cursor.next()).batches.length > 0);
    }
  };
  const ended = goOn();
  // Told by `stop`.
  ended.catch(() => {});
  return {
    stop: async () => {
      isStopped = true;
      await ended;
      return { log, topic, sent };
    },
  };
}

function connect(environment: Settings): LogClient {
  const log = connectLog(requireConfig(loadConfig({ environment })), freshName('test'));
  logs.push(log);
  return log;
}

const WAYS_IN: readonly [string, () => Settings][] = [
  ['PLAIN', plainLogin],
  ['SCRAM-SHA-256', scramLogin('scram-sha-256')],
  ['SCRAM-SHA-512', scramLogin('scram-sha-512')],
  ['a client certificate', () => certificateLogin()],
];

describe.each(WAYS_IN)('with %s over TLS', (_way, settings) => {
  const prefix = `${freshName('kafka-security')}.`;
  const { readings } = topicNames(prefix);

  test('topics are made, records produced, transactions committed, read back, and partitions assigned', async () => {
    const log = connect(settings());
    const admin = log.admin();
    await admin.createTopics(topicSpecs({ prefix, partitions: 1, replication: 1 }));
    const lane = log.produceLane({ name: 'readings', acks: 'all' });
    await lane.send(encodedRecords(readings, 1, [{ key: 'd1', value: 'produced' }]));
    const transactions = log.transactionLane({ transactionalId: `${prefix}0`, transactionTimeoutMs: 30_000 });
    await transactions.fence({ topic: readings, partition: 0 });
    await transactions.commit(encodedRecords(readings, 1, [{ key: 'd1', value: 'committed' }]));
    expect((await readTopic(log, readings)).map(({ value }) => String(value))).toEqual(['produced', 'committed']);

    const membership = log.membership({ groupId: `${prefix}group`, topic: readings, sessionTimeoutMs: 10_000, evictOwnClientId: true });
    const assigned = Promise.withResolvers<readonly number[]>();
    await membership.start({ onAssigned: assigned.resolve, onFailed: assigned.reject });
    expect(await assigned.promise).toEqual([0]);
    await membership.confirm(30_000);
    await membership.commitOffsets(new Map([[0, 1]]));
    expect(await admin.committedOffsets(`${prefix}group`, readings)).toEqual([1]);
    await log.close();
  });

  test('the commands work', async () => {
    const environment = { ...settings(), KAFKA_TOPIC_PREFIX: prefix };
    const listed = await runIngot(['topics', 'list', '-o', 'jsonl'], environment);
    expect(listed).toMatchObject({ code: 0, err: '' });
    expect(jsonLines(listed.out).every(({ state }) => state === 'ok')).toBe(true);
    // What is in the topic is no Avro, and that is what it says, record by record.
    const tail = await runIngot(['readings', 'tail', '--since', 'beginning', '--no-follow'], environment);
    expect(tail).toMatchObject({ code: 0, err: expect.stringMatching(/^(.*cannot be decoded.*\n){2}$/) });
  });
});

describe('refused, with exit code 3 and what to look at', () => {
  const REFUSED: readonly [string, () => Settings, RegExp][] = [
    [
      'wrong password, PLAIN',
      () => ({ ...plainLogin(), KAFKA_SASL_PASSWORD_FILE: passwordFiles.scram }),
      /KAFKA_SASL_PASSWORD.*KAFKA_REFUSED/,
    ],
    [
      'wrong password, SCRAM',
      () => ({ ...scramLogin('scram-sha-256')(), KAFKA_SASL_PASSWORD_FILE: passwordFiles.plain }),
      /KAFKA_SASL_PASSWORD.*KAFKA_REFUSED/,
    ],
    ['unknown user', () => ({ ...scramLogin('scram-sha-512')(), KAFKA_SASL_USERNAME: 'nobody' }), /KAFKA_SASL_USERNAME.*KAFKA_REFUSED/],
    ['another CA', () => ({ ...plainLogin(), KAFKA_SSL_CA_FILE: certificates.otherCa }), /KAFKA_SSL_CA_FILE.*KAFKA_REFUSED/],
    ['the CAs of this machine', () => ({ ...plainLogin(), KAFKA_SSL_CA_FILE: '' }), /KAFKA_SSL_CA_FILE.*KAFKA_REFUSED/],
    [
      'a name that is not in the certificate',
      () => ({ ...plainLogin(), KAFKA_BROKERS: kafka.saslBrokersByAddress }),
      /altnames.*KAFKA_BROKERS.*KAFKA_REFUSED/,
    ],
    [
      'no client certificate',
      () => ({ ...certificateLogin(), KAFKA_SSL_CERT_FILE: '', KAFKA_SSL_KEY_FILE: '' }),
      /KAFKA_SSL_CERT_FILE.*KAFKA_REFUSED/,
    ],
    ['a client certificate of another CA', () => certificateLogin(certificates.stranger), /KAFKA_SSL_CERT_FILE.*KAFKA_REFUSED/],
    ['no login', () => ({ ...tls(), KAFKA_BROKERS: kafka.saslBrokers }), /KAFKA_SASL_MECHANISM.*KAFKA_UNREACHABLE/],
    ['no TLS', () => ({ KAFKA_BROKERS: kafka.saslBrokers }), /KAFKA_SSL.*KAFKA_UNREACHABLE/],
  ];

  test.each(REFUSED)('%s', async (_what, settings, said) => {
    const { code, err } = await runIngot(['topics', 'list'], { ...settings(), LOG_LEVEL: 'silent' });
    expect(err).toMatch(said);
    expect(err).not.toMatch(/secret-\d/);
    expect(code).toBe(3);
  });

  test('a role ends too instead of trying for ever', async () => {
    const environment = {
      ...plainLogin(),
      KAFKA_SASL_PASSWORD_FILE: passwordFiles.scram,
      KAFKA_TOPIC_PREFIX: `${freshName('refused')}.`,
      SCHEMA_AUTO_REGISTER: 'true',
      DATA_FOLDER: join(scene.folder, 'refused'),
      HTTP_PORT: '0',
      LOG_LEVEL: 'silent',
    };
    for (const role of ['bridge', 'aggregate']) {
      const { code, err } = await runIngot([role], environment);
      expect([role, code, err]).toEqual([role, 3, expect.stringMatching(/refused us: .*\[KAFKA_REFUSED\]\n$/)]);
      expect(err).not.toMatch(/secret-\d/);
    }
  });
});

test('connections log in again before their login runs out: nothing was repeated, and nothing failed', async () => {
  const { log, topic, sent } = await steadySender.stop();
  expect((await readTopic(log, topic)).map(({ value }) => String(value))).toEqual(sent);
  for (const name of ['ingot_kafka_produce_retries_total', 'ingot_kafka_fetch_failures_total']) {
    const { values } = await (metricsRegistry.getSingleMetric(name) as Counter).get();
    expect([name, values[0]?.value]).toEqual([name, 0]);
  }
});
