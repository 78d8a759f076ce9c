import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient, TopicPartition, TransactionLane } from '../../src/kafka/log-port.ts';
import { configureLog } from '../../src/ops/log.ts';
import { replaceCode, replaceTransactionVersion } from '../support/kafka-answers.ts';
import { KAFKA_API, KafkaProxy, type Verdict } from '../support/kafka-proxy.ts';
import { encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// What a transaction makes of each answer of its coordinator. The broker is a real one, and has done what it was asked when a proxy changes
// what it says: so a call that is repeated must be one that may be repeated. Both versions of transactions: the broker speaks the second one, and
// the proxy can make it say that it does not.

configureLog({ level: 'silent', format: 'json' });

const { addPartitionsToTxn, apiVersions, findCoordinator, metadata, produce, endTxn, initProducerId } = KAFKA_API;
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
  /** How often each kind of request was sent. */
  readonly requests: ReadonlyMap<number, number>;
  /** How often the call was asked for since `fault` was set. */
  asked(): number;
  /** Does this to the first answers to one kind of request: an error code to say instead, one for each partition, or a verdict. */
  fault(apiKey: number, faults: readonly (number | readonly number[] | Verdict)[]): void;
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
  const requests = new Map<number, number>();
  let faulty = -1;
  let faults: Parameters<Scene['fault']>[1] = [];
  let answers = 0;
  const lane = log.transactionLane({ transactionalId, transactionTimeoutMs: 20_000 });
  const scene: Scene = {
    ...{ at, lane, transactionalId, requests },
    asked: () => answers,
    fault(apiKey, next) {
      [faulty, faults, answers] = [apiKey, next, 0];
    },
  };
  proxy.onRequest = (exchange) => {
    requests.set(exchange.apiKey, (requests.get(exchange.apiKey) ?? 0) + 1);
    return 'pass';
  };
  proxy.onResponse = (exchange) => {
    replaceTransactionVersion(exchange, level);
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

const BOTH = [1, 2];
/** In version 2 the brokers add the partitions themselves. */
const FIRST = [1];
const SECOND = [2];

const REPEATED: readonly { name: string; apiKey: number; faults: readonly (number | Verdict)[]; levels: readonly number[] }[] = [
  { name: 'InitProducerId', apiKey: initProducerId, faults: [51, 14, 15, 16], levels: BOTH },
  { name: 'AddPartitionsToTxn', apiKey: addPartitionsToTxn, faults: [51, 51, 14, 15, 16, 3], levels: FIRST },
  { name: 'AddPartitionsToTxn, its answer lost', apiKey: addPartitionsToTxn, faults: ['cut', 'cut'], levels: FIRST },
  { name: 'Produce', apiKey: produce, faults: [6, 19, 51], levels: BOTH },
  { name: 'Produce, its answer lost', apiKey: produce, faults: ['cut', 'cut'], levels: BOTH },
  { name: 'EndTxn', apiKey: endTxn, faults: [51, 14, 15, 16], levels: BOTH },
  { name: 'EndTxn, its answer lost', apiKey: endTxn, faults: ['cut', 'cut', 16], levels: SECOND },
];

describe.each([1, 2])('transactions of version %i: is asked again until it is done', (level) => {
  it.each(REPEATED.filter(({ levels }) => levels.includes(level)))('$name', async ({ apiKey, faults }) => {
    const scene = await newScene(level);
    const { at, lane } = scene;
    scene.fault(apiKey, faults);
    await lane.commit([encoded(at, ['a', 'b'])]);
    expect(scene.asked()).toBeGreaterThan(faults.length);
    await lane.commit([encoded(at, ['c'])]);
    expect(await committed(scene)).toEqual(['a', 'b', 'c']);
  });

  it('without looking for who leads, where it only has to wait for the markers of the transaction before', async () => {
    const scene = await newScene(level);
    const { at, lane, requests } = scene;
    await lane.commit([encoded(at, ['a'])]);
    const lookUps = (): number[] => [metadata, findCoordinator, apiVersions].map((apiKey) => requests.get(apiKey) ?? 0);
    const before = lookUps();
    for (const apiKey of level === 1 ? [addPartitionsToTxn, produce, endTxn] : [produce, endTxn]) {
      scene.fault(apiKey, [51]);
      await lane.commit([encoded(at, ['b'])]);
    }
    expect(lookUps()).toEqual(before);
    expect(await committed(scene)).toEqual(level === 1 ? ['a', 'b', 'b', 'b'] : ['a', 'b', 'b']);
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

const FINAL: readonly { name: string; apiKey: number; fault: number | Verdict; isFenced: boolean; levels: readonly number[] }[] = [
  { name: 'InitProducerId', apiKey: initProducerId, fault: 47, isFenced: true, levels: BOTH },
  { name: 'InitProducerId', apiKey: initProducerId, fault: 53, isFenced: false, levels: BOTH },
  { name: 'InitProducerId, its answer lost', apiKey: initProducerId, fault: 'cut', isFenced: false, levels: BOTH },
  ...[47, 90].map((fault) => ({ name: 'AddPartitionsToTxn', apiKey: addPartitionsToTxn, fault, isFenced: true, levels: FIRST })),
  ...[48, 49].map((fault) => ({ name: 'AddPartitionsToTxn', apiKey: addPartitionsToTxn, fault, isFenced: false, levels: FIRST })),
  ...[47, 90].map((fault) => ({ name: 'Produce', apiKey: produce, fault, isFenced: true, levels: BOTH })),
  ...[10, 45, 48].map((fault) => ({ name: 'Produce', apiKey: produce, fault, isFenced: false, levels: BOTH })),
  { name: 'Produce', apiKey: produce, fault: 120, isFenced: false, levels: SECOND },
  { name: 'Produce, at its first sight', apiKey: produce, fault: 46, isFenced: false, levels: BOTH },
  ...[47, 90].map((fault) => ({ name: 'EndTxn', apiKey: endTxn, fault, isFenced: true, levels: BOTH })),
  ...[48, 49].map((fault) => ({ name: 'EndTxn', apiKey: endTxn, fault, isFenced: false, levels: BOTH })),
  { name: 'EndTxn', apiKey: endTxn, fault: 120, isFenced: false, levels: SECOND },
  { name: 'EndTxn, its answer lost', apiKey: endTxn, fault: 'cut', isFenced: false, levels: FIRST },
];

describe.each([1, 2])('transactions of version %i: is the end of the lane', (level) => {
  it.each(FINAL.filter(({ levels }) => levels.includes(level)))('$name: $fault', async ({ apiKey, fault, isFenced }) => {
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

  it.runIf(level === 1)('what one partition was refused for is what is told, not that the others were not attempted', async () => {
    const { at, lane, fault } = await newScene(level);
    fault(addPartitionsToTxn, [[55, 29]]);
    const error: unknown = await lane
      .commit([encoded(at, ['a']), encoded({ ...at, partition: 1 }, ['b'])])
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'TRANSACTION_IN_DOUBT', cause: { code: 29 } });
  });
});
