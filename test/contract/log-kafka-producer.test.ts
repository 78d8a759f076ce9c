import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ClusterRequests } from '../../src/kafka/cluster-requests.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { openCluster } from '../../src/kafka/kafkajs-internals.ts';
import type { LogClient, ProduceLane, TopicPartition } from '../../src/kafka/log-port.ts';
import { outgoingBatches } from '../../src/kafka/outgoing-batch.ts';
import { ProducerSession } from '../../src/kafka/producer-session.ts';
import { configureLog } from '../../src/ops/log.ts';
import { firstBatchOf, type RequestedBatch, replaceCode } from '../support/kafka-answers.ts';
import { KAFKA_API, KafkaProxy, type Verdict } from '../support/kafka-proxy.ts';
import { faultSeed, seededRandom } from '../support/kill-schedule.ts';
import { encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// Sequence numbers: what was sent is in the log once, whatever became of its answer, and a number is never used for something else. The
// broker is a real one; a proxy loses its answers, or changes what they say.

configureLog({ level: 'silent', format: 'json' });

const isSoak = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1) > 1;
const READ = { name: 'reader', maxWaitMs: 50, maxBytesPerPartition: 1_048_576, isolation: 'committed' } as const;

let direct: LogClient;
beforeAll(() => {
  direct = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: 'producer' });
});
afterAll(async () => {
  await direct.close();
});

/** What the proxy does to the nth answer to a Produce request, from 1: an error code to say instead, or a verdict. */
type Fault = (nth: number) => number | Verdict;

/** A topic, and a proxy in front of its broker that notes what is asked. */
class Scene {
  readonly at: TopicPartition;
  readonly proxy: KafkaProxy;
  readonly asked: RequestedBatch[] = [];
  inits = 0;
  #answers = 0;
  #fault: Fault = () => 'pass';

  private constructor(at: TopicPartition, proxy: KafkaProxy) {
    this.at = at;
    this.proxy = proxy;
    proxy.onRequest = (exchange) => {
      const { apiKey } = exchange;
      if (apiKey === KAFKA_API.produce) this.asked.push(firstBatchOf(exchange));
      if (apiKey === KAFKA_API.initProducerId) this.inits++;
      return 'pass';
    };
    proxy.onResponse = (exchange) => {
      if (exchange.apiKey !== KAFKA_API.produce) return 'pass';
      const fault = this.#fault(++this.#answers);
      if (typeof fault === 'string') return fault;
      replaceCode(exchange, fault);
      return 'pass';
    };
  }

  static async create(): Promise<Scene> {
    const topic = freshName('producer');
    await direct.admin().createTopics([{ name: topic, partitions: 2, replicationFactor: 1, configs: {} }]);
    // A broker that has not heard of a new topic yet answers with errors of its own. This writes nothing that is read.
    const settling = direct.transactionLane({ transactionalId: topic, transactionTimeoutMs: 20_000 });
    for (const partition of [0, 1]) await settling.fence({ topic, partition });
    await settling.close();
    const proxy = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]! });
    onTestFinished(() => proxy.close().catch(() => undefined));
    return new Scene({ topic, partition: 0 }, proxy);
  }

  /** From the next answer on. */
  set fault(fault: Fault) {
    this.#answers = 0;
    this.#fault = fault;
  }

  lane(acks: 'all' | 'leader' = 'all'): ProduceLane {
    const log = createKafkaLog({ brokers: [this.proxy.address], clientId: 'producer' });
    onTestFinished(() => log.close());
    return log.produceLane({ name: 'lane', acks });
  }

  async written(at = this.at): Promise<(string | null)[]> {
    const loop = direct.fetchLoop(READ);
    try {
      return values(await readToEnd(loop, at));
    } finally {
      await loop.close();
    }
  }
}

