import kafkajs from 'kafkajs';
import { RecordsEncoder } from '../../src/core/record-batch.ts';
import type { TopicPartition } from '../../src/kafka/log-port.ts';
import { topicSpecs } from '../../src/kafka/topics.ts';
import { freshName, stack } from './stack.ts';
import type { TestPipeline } from './test-pipeline.ts';
import { waitUntil } from './wait-until.ts';

// What somebody with too many rights does to the topics of a pipeline that rests.

type Admin = ReturnType<InstanceType<typeof kafkajs.Kafka>['admin']>;

async function asAdmin<Result>(work: (admin: Admin) => Promise<Result>, brokers = stack().kafkaBrokers): Promise<Result> {
  const kafka = new kafkajs.Kafka({ brokers: [...brokers], clientId: freshName('vandal'), logLevel: kafkajs.logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Deletes a topic and makes it anew, as the table of topics says. */
export async function recreateTopic({ prefix, partitions, log }: TestPipeline, topic: string): Promise<void> {
  await asAdmin(async (admin) => {
    await admin.deleteTopics({ topics: [topic] });
    await waitUntil(async () => !(await admin.listTopics()).includes(topic), 'the end of the topic');
  });
  await log.admin().createTopics(topicSpecs({ prefix, partitions, replication: 1 }).filter(({ name }) => name === topic));
}

/** Writes a record that is nothing in particular under a key. */
export async function scribble({ log }: TestPipeline, at: TopicPartition, key: string): Promise<void> {
  const lane = log.produceLane({ name: 'vandal', acks: 'all' });
  const encoder = new RecordsEncoder(64);
  const baseTimestampMs = Date.now();
  encoder.reset(baseTimestampMs);
  encoder.add(Buffer.from(key), Buffer.from('scribble'), baseTimestampMs);
  await lane.send([{ ...at, records: encoder.take(), count: 1, baseTimestampMs }]);
  await lane.close(1_000);
}

/** Forgets a group with its offsets; nobody may be in it. */
export async function forgetGroup(groupId: string): Promise<void> {
  await asAdmin((admin) => admin.deleteGroups([groupId]));
}

/** Deletes the records below an offset, as retention does. */
export async function deleteRecordsBelow(topic: string, offsets: readonly number[]): Promise<void> {
  const partitions = offsets.map((offset, partition) => ({ partition, offset: String(offset) }));
  await asAdmin(async (admin) => {
    // The library knows the leaders of topics that it was asked about before.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions });
  });
}

/** Adds partitions to every topic of a pipeline. */
export async function addPartitions({ prefix, partitions }: TestPipeline, count: number): Promise<void> {
  const names = topicSpecs({ prefix, partitions, replication: 1 }).map(({ name }) => name);
  await asAdmin((admin) => admin.createPartitions({ topicPartitions: names.map((topic) => ({ topic, count })) }));
}

/** Changes settings of a topic. */
export async function alterTopic(brokers: readonly string[], name: string, configs: Readonly<Record<string, string>>): Promise<void> {
  const configEntries = Object.entries(configs).map(([key, value]) => ({ name: key, value }));
  await asAdmin(
    (admin) => admin.alterConfigs({ validateOnly: false, resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name, configEntries }] }),
    brokers,
  );
}
