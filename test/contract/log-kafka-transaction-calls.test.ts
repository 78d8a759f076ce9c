import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient, TopicPartition, TransactionLane } from '../../src/kafka/log-port.ts';
import { configureLog } from '../../src/ops/log.ts';
import { firstBatchOf, type RequestedBatch, replaceCode, replaceTransactionVersion } from '../support/kafka-answers.ts';
import { KAFKA_API, KafkaProxy, type Verdict } from '../support/kafka-proxy.ts';
import { encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// What a transaction makes of each answer of its coordinator. The broker is a real one, and has done what it was asked when a proxy changes
// what it says: so a call that is repeated must be one that may be repeated. Both versions of transactions: the broker speaks the second one, and
// the proxy can make it say that it does not.

configureLog({ level: 'silent', format: 'json' });

const { addPartitionsToTxn, apiVersions, produce, endTxn, initProducerId } = KAFKA_API;
const READ = { name: 'reader', maxWaitMs: 50, maxBytesPerPartition: 1_048_576, isolation: 'committed' } as const;

let direct: LogClient;
beforeAll(() => {
  direct = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: 'calls' });
});
afterAll(async () => {
  await direct.close();
});

interface Scene {
  readonly at: TopicPartition;
  readonly lane: TransactionLane;
  readonly transactionalId: string;
  readonly proxy: KafkaProxy;
  /** The first batch of every Produce request. */
  readonly produced: readonly RequestedBatch[];
  /** How often each kind of request was sent. */
  readonly requests: ReadonlyMap<number, number>;
  /** How often the call was asked for since `fault` was set. */
  asked(): number;
  /** Does this to the first answers to one kind of request: an error code to say instead, one for each partition, or a verdict. */
  fault(apiKey: number, faults: readonly (number | readonly number[] | Verdict)[]): void;
  /** What the cluster says about transactions from now on. */
  level: number;
  newLane(): TransactionLane;
}

async function newScene(level: number): Promise<Scene> {
  const at = { topic: freshName('calls'), partition: 0 };
  await direct.admin().createTopics([{ name: at.topic, partitions: 2, replicationFactor: 1, configs: {} }]);
  // A broker that has not heard of a new topic yet answers with errors of its own. This writes nothing that is read.
  const settling = direct.transactionLane({ transactionalId: at.topic, transactionTimeoutMs: 20_000 });
  for (const partition of [0, 1]) await settling.fence({ ...at, partition });
  await settling.close();
  const proxy = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]! });
  onTestFinished(() => proxy.close());
  const log = createKafkaLog({ brokers: [proxy.address], clientId: 'calls' });
  onTestFinished(() => log.close());
  const transactionalId = freshName('calls');
  const produced: RequestedBatch[] = [];
  const requests = new Map<number, number>();
  let faulty = -1;
  let faults: Parameters<Scene['fault']>[1] = [];
  let answers = 0;
  const newLane = (): TransactionLane => log.transactionLane({ transactionalId, transactionTimeoutMs: 20_000 });
  const scene: Scene = {
    ...{ at, lane: newLane(), transactionalId, proxy, produced, requests, level, newLane },
    asked: () => answers,
    fault(apiKey, next) {
      [faulty, faults, answers] = [apiKey, next, 0];
    },
  };
  proxy.onRequest = (exchange) => {
    requests.set(exchange.apiKey, (requests.get(exchange.apiKey) ?? 0) + 1);
    if (exchange.apiKey === produce) produced.push(firstBatchOf(exchange));
    return 'pass';
  };
  proxy.onResponse = (exchange) => {
    replaceTransactionVersion(exchange, scene.level);
    if (exchange.apiKey !== faulty) return 'pass';
    const now = faults[answers++] ?? 'pass';
    if (typeof now === 'string') return now;
    for (const [partition, code] of [now].flat().entries()) replaceCode(exchange, code, partition);
    return 'pass';
  };
  return scene;
}

/** What a reader of committed records sees once every transaction of the id has ended. */
async function committed({ at, transactionalId }: Scene): Promise<(string | null)[]> {
  const next = direct.transactionLane({ transactionalId, transactionTimeoutMs: 20_000 });
  await next.fence({ ...at, partition: 1 });
  await next.close();
  const loop = direct.fetchLoop(READ);
  try {
    return values(await readToEnd(loop, at));
  } finally {
    await loop.close();
  }
}