describe('an answer to a Produce request', () => {
  it.each([2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 51, 56, 74, 75])('%i: the same is sent again, by the same producer', async (code) => {
    const scene = await Scene.create();
    const lane = scene.lane();
    await lane.send([encoded(scene.at, ['a', 'b'])]);
    scene.fault = (nth) => (nth <= 2 ? code : 'pass');
    await lane.send([encoded(scene.at, ['c'])]);
    await lane.send([encoded(scene.at, ['d'])]);
    expect(scene.asked.map(({ firstSequence }) => firstSequence)).toEqual([0, 2, 2, 2, 3]);
    expect(scene.asked[2]!.bytes).toEqual(scene.asked[1]!.bytes);
    expect(scene.inits).toBe(1);
    expect(await scene.written()).toEqual(['a', 'b', 'c', 'd']);
  });

  it.each([-1, 29, 42, 45, 47, 48, 59, 87, 90, 4_711])('%i: a new producer sends it, and nothing is lost', async (code) => {
    const scene = await Scene.create();
    const lane = scene.lane();
    await lane.send([encoded(scene.at, ['a'])]);
    scene.fault = (nth) => (nth === 1 ? code : 'pass');
    await lane.send([encoded(scene.at, ['b'])]);
    await lane.send([encoded(scene.at, ['c'])]);
    expect(scene.inits).toBe(2);
    expect(scene.asked.map(({ firstSequence }) => firstSequence)).toEqual([0, 1, 0, 1]);
    expect(scene.asked[2]!.producerId).not.toBe(scene.asked[1]!.producerId);
    // The broker had taken it before the proxy changed its word.
    expect(await scene.written()).toEqual(['a', 'b', 'b', 'c']);
  });

  it('46: what was sent before is in the log; what was not is sent by a new producer', async () => {
    const scene = await Scene.create();
    const lane = scene.lane();
    scene.fault = (nth) => ({ 1: 7, 2: 46 })[nth] ?? 'pass';
    await lane.send([encoded(scene.at, ['a'])]);
    expect([scene.asked.length, scene.inits]).toEqual([2, 1]);
    scene.fault = (nth) => (nth === 1 ? 46 : 'pass');
    await lane.send([encoded(scene.at, ['b'])]);
    expect([scene.asked.length, scene.inits]).toEqual([4, 2]);
    await lane.send([encoded(scene.at, ['c'])]);
    expect(await scene.written()).toEqual(['a', 'b', 'b', 'c']);
  });

  it('10 for what may have been taken before: its number is not used for anything else', async () => {
    const scene = await Scene.create();
    const lane = scene.lane();
    scene.fault = (nth) => ({ 1: 6, 2: 10 })[nth] ?? 'pass';
    await expect(lane.send([encoded(scene.at, ['a'])])).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' });
    // As many records, so that the broker would take them for those that it has.
    await lane.send([encoded(scene.at, ['b'])]);
    expect(scene.inits).toBe(2);
    expect(await scene.written()).toEqual(['a', 'b']);
  });

  it('that refuses one partition of a request leaves the others acknowledged', async () => {
    const scene = await Scene.create();
    const lane = scene.lane();
    const other = { ...scene.at, partition: 1 };
    scene.fault = (nth) => (nth === 1 ? 6 : 'pass');
    // Of two batches for one partition the second waits for the first.
    await lane.send([encoded(scene.at, ['a']), encoded(other, ['x']), encoded(scene.at, ['b'])]);
    expect(scene.asked).toHaveLength(3);
    expect(await scene.written()).toEqual(['a', 'b']);
    expect(await scene.written(other)).toEqual(['x']);
  });

  it('without idempotence is repeated too, and what the broker had is there twice', async () => {
    const scene = await Scene.create();
    const lane = scene.lane('leader');
    scene.fault = (nth) => (nth === 1 ? 6 : 'pass');
    await lane.send([encoded(scene.at, ['a'])]);
    expect(scene.inits).toBe(0);
    expect(scene.asked.map(({ producerId, firstSequence }) => [producerId, firstSequence])).toEqual([
      [-1n, -1],
      [-1n, -1],
    ]);
    expect(await scene.written()).toEqual(['a', 'a']);
  });
});

