import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogAdmin } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { type Bench, freshPrefix, PARTITIONS } from '../support/bench.ts';
import { type Contender, startRole, startScript } from '../support/contender.ts';
import type { Figure } from '../support/figures.ts';
import { beginSession, endSession } from '../support/mqtt-session.ts';
import { waitUntil } from '../support/wait-until.ts';
import { publishBacklog } from './backlog.ts';

// The bridge alone: a backlog at QoS 1 from mosquitto into Kafka with acks=all, as Avro. Against a script that produces message by message.

interface Result {
  readonly messagesPerSecond: number;
  readonly cpuMicrosPerMessage: number;
  readonly peakMemoryMiB: number;
}

export async function drainBridge(bench: Bench): Promise<readonly Figure[]> {
  const ours = await drain(bench, {
    what: 'bridge',
    messages: bench.sizes.messages,
    clientId: (prefix) => `${prefix}-1`,
    start: (prefix) => startRole(bench, { words: ['bridge'], prefix }),
  });
  const script = await drain(bench, {
    what: 'bridge-script',
    // It takes the whole backlog into its memory, and is an order of magnitude slower.
    messages: Math.ceil(bench.sizes.messages / 8),
    clientId: (prefix) => prefix,
    start: async (prefix) => startScript(bench, new URL('naive-bridge.ts', import.meta.url), prefix),
  });
  return [
    { name: 'bridge, backlog: messages/s', ours: ours.messagesPerSecond, yardstick: script.messagesPerSecond, target: '> 60000 expected' },
    {
      name: 'bridge, backlog: us CPU per message',
      ours: ours.cpuMicrosPerMessage,
      yardstick: script.cpuMicrosPerMessage,
      target: '< 12 expected',
    },
    { name: 'bridge, backlog: peak MiB', ours: ours.peakMemoryMiB, yardstick: script.peakMemoryMiB },
  ];
}

interface Draining {
  readonly what: string;
  readonly messages: number;
  readonly clientId: (prefix: string) => string;
  readonly start: (prefix: string) => Promise<Contender>;
}

async function drain(bench: Bench, { what, messages, clientId, start }: Draining): Promise<Result> {
  const { components, sizes } = bench;
  const prefix = freshPrefix(what);
  const log = createKafkaLog({ brokers: components.kafkaBrokers, clientId: 'bench' });
  try {
    const admin = log.admin();
    await admin.createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
    await beginSession(components.mqttUrl, clientId(prefix));
    await publishBacklog(components.mqttUrl, { messages, devices: sizes.devices });
    return await watch(await start(prefix), { admin, topic: topicNames(prefix).readings, messages });
  } finally {
    await endSession(components.mqttUrl, clientId(prefix));
    await log.close();
  }
}

/** From the first records in Kafka to the last: what comes before is loading, connecting and warming up. */
async function watch(contender: Contender, { admin, topic, messages }: { admin: LogAdmin; topic: string; messages: number }) {
  try {
    let records = 0;
    const grow = async (atLeast: number): Promise<boolean> => {
      records = (await admin.watermarks(topic)).reduce((sum, { highWatermark }) => sum + highWatermark, 0);
      return records >= atLeast;
    };
    const options = { pollMs: 20, isOver: contender.hasEnded };
    await waitUntil('the first record', () => grow(1), options);
    const before = { ...contender.cost(), atMs: performance.now(), records };
    await waitUntil('the last record', () => grow(messages), options);
    const seconds = (performance.now() - before.atMs) / 1000;
    const after = contender.cost();
    const counted = records - before.records;
    return {
      messagesPerSecond: counted / seconds,
      cpuMicrosPerMessage: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / counted,
      peakMemoryMiB: after.peakMemoryMiB,
    };
  } finally {
    await contender.end();
  }
}
