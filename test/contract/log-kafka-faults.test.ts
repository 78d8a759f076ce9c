import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { KafkaFetchLoop } from '../../src/kafka/fetch-loop.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import { configureLog } from '../../src/ops/log.ts';
import { ConnectionCutter } from '../support/connection-cutter.ts';
import { acksOf, renamePartition, replaceTransactionVersion } from '../support/kafka-answers.ts';
import { KAFKA_API, type KafkaExchange, KafkaProxy } from '../support/kafka-proxy.ts';
import { encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// What the real log's clients do when connections break, offsets are gone and topics are missing.

configureLog({ level: 'silent', format: 'json' });

const READ = { name: 'reader', maxWaitMs: 50, maxBytesPerPartition: 1_048_576, isolation: 'committed' } as const;

let client: LogClient;

async function newTopic(): Promise<string> {
  const topic = freshName('faults');
  await client.admin().createTopics([{ name: topic, partitions: 2, replicationFactor: 1, configs: {} }]);
  return topic;
}

function newCutter(): ConnectionCutter {
  return new ConnectionCutter(Number(stack().kafkaBrokers[0]!.split(':').at(-1)));
}

/** A pseudo-random number in [0, 1), the same in each run. */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

beforeAll(() => {
  client = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: 'faults' });
});
afterAll(async () => {
  await client.close();
});

describe('what a lane asks of the broker', () => {
  async function acksSentBy(send: (log: LogClient, topic: string) => Promise<void>): Promise<Set<number>> {
    const topic = await newTopic();
    const acks = new Set<number>();
    const proxy = await KafkaProxy.start({
      broker: stack().kafkaBrokers[0]!,
      onRequest: (exchange) => {
        if (exchange.apiKey === KAFKA_API.produce) acks.add(acksOf(exchange));
        return 'pass';
      },
    });
    const log = createKafkaLog({ brokers: [proxy.address], clientId: 'acks' });
    try {
      await send(log, topic);
    } finally {
      await log.close();
      await proxy.close();
    }
    return acks;
  }

  it.each([
    ['all', -1],
    ['leader', 1],
  ] as const)('a produce lane with acks=%s sends %i', async (acks, onTheWire) => {
    const sent = await acksSentBy(async (log, topic) => {
      const lane = log.produceLane({ name: 'acks', acks });
      await lane.send([encoded({ topic, partition: 0 }, ['a'])]);
    });
    expect(sent).toEqual(new Set([onTheWire]));
  });

  it('a transaction waits for all replicas', async () => {
    const sent = await acksSentBy(async (log, topic) => {
      const lane = log.transactionLane({ transactionalId: freshName('acks'), transactionTimeoutMs: 20_000 });
      await lane.fence({ topic, partition: 0 });
      await lane.commit([encoded({ topic, partition: 1 }, ['a'])]);
    });
    expect(sent).toEqual(new Set([-1]));
  });
});

describe('an answer that leaves a partition out', () => {
  /** The first answer to a Produce after `breakNext` is wrong. Not counted from the start: a topic just created is sent to more than once at times. */
  async function startProxy() {
    let answers = 0;
    let isNextWrong = false;
    const proxy = await KafkaProxy.start({
      broker: stack().kafkaBrokers[0]!,
      onResponse: (exchange) => {
        if (exchange.apiKey !== KAFKA_API.produce) return 'pass';
        answers++;
        if (isNextWrong) renamePartition(exchange);
        isNextWrong = false;
        return 'pass';
      },
    });
    const breakNext = (): void => {
      answers = 0;
      isNextWrong = true;
    };
    return { proxy, breakNext, answersSince: () => answers };
  }

  it('acknowledges nothing: a produce lane sends again', async () => {
    const at = { topic: await newTopic(), partition: 0 };
    const { proxy, breakNext, answersSince } = await startProxy();
    const log = createKafkaLog({ brokers: [proxy.address], clientId: 'left-out' });
    const lane = log.produceLane({ name: 'left-out', acks: 'all' });
    await lane.send([encoded(at, ['a'])]);
    breakNext();
    await lane.send([encoded(at, ['b'])]);
    expect(answersSince()).toBe(2);
    await log.close();
    await proxy.close();
  });

  it('commits nothing: the transaction is in doubt, and aborted', async () => {
    const at = { topic: await newTopic(), partition: 0 };
    const { proxy, breakNext } = await startProxy();
    const log = createKafkaLog({ brokers: [proxy.address], clientId: 'left-out' });
    const transactionalId = freshName('left-out');
    const lane = log.transactionLane({ transactionalId, transactionTimeoutMs: 20_000 });
    await lane.fence({ ...at, partition: 1 });
    breakNext();
    await expect(lane.commit([encoded(at, ['a'])])).rejects.toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
    await log.close();
    await proxy.close();
    const next = client.transactionLane({ transactionalId, transactionTimeoutMs: 20_000 });
    await next.fence({ ...at, partition: 1 });
    await next.close();
    const loop = client.fetchLoop(READ);
    expect(values(await readToEnd(loop, at))).toEqual([]);
    await loop.close();
  });
});

