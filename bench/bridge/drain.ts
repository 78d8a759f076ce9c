import { setTimeout as sleep } from 'node:timers/promises';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { type Bench, freshPrefix, PARTITIONS } from '../support/bench.ts';
import type { Contender } from '../support/contender.ts';
import { beginSession, endSession } from '../support/mqtt-session.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type Arrivals, watchArrivals } from './arrivals.ts';
import { publishBacklog } from './backlog.ts';
import type { BridgeContender } from './contenders.ts';

// A kept session full of messages at QoS 1, drained from the MQTT broker into Kafka with acks=all, as Avro.

export interface Drained {
  readonly messagesPerSecond: number;
  readonly cpuMicrosPerMessage: number;
  readonly peakMemoryMiB: number;
  readonly duplicates: number;
  readonly lost: number;
}

export async function drainBacklog(bench: Bench, contender: BridgeContender): Promise<Drained> {
  const { components, sizes } = bench;
  const prefix = freshPrefix(`bridge-${contender.name}`);
  const messages = Math.ceil(sizes.messages / contender.divisor);
  const topic = topicNames(prefix).readings;
  const log = createKafkaLog({ brokers: components.kafkaBrokers, clientId: 'bench' });
  try {
    await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
    await beginSession(components.mqttUrl, contender.clientId(prefix));
    await publishBacklog(components.mqttUrl, { messages, devices: sizes.devices });
    const measured = await watch(await contender.start(bench, prefix), { log, topic, messages });
    const arrivals = await watchArrivals(bench, log, { prefix, topic });
    return { ...measured, ...(await account(arrivals, messages)) };
  } finally {
    await endSession(components.mqttUrl, contender.clientId(prefix));
    await log.close();
  }
}

/** Without a new record for so long nothing more is coming. */
const NOTHING_MORE_MS = 10_000;

/** What is in Kafka in the end: once, twice, not at all. */
export async function account(arrivals: Arrivals, messages: number): Promise<{ duplicates: number; lost: number }> {
  for (let before = -1; arrivals.messages < messages && arrivals.records > before; ) {
    before = arrivals.records;
    await sleep(NOTHING_MORE_MS);
  }
  await arrivals.upToDate();
  await arrivals.stop();
  return { duplicates: arrivals.records - arrivals.messages, lost: messages - arrivals.messages };
}

interface Watched {
  readonly log: LogClient;
  readonly topic: string;
  readonly messages: number;
}

/** From the first records in Kafka to the last: what comes before is loading, connecting and warming up. */
async function watch(contender: Contender, { log, topic, messages }: Watched) {
  const admin = log.admin();
  try {
    let records = 0;
    const grow = async (atLeast: number): Promise<boolean> => {
      records = (await admin.watermarks(topic)).reduce((sum, { highWatermark }) => sum + highWatermark, 0);
      return records >= atLeast;
    };
    const isOver = contender.hasEnded;
    await waitUntil('the first record', () => grow(1), { pollMs: 20, isOver });
    const before = { ...contender.cost(), atMs: performance.now(), records };
    // Seldom: the questions take the same processors.
    await waitUntil('the last record', () => grow(messages), { isOver });
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
    await admin.close();
  }
}
