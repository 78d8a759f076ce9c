import { Kafka, logLevel } from 'kafkajs';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { freshName, stack } from '../support/stack.ts';

test('Kafka takes a new topic', async () => {
  const admin = new Kafka({ brokers: [...stack().kafkaBrokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  const topic = freshName('smoke');
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] });
  expect((await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions).toHaveLength(3);
  await admin.disconnect();
});

test('the schema registry answers', async () => {
  const response = await fetch(`${stack().registryUrl}/subjects`);
  expect(response.status).toBe(200);
});

test('PostgreSQL answers', async () => {
  const client = new Client({ connectionString: stack().postgresUrl });
  await client.connect();
  expect((await client.query('select 1 + 1 as two')).rows).toEqual([{ two: 2 }]);
  await client.end();
});