describe('answers and requests that get lost', () => {
  const seed = faultSeed();

  it(`at random, in two partitions: everything once, in its order, seed ${seed}`, async () => {
    const scene = await Scene.create();
    const other = { ...scene.at, partition: 1 };
    const random = seededRandom(seed);
    const lane = scene.lane();
    scene.fault = () => (random() < 0.3 ? 'cut' : 'pass');
    const sent: [string[], string[]] = [[], []];
    for (let i = 0; i < 60; i++) {
      const batches = [0, 1, 0].map((partition, k) => {
        const texts = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, n) => `${i}-${k}-${n}`);
        sent[partition as 0 | 1].push(...texts);
        return encoded(partition === 0 ? scene.at : other, texts);
      });
      if (random() < 0.1) scene.proxy.cutAll();
      await lane.send(batches.slice(0, 3));
    }
    expect(scene.inits).toBe(1);
    expect(scene.asked.length).toBeGreaterThan(125);
    expect(await scene.written()).toEqual(sent[0]);
    expect(await scene.written(other)).toEqual(sent[1]);
  });

  it('before the broker is away for a while: the same producer waits for it', async () => {
    const scene = await Scene.create();
    const lane = scene.lane();
    await lane.send([encoded(scene.at, ['a'])]);
    const { proxy } = scene;
    const { promise: isAway, resolve: goAway } = Promise.withResolvers<void>();
    scene.fault = () => {
      goAway();
      return 'cut';
    };
    const sending = lane.send([encoded(scene.at, ['b'])]);
    await isAway;
    const port = Number(proxy.address.split(':')[1]);
    await proxy.close();
    await sleep(2_000);
    const { onRequest } = proxy;
    const back = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]!, port, onRequest });
    onTestFinished(() => back.close());
    await sending;
    await lane.send([encoded(scene.at, ['c'])]);
    expect(scene.inits).toBe(1);
    expect(await scene.written()).toEqual(['a', 'b', 'c']);
  });

  // The library waits 30 s for an answer on a connection that stays.
  it.skipIf(!isSoak)('on a connection that stays: the same, on a new one', { timeout: 120_000 }, async () => {
    const scene = await Scene.create();
    const lane = scene.lane();
    scene.fault = (nth) => (nth === 2 ? 'drop' : 'pass');
    for (const value of ['a', 'b', 'c']) await lane.send([encoded(scene.at, [value])]);
    expect([scene.asked.length, scene.inits]).toEqual([4, 1]);
    expect(await scene.written()).toEqual(['a', 'b', 'c']);
  });
});

/** A producer whose sequence numbers begin shortly before the largest one. */
function wrappingSession({ proxy }: Scene, numbers: { firstSequence: number; repeatsMax: number }): ProducerSession {
  const handle = openCluster({ brokers: [proxy.address], clientId: 'wrap' }, { initialRetryTime: 50, maxRetryTime: 500, retries: 3 });
  onTestFinished(() => handle.destroy(new Error('the test is over')));
  const backOff = { firstMs: 5, maxMs: 100 };
  return new ProducerSession(new ClusterRequests(handle), {
    name: 'wrap',
    acks: -1,
    identity: null,
    outlastsOutages: false,
    backOff,
    ...numbers,
  });
}

describe('the largest sequence number', () => {
  it('is followed by 0, in the middle of a batch and when its answer is lost', async () => {
    const scene = await Scene.create();
    const session = wrappingSession(scene, { firstSequence: 2 ** 31 - 7, repeatsMax: 15 });
    const send = async (...texts: string[]) => session.produce(await outgoingBatches([encoded(scene.at, texts)], null));
    scene.fault = (nth) => (nth % 2 === 0 ? 'cut' : 'pass');
    await send('a', 'b', 'c', 'd');
    await send('e', 'f', 'g', 'h', 'i');
    await send('j');
    await send('k', 'l');
    expect(await scene.written()).toEqual('abcdefghijkl'.split(''));
    expect([...new Set(scene.asked.map(({ firstSequence }) => firstSequence))]).toEqual([2 ** 31 - 7, 2 ** 31 - 3, 2, 3]);
    expect(scene.asked.length).toBeGreaterThan(6);
  });

  it('itself begins a batch', async () => {
    const scene = await Scene.create();
    const session = wrappingSession(scene, { firstSequence: 2 ** 31 - 2, repeatsMax: 0 });
    for (const text of ['a', 'b', 'c']) await session.produce(await outgoingBatches([encoded(scene.at, [text])], null));
    expect(scene.asked.map(({ firstSequence }) => firstSequence)).toEqual([2 ** 31 - 2, 2 ** 31 - 1, 0]);
    expect(await scene.written()).toEqual(['a', 'b', 'c']);
  });
});
