import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } from 'kafkajs';
import { type KafkaSettings, startKafka } from '../../src/local-stack/kafka.ts';
import { freePort } from '../../src/local-stack/ports.ts';
import type { Certificates } from './certificates.ts';

// A Kafka of its own that asks for passwords and certificates. Inside it talks plainly, and there tests may look at it.

export interface SecuredKafka {
  /** No TLS, no login. */
  readonly plainBrokers: string;
  /** TLS and a login by PLAIN or SCRAM, under the name in the certificate. */
  readonly saslBrokers: string;
  /** The same listener under an address that is not in the certificate. */
  readonly saslBrokersByAddress: string;
  /** TLS with a client certificate. */
  readonly certificateBrokers: string;
  stop(): Promise<void>;
}

export interface KafkaUser {
  readonly username: string;
  readonly password: string;
}

export interface SecuredKafkaOptions {
  readonly folder: string;
  readonly certificates: Certificates;
  /** May log in by PLAIN. */
  readonly plainUser: KafkaUser;
  /** May log in by either SCRAM. */
  readonly scramUser: KafkaUser;
  /** With it the SCRAM user may do with this prefix what docs/OPERATING.md "Security" lists, and nothing else. */
  readonly onlyPrefix?: string;
}

/**
 * A connection that logs in by PLAIN has to do it again before this time is over, or it is cut. The client does so 10 s before, and Kafka
 * refuses it within the first second.
 */
export const LOGIN_LASTS_MS = 12_000;
const LOGIN_MODULES = 'org.apache.kafka.common.security';

export async function startSecuredKafka(options: SecuredKafkaOptions): Promise<SecuredKafka> {
  const { folder, certificates, plainUser, scramUser, onlyPrefix } = options;
  const keyStore = join(folder, 'server-key-and-certificate.pem');
  const { server, ca } = certificates;
  await writeFile(keyStore, (await readFile(server.key, 'utf8')) + (await readFile(server.cert, 'utf8')));
  const ports = { sasl: await freePort(), certificate: await freePort() };
  const scram = `[name=${scramUser.username},password=${scramUser.password}]`;
  const kafka = await startKafka({
    folder: join(folder, 'kafka'),
    preferredPort: null,
    scramUsers: [`SCRAM-SHA-256=${scram}`, `SCRAM-SHA-512=${scram}`],
    changeSettings: (own: KafkaSettings) => ({
      listeners: `${own['listeners']},SASL://127.0.0.1:${ports.sasl},CERTIFICATE://127.0.0.1:${ports.certificate}`,
      'advertised.listeners': `${own['advertised.listeners']},SASL://localhost:${ports.sasl},CERTIFICATE://localhost:${ports.certificate}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,CERTIFICATE:SSL',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': keyStore,
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': ca,
      'listener.name.certificate.ssl.client.auth': 'required',
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.sasl.plain.sasl.jaas.config': `${LOGIN_MODULES}.plain.PlainLoginModule required user_${plainUser.username}="${plainUser.password}";`,
      'listener.name.sasl.plain.connections.max.reauth.ms': LOGIN_LASTS_MS,
      'listener.name.sasl.scram-sha-256.sasl.jaas.config': `${LOGIN_MODULES}.scram.ScramLoginModule required;`,
      'listener.name.sasl.scram-sha-512.sasl.jaas.config': `${LOGIN_MODULES}.scram.ScramLoginModule required;`,
      ...(onlyPrefix === undefined ? {} : ACCESS_LISTS),
    }),
  });
  if (onlyPrefix !== undefined) await allowPrefix(kafka.brokers, scramUser.username, onlyPrefix);
  return {
    plainBrokers: kafka.brokers.join(','),
    saslBrokers: `localhost:${ports.sasl}`,
    saslBrokersByAddress: `127.0.0.1:${ports.sasl}`,
    certificateBrokers: `localhost:${ports.certificate}`,
    stop: () => kafka.stop(),
  };
}

/** Whoever comes by the plain listener may do everything. */
const ACCESS_LISTS: KafkaSettings = {
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'super.users': 'User:ANONYMOUS',
};

async function allowPrefix(brokers: readonly string[], username: string, prefix: string): Promise<void> {
  const { READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS, CREATE } = AclOperationTypes;
  const rights = [
    { resourceType: AclResourceTypes.TOPIC, operations: [READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS, CREATE] },
    { resourceType: AclResourceTypes.TRANSACTIONAL_ID, operations: [WRITE, DESCRIBE] },
    { resourceType: AclResourceTypes.GROUP, operations: [READ, DESCRIBE] },
  ];
  const about = {
    resourceName: prefix,
    resourcePatternType: ResourcePatternTypes.PREFIXED,
    principal: `User:${username}`,
    host: '*',
    permissionType: AclPermissionTypes.ALLOW,
  };
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    const acl = rights.flatMap(({ resourceType, operations }) => operations.map((operation) => ({ ...about, resourceType, operation })));
    await admin.createAcls({ acl });
  } finally {
    await admin.disconnect();
  }
}
