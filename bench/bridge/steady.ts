import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import type { LoadSent, SteadyLoad } from '../latency/steady-load.ts';
import { type Bench, freshPrefix, PARTITIONS } from '../support/bench.ts';
import { quantile } from '../support/figures.ts';
import { beginSession, endSession } from '../support/mqtt-session.ts';
import { watchArrivals } from './arrivals.ts';
import type { BridgeContender } from './contenders.ts';
import { account } from './drain.ts';

// A steady load, well below what the bridge could take: what counts here is the cost of small batches, and the time from the reading
// until a reader has it from Kafka.

export interface Steady {
  readonly cpuMicrosPerMessage: number;
  readonly peakMemoryMiB: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly duplicates: number;
  readonly lost: number;
}

const CONNECTIONS = 20;

export async function steadyBridge(bench: Bench, contender: BridgeContender): Promise<Steady> {
  const { components, sizes } = bench;
  const prefix = freshPrefix(`steady-${contender.name}`);
  const topic = topicNames(prefix).readings;
  const log = createKafkaLog({ brokers: components.kafkaBrokers, clientId: 'bench' });
  try {
    await log.admin().createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }));
    await beginSession(components.mqttUrl, contender.clientId(prefix));
    const arrivals = await watchArrivals(bench, log, { prefix, topic });
    const running = await contender.start(bench, prefix);
    try {
      const load = await startLoad(bench);
      const sent = once(load, 'message') as Promise<[LoadSent]>;
      load.send('begin');
      await sleep(sizes.warmUpSeconds * 1000);
      arrivals.forgetLatencies();
      const before = { ...running.cost(), records: arrivals.records };
      await sleep(sizes.seconds * 1000);
      const after = running.cost();
      const latenciesMs = [...arrivals.latenciesMs];
      const counted = arrivals.records - before.records;
      const [{ readings }] = await sent;
      return {
        cpuMicrosPerMessage: ((after.cpuSeconds - before.cpuSeconds) * 1e6) / counted,
        peakMemoryMiB: after.peakMemoryMiB,
        p50Ms: quantile(latenciesMs, 0.5),
        p99Ms: quantile(latenciesMs, 0.99),
        ...(await account(arrivals, readings)),
      };
    } finally {
      await running.end();
    }
  } finally {
    await endSession(components.mqttUrl, contender.clientId(prefix));
    await log.close();
  }
}

async function startLoad({ components, sizes }: Bench) {
  const load: SteadyLoad = {
    mqttUrl: components.mqttUrl,
    devices: sizes.devices,
    ratePerSecond: sizes.bridgeRatePerSecond,
    seconds: sizes.warmUpSeconds + sizes.seconds + 1,
    connections: CONNECTIONS,
    flipEvery: 50,
  };
  const child = fork(fileURLToPath(new URL('../latency/steady-load.ts', import.meta.url)), [JSON.stringify(load)], { execArgv: [] });
  await once(child, 'message');
  return child;
}
