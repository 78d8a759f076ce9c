import { setTimeout as sleep } from 'node:timers/promises';
import { readTlsFiles } from '../../config/pem-file.ts';
import type { Config } from '../../config/settings-table.ts';
import { IngotError } from '../../errors.ts';
import { createKafkaLog } from '../../kafka/kafka-log.ts';
import type { LogAdmin, LogClient } from '../../kafka/log-port.ts';
import { compareTopics, topicNames } from '../../kafka/topics.ts';
import { kafkaAwaited } from '../../ops/kafka-events.ts';

/** The log that the configuration names. `clientId` is the whole client id. Connects when it is first used. */
export function connectLog(config: Config, clientId: string): LogClient {
  const { brokers, ssl, saslMechanism, saslUsername, saslPassword } = config.kafka;
  const sasl =
    saslMechanism === null ? undefined : { mechanism: saslMechanism, username: saslUsername ?? '', password: saslPassword ?? '' };
  const address = { brokers, clientId, ssl: ssl && readTlsFiles(config.kafka), ...(sasl && { sasl }) };
  return createKafkaLog(address, config.kafka.compression);
}

const START_DEADLINE_MS = 60_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 3_000;

/**
 * The same as requireTopics for a role that starts, maybe together with its Kafka: one that nobody answers for is waited for, a minute long.
 */
export async function awaitTopics(admin: LogAdmin, topicPrefix: string, deadlineMs = START_DEADLINE_MS): Promise<number> {
  const deadlineAtMs = performance.now() + deadlineMs;
  for (let retryInMs = FIRST_RETRY_MS; ; retryInMs = Math.min(retryInMs * 2, LAST_RETRY_MS)) {
    try {
      return await requireTopics(admin, topicPrefix);
    } catch (error) {
      if (!isAbsent(error) || performance.now() + retryInMs > deadlineAtMs) throw error;
      kafkaAwaited({ error: error.message, retryInMs });
      await sleep(retryInMs);
    }
  }
}

/** A Kafka that hangs up on us is there, and wants to be spoken to in another way. */
function isAbsent(error: unknown): error is IngotError {
  return error instanceof IngotError && error.code === 'KAFKA_UNREACHABLE' && !error.message.includes('Closed connection');
}

/**
 * Makes sure that Ingot's topics are there and as it needs them; returns how many partitions they have.
 * IngotErrors `TOPIC_MISSING`, `TOPIC_MISCONFIGURED`, `KAFKA_UNREACHABLE`, `KAFKA_REFUSED`.
 */
export async function requireTopics(admin: LogAdmin, topicPrefix: string): Promise<number> {
  const names = Object.values(topicNames(topicPrefix));
  const described = await admin.describeTopics(names);
  const findings = compareTopics(topicPrefix, described).filter((finding) => finding.kind !== 'different');
  if (findings.length > 0) {
    const missing = findings.every((finding) => finding.kind === 'missing');
    const lines = findings.map((finding) => `  - ${finding.topic}: ${finding.what}`).join('\n');
    throw new IngotError(
      missing ? 'TOPIC_MISSING' : 'TOPIC_MISCONFIGURED',
      `Kafka's topics are not as Ingot needs them. ${missing ? "'ingot topics create' makes what is missing." : "See 'ingot topics describe'."}\n${lines}`,
    );
  }
  return described.find((topic) => topic.name === topicNames(topicPrefix).readings)!.partitions;
}
