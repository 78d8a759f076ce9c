import { beforeEach, expect, test } from 'vitest';
import { awaitTopics } from '../../../src/cli/roles/connect-log.ts';
import { IngotError } from '../../../src/errors.ts';
import type { LogAdmin } from '../../../src/kafka/log-port.ts';
import { topicSpecs } from '../../../src/kafka/topics.ts';
import { configureLog } from '../../../src/ops/log.ts';

beforeEach(() => configureLog({ level: 'silent', format: 'json' }));

const prefix = 'telemetry.';
const described = topicSpecs({ prefix, partitions: 3, replication: 1 }).map((spec) => ({
  ...spec,
  configs: new Map(Object.entries(spec.configs)),
}));

/** Fails with these, one after the other, then answers. */
function kafka(...failures: readonly Error[]) {
  let asked = 0;
  const describeTopics: LogAdmin['describeTopics'] = async () => {
    const failure = failures[asked++];
    if (failure !== undefined) throw failure;
    return described;
  };
  return { admin: { describeTopics } as LogAdmin, asked: () => asked };
}

const refused = new IngotError('KAFKA_UNREACHABLE', 'Kafka at k:1: connect ECONNREFUSED. Check KAFKA_BROKERS.');

test('a Kafka that is still starting is waited for', async () => {
  const { admin, asked } = kafka(refused, refused);
  expect(await awaitTopics(admin, prefix)).toBe(3);
  expect(asked()).toBe(3);
});

test('at the deadline it is said what was wrong last', async () => {
  await expect(awaitTopics(kafka(refused, refused).admin, prefix, 0)).rejects.toBe(refused);
});

test.each([
  new IngotError('KAFKA_REFUSED', 'Kafka at k:1 refused us.'),
  new IngotError('TOPIC_MISSING', 'not there'),
  new IngotError('KAFKA_UNREACHABLE', 'Kafka at k:1: Closed connection. Check KAFKA_BROKERS, and whether it wants TLS.'),
  new TypeError('a bug'),
])('what waiting does not mend is said at once: %s', async (error) => {
  const { admin, asked } = kafka(error);
  await expect(awaitTopics(admin, prefix)).rejects.toBe(error);
  expect(asked()).toBe(1);
});