describe('connections cut at any moment', () => {
  it('lose nothing that a produce lane acknowledged, and keep its order', async () => {
    const at = { topic: await newTopic(), partition: 0 };
    const cutter = newCutter();
    const random = makeRandom(1);
    const lane = client.produceLane({ name: 'cut', acks: 'all' });
    const sent = Array.from({ length: 60 }, (_, i) => `v${i}`);
    for (const value of sent) {
      const sending = lane.send([encoded(at, [value])]);
      if (random() < 0.4) setTimeout(() => cutter.cutAll(), random() * 4);
      await sending;
    }
    cutter.stop();
    expect(cutter.cuts).toBeGreaterThan(5);
    const read = values(await readToEnd(client.fetchLoop(READ), at));
    // Repeated, because a lost acknowledgement is sent again; but each is there, and first sights are in order.
    expect([...new Set(read)]).toEqual(sent);
  });

  it.each([1, 2])('leave each transaction of version %i done or not done, and a fence tells which', async (version) => {
    const topic = await newTopic();
    const id = freshName('tx');
    const onResponse = (exchange: KafkaExchange): 'pass' => {
      replaceTransactionVersion(exchange, version);
      // Cuts at any moment seldom hit the answer to an end, which is what makes a doubt.
      if (version === 2 && exchange.apiKey === KAFKA_API.endTxn && random() < 0.3) {
        cutter.cutAll();
        endsCut++;
      }
      return 'pass';
    };
    let endsCut = 0;
    const random = makeRandom(2);
    const proxy = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]!, onResponse });
    onTestFinished(() => proxy.close());
    const log = createKafkaLog({ brokers: [proxy.address], clientId: 'cut' });
    onTestFinished(() => log.close());
    const cutter = new ConnectionCutter(Number(proxy.address.split(':')[1]));
    const loop = client.fetchLoop({ ...READ, maxWaitMs: 1 });
    const newLane = () => log.transactionLane({ transactionalId: id, transactionTimeoutMs: 20_000 });
    const inDoubt = { committed: 0, aborted: 0 };
    let lane = newLane();
    await lane.fence({ topic, partition: 0 });
    let done = 0;
    // In version 2 nothing is in doubt for a connection that is lost.
    const most = version === 1 ? 400 : 60;
    for (let i = 0; done < most && inDoubt.committed + inDoubt.aborted < 5; i++) {
      const slice = [encoded({ topic, partition: 0 }, [`a${i}`]), encoded({ topic, partition: 1 }, [`b${i}`, `c${i}`])];
      const committing = lane.commit(slice);
      if (random() < 0.8) setTimeout(() => cutter.cutAll(), random() * 8);
      try {
        await committing;
      } catch {
        if (await settleDoubt(i)) inDoubt.committed++;
        else {
          inDoubt.aborted++;
          i--;
        }
      }
      done = i + 1;
    }
    cutter.stop();

    /** What the aggregator does: a new lane, fence, read up to the fence. */
    async function settleDoubt(i: number): Promise<boolean> {
      await lane.close();
      for (;;) {
        lane = newLane();
        try {
          await lane.fence({ topic, partition: 0 });
          break;
        } catch {
          await lane.close();
        }
      }
      return values(await readToEnd(loop, { topic, partition: 0 })).includes(`a${i}`);
    }

    expect(cutter.cuts).toBeGreaterThan(5);
    if (version === 1) expect(inDoubt.committed + inDoubt.aborted).toBe(5);
    else {
      expect(endsCut).toBeGreaterThan(5);
      expect(inDoubt).toEqual({ committed: 0, aborted: 0 });
    }
    const expected = Array.from({ length: done }, (_, i) => i);
    expect(values(await readToEnd(loop, { topic, partition: 0 }))).toEqual(expected.map((i) => `a${i}`));
    expect(values(await readToEnd(loop, { topic, partition: 1 }))).toEqual(expected.flatMap((i) => [`b${i}`, `c${i}`]));
    await loop.close();
  });

  it('are taken up again by a fetch loop and a membership', async () => {
    const topic = await newTopic();
    const cutter = newCutter();
    const assignments: (readonly number[])[] = [];
    const failures: Error[] = [];
    const membership = client.membership({ groupId: freshName('group'), topic, sessionTimeoutMs: 10_000, evictOwnClientId: true });
    await membership.start({ onAssigned: (partitions) => assignments.push(partitions), onFailed: (error) => failures.push(error) });
    const loop = client.fetchLoop({ ...READ, name: 'cut' });
    const cursors = [0, 1].map((partition) => loop.open({ topic, partition }, 0));
    for (let round = 0; round < 5; round++) {
      await Promise.all(cursors.map((cursor) => cursor.next()));
      cutter.cutAll();
    }
    cutter.stop();
    await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded({ topic, partition: 1 }, ['after'])]);
    let fetched = await cursors[1]!.next();
    while (fetched.batches.length === 0) fetched = await cursors[1]!.next();
    await membership.confirm(20_000);
    expect(failures).toEqual([]);
    expect(assignments.at(-1)).toEqual([0, 1]);
    await membership.stop(5000);
    await loop.close();
  });
});