/** In version 2 the brokers add the partitions themselves. */
function isAskedFor(apiKey: number, level: number): boolean {
  return level === 1 || apiKey !== addPartitionsToTxn;
}

describe.each([1, 2])('transactions of version %i: is asked again until it is done', (level) => {
  it.each([
    ['ApiVersions', apiVersions, []],
    ['InitProducerId', initProducerId, [51, 14, 15, 16]],
    ['AddPartitionsToTxn', addPartitionsToTxn, [51, 51, 14, 15, 16, 3]],
    ['AddPartitionsToTxn, its answer lost', addPartitionsToTxn, ['cut', 'cut']],
    ['Produce', produce, [6, 19, 51]],
    ['Produce, its answer lost', produce, ['cut', 'cut']],
    ['EndTxn', endTxn, [51, 14, 15, 16]],
    ['EndTxn, its answer lost', endTxn, ['cut', 'cut', 16]],
  ] as const)('%s', async (_name, apiKey, faults) => {
    if (!isAskedFor(apiKey, level) || (level === 1 && faults[0] === 'cut' && apiKey === endTxn)) return;
    const scene = await newScene(level);
    const { at, lane } = scene;
    scene.fault(apiKey, faults);
    await lane.commit([encoded(at, ['a', 'b'])]);
    expect(scene.asked()).toBeGreaterThan(faults.length);
    await lane.commit([encoded(at, ['c'])]);
    expect(await committed(scene)).toEqual(['a', 'b', 'c']);
  });

  it('a fence too, and it says where its record is, though the answer was lost', async () => {
    const scene = await newScene(level);
    scene.fault(produce, ['cut', 7]);
    // Behind the fence of the scene and its marker.
    expect(await scene.lane.fence(scene.at)).toBe(2);
    await scene.lane.commit([encoded(scene.at, ['a'])]);
    expect(await committed(scene)).toEqual(['a']);
  });
});

describe.each([1, 2])('transactions of version %i: is the end of the lane', (level) => {
  it.each([
    ['InitProducerId', initProducerId, 47, true],
    ['InitProducerId', initProducerId, 53, false],
    ['InitProducerId, its answer lost', initProducerId, 'cut', false],
    ['AddPartitionsToTxn', addPartitionsToTxn, 47, true],
    ['AddPartitionsToTxn', addPartitionsToTxn, 90, true],
    ['AddPartitionsToTxn', addPartitionsToTxn, 48, false],
    ['AddPartitionsToTxn', addPartitionsToTxn, 49, false],
    ['Produce', produce, 47, true],
    ['Produce', produce, 90, true],
    ['Produce', produce, 45, false],
    ['Produce', produce, 48, false],
    ['Produce', produce, 120, false],
    ['Produce, at its first sight', produce, 46, false],
    ['Produce', produce, 10, false],
    ['EndTxn', endTxn, 47, true],
    ['EndTxn', endTxn, 90, true],
    ['EndTxn', endTxn, 48, false],
    ['EndTxn', endTxn, 49, false],
    ['EndTxn', endTxn, 120, false],
    ['EndTxn, its answer lost', endTxn, 'cut', false],
  ] as const)('%s: %s', async (_name, apiKey, fault, isFenced) => {
    if (!isAskedFor(apiKey, level) || (level === 2 && fault === 'cut' && apiKey === endTxn)) return;
    const scene = await newScene(level);
    const { at, lane } = scene;
    scene.fault(apiKey, [fault]);
    const error: unknown = await lane.commit([encoded(at, ['a'])]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
    expect(lane.isFenced(error)).toBe(isFenced);
    expect(scene.asked()).toBe(1);
    await expect(lane.commit([encoded(at, ['b'])])).rejects.toMatchObject({ code: 'LANE_CLOSED' });
    // Only EndTxn had committed, and the broker had done so before the proxy changed its word.
    expect(await committed(scene)).toEqual(apiKey === endTxn ? ['a'] : []);
  });

  it('what one partition was refused for is what is told, not that the others were not attempted', async () => {
    if (level === 2) return;
    const { at, lane, fault } = await newScene(level);
    fault(addPartitionsToTxn, [[55, 29]]);
    const error: unknown = await lane
      .commit([encoded(at, ['a']), encoded({ ...at, partition: 1 }, ['b'])])
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'TRANSACTION_IN_DOUBT', cause: { code: 29 } });
  });
});