describe('an owner that died in the middle of a transaction', () => {
  it('is cleared away by a fence, at once, for readers too', async () => {
    const at = { topic: await newTopic(), partition: 0 };
    const id = freshName('tx');
    const cutter = newCutter();
    const dead = client.transactionLane({ transactionalId: id, transactionTimeoutMs: 60_000 });
    await dead.fence(at);
    // Cut over and over until one transaction is left open behind the records that it wrote.
    const loop = client.fetchLoop({ ...READ, name: 'dead' });
    const committing = dead.commit([encoded(at, ['open'])]).then(
      () => 'committed',
      () => 'in doubt',
    );
    const cutting = setInterval(() => cutter.cutAll(), 1);
    const outcome = await committing;
    clearInterval(cutting);
    cutter.stop();
    const startedAtMs = performance.now();
    const owner = client.transactionLane({ transactionalId: id, transactionTimeoutMs: 60_000 });
    const fenceOffset = await owner.fence(at);
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
    const cursor = loop.open(at, 0);
    let fetched = await cursor.next();
    while (fetched.batches.length > 0) fetched = await cursor.next();
    expect(fetched.lastStableOffset).toBeGreaterThan(fenceOffset);
    if (outcome === 'committed') expect(values(await readToEnd(loop, at))).toEqual(['open']);
    await loop.close();
  });
});

describe('offsets and topics that are not there', () => {
  it('an offset beyond the end is asked for again for a while, then refused', async () => {
    const topic = await newTopic();
    const address = { brokers: stack().kafkaBrokers, clientId: 'faults' };
    const loop = new KafkaFetchLoop(address, { ...READ, outOfRangePatienceMs: 300 });
    const cursor = loop.open({ topic, partition: 0 }, 5);
    const startedAtMs = performance.now();
    await expect(cursor.next()).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE', details: { topic, partition: 0, offset: 5 } });
    expect(performance.now() - startedAtMs).toBeGreaterThan(290);
    await expect(cursor.next()).rejects.toMatchObject({ code: 'OFFSET_OUT_OF_RANGE' });
    await loop.close();
  });

  it('an offset that comes into being while it is asked for is read', async () => {
    const at = { topic: await newTopic(), partition: 0 };
    const loop = client.fetchLoop({ ...READ, name: 'late' });
    const waiting = loop.open(at, 2).next();
    await client.produceLane({ name: 'lane', acks: 'all' }).send([encoded(at, ['a', 'b', 'c'])]);
    expect((await waiting).fetchOffset).toBe(2);
    await loop.close();
  });

  it('a topic that is created later is found then, by cursors and lanes, and does not hold others up', async () => {
    const there = await newTopic();
    const later = freshName('later');
    const loop = client.fetchLoop({ ...READ, name: 'later' });
    const waiting = loop.open({ topic: later, partition: 0 }, 0).next();
    const lane = client.produceLane({ name: 'lane', acks: 'all' });
    const sending = lane.send([encoded({ topic: later, partition: 0 }, ['a'])]);
    expect(await readToEnd(loop, { topic: there, partition: 0 })).toEqual([]);
    await client.admin().createTopics([{ name: later, partitions: 1, replicationFactor: 1, configs: {} }]);
    await sending;
    await waiting;
    expect(values(await readToEnd(loop, { topic: later, partition: 0 }))).toEqual(['a']);
    await loop.close();
  });

  it('nobody answering is said so by the admin', async () => {
    const unreachable = createKafkaLog({ brokers: ['127.0.0.1:1'], clientId: 'faults' });
    await expect(unreachable.admin().describeTopics(['t'])).rejects.toMatchObject({ code: 'KAFKA_UNREACHABLE', exitCode: 3 });
    await unreachable.close();
  });
});
