import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogClient, TopicPartition, TransactionLane } from '../../src/kafka/log-port.ts';
import { startKafka } from '../../src/local-stack/kafka.ts';
import { configureLog } from '../../src/ops/log.ts';
import { firstBatchOf, isCommit, type RequestedBatch, replaceTransactionVersion } from '../support/kafka-answers.ts';
import { KAFKA_API, type KafkaExchange, KafkaProxy } from '../support/kafka-proxy.ts';
import { encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { raiseEpoch } from '../support/producer-epochs.ts';
import { freshName, stack } from '../support/stack.ts';

// Transactions of version 2 (decision 0025): the brokers add the partitions, each transaction has an epoch of its own, and an end whose
// answer got lost is asked for again. The broker is a real one that speaks it; a proxy can make it say that its cluster does not.

configureLog({ level: 'silent', format: 'json' });

const { addPartitionsToTxn, endTxn, initProducerId, produce } = KAFKA_API;
const isSoak = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1) > 1;
/** Of the largest 16-bit number the broker keeps one for its own fence. */
const LAST_EPOCH = 2 ** 15 - 2;
const READ = { name: 'reader', maxWaitMs: 50, maxBytesPerPartition: 1_048_576, isolation: 'committed' } as const;

/** A topic, and clients that see its cluster through a proxy of their own, with the version that it is to name. */
class Scene {
  readonly at: TopicPartition = { topic: freshName('version'), partition: 0 };
  readonly transactionalId = freshName('version');

  readonly #broker: string;
  readonly #direct: LogClient;

  private constructor(broker: string) {
    this.#broker = broker;
    this.#direct = createKafkaLog({ brokers: [broker], clientId: 'version' });
    onTestFinished(() => this.close());
  }

  static async create(brokers = stack().kafkaBrokers): Promise<Scene> {
    const scene = new Scene(brokers[0]!);
    const { topic } = scene.at;
    await scene.#direct.admin().createTopics([{ name: topic, partitions: 2, replicationFactor: 1, configs: {} }]);
    // A broker that has not heard of a new topic yet answers with errors of its own. This writes nothing that is read.
    const settling = scene.#direct.transactionLane({ transactionalId: topic, transactionTimeoutMs: 20_000 });
    for (const partition of [0, 1]) await settling.fence({ topic, partition });
    await settling.close();
    return scene;
  }

  /** Null: the cluster says for itself what it speaks. */
  async view(level: number | null): Promise<View> {
    const proxy = await KafkaProxy.start({ broker: this.#broker });
    onTestFinished(() => proxy.close());
    const log = createKafkaLog({ brokers: [proxy.address], clientId: freshName('view') });
    onTestFinished(() => log.close());
    return new View(proxy, () => log.transactionLane({ transactionalId: this.transactionalId, transactionTimeoutMs: 20_000 }), level);
  }

  /** Without a proxy. */
  lane(): TransactionLane {
    return this.#direct.transactionLane({ transactionalId: this.transactionalId, transactionTimeoutMs: 20_000 });
  }

  close(): Promise<void> {
    return this.#direct.close();
  }

  /** What a reader of committed records sees once every transaction of the id has ended. */
  async committed(): Promise<(string | null)[]> {
    await this.lane().fence({ ...this.at, partition: 1 });
    const loop = this.#direct.fetchLoop(READ);
    try {
      return values(await readToEnd(loop, this.at));
    } finally {
      await loop.close();
    }
  }
}

class View {
  readonly proxy: KafkaProxy;
  readonly lane: () => TransactionLane;
  level: number | null;
  readonly requests: number[] = [];
  /** The first batch of each Produce request, once however often that was sent. */
  readonly produced: RequestedBatch[] = [];
  /** Called for each request to commit, and each answer to one. */
  onCommit: (side: 'request' | 'response') => 'pass' | 'cut' | Promise<'pass' | 'cut'> = () => 'pass';

  constructor(proxy: KafkaProxy, lane: () => TransactionLane, level: number | null) {
    this.proxy = proxy;
    this.lane = lane;
    this.level = level;
    const commits = new Set<string>();
    const nameOf = ({ correlationId, clientId }: KafkaExchange): string => `${clientId} ${correlationId}`;
    proxy.onRequest = (exchange) => {
      this.requests.push(exchange.apiKey);
      if (exchange.apiKey === produce) this.#note(firstBatchOf(exchange));
      if (!isCommit(exchange)) return 'pass';
      commits.add(nameOf(exchange));
      return this.onCommit('request');
    };
    proxy.onResponse = (exchange) => {
      if (this.level !== null) replaceTransactionVersion(exchange, this.level);
      return commits.delete(nameOf(exchange)) ? this.onCommit('response') : 'pass';
    };
  }

  #note(batch: RequestedBatch): void {
    if (this.produced.at(-1)?.bytes.equals(batch.bytes) !== true) this.produced.push(batch);
  }

  count(apiKey: number): number {
    return this.requests.filter((key) => key === apiKey).length;
  }
}

describe('a transaction', () => {
  it('of version 2 adds no partitions, has the next epoch, and begins with the first sequence number', async () => {
    const scene = await Scene.create();
    const view = await scene.view(2);
    const lane = view.lane();
    await lane.fence(scene.at);
    await lane.commit([encoded(scene.at, ['a', 'b'])]);
    await lane.commit([encoded(scene.at, ['c'])]);
    await lane.commit([]);
    expect([view.count(addPartitionsToTxn), view.count(initProducerId)]).toEqual([0, 1]);
    // Nothing is asked for where there is nothing to commit.
    expect(view.count(endTxn)).toBe(3);
    const [{ producerId, producerEpoch: epoch }] = view.produced as [RequestedBatch];
    expect(view.produced.map((batch) => [batch.producerId, batch.producerEpoch, batch.firstSequence])).toEqual([
      [producerId, epoch, 0],
      [producerId, epoch + 1, 0],
      [producerId, epoch + 2, 0],
    ]);
    expect(await scene.committed()).toEqual(['a', 'b', 'c']);
  });

  it.each([0, 1])('of version 1 adds its partitions, keeps its epoch and counts on, where the cluster says %i', async (level) => {
    const scene = await Scene.create();
    const view = await scene.view(level);
    const lane = view.lane();
    await lane.commit([encoded(scene.at, ['a', 'b'])]);
    await lane.commit([encoded(scene.at, ['c'])]);
    expect(view.count(addPartitionsToTxn)).toBeGreaterThanOrEqual(2);
    expect(view.produced.map(({ firstSequence }) => firstSequence)).toEqual([0, 2]);
    expect(view.produced[1]!.producerEpoch).toBe(view.produced[0]!.producerEpoch);
    expect(await scene.committed()).toEqual(['a', 'b', 'c']);
  });

  it('of several batches for one partition numbers them on, in each epoch anew', async () => {
    const scene = await Scene.create();
    const view = await scene.view(2);
    const lane = view.lane();
    const other = { ...scene.at, partition: 1 };
    for (const name of ['a', 'b']) {
      await lane.commit([encoded(scene.at, [`${name}1`, `${name}2`]), encoded(scene.at, [`${name}3`]), encoded(other, ['x'])]);
    }
    expect(view.produced.map(({ firstSequence }) => firstSequence)).toEqual([0, 2, 0, 2]);
    expect(await scene.committed()).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3']);
  });
});

describe('an owner that was fenced', () => {
  it.each([
    [2, 2],
    [1, 2],
    [2, 1],
  ])('and spoke version %i gets nothing in beside one that speaks version %i', async (oldLevel, newLevel) => {
    const scene = await Scene.create();
    const [zombie, owner] = [(await scene.view(oldLevel)).lane(), (await scene.view(newLevel)).lane()];
    await zombie.commit([encoded(scene.at, ['a'])]);
    await owner.fence({ ...scene.at, partition: 1 });
    const error: unknown = await zombie.commit([encoded(scene.at, ['zombie'])]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
    expect(zombie.isFenced(error)).toBe(true);
    await owner.commit([encoded(scene.at, ['b'])]);
    await owner.commit([encoded(scene.at, ['c'])]);
    expect(await scene.committed()).toEqual(['a', 'b', 'c']);
  });

  it('in the middle of its transaction leaves nothing of it', async () => {
    const scene = await Scene.create();
    const view = await scene.view(2);
    const [zombie, owner] = [view.lane(), scene.lane()];
    await zombie.commit([encoded(scene.at, ['a'])]);
    // Its records are in the log, and its end is not asked for yet.
    view.onCommit = async (side): Promise<'pass'> => {
      if (side === 'request') await owner.fence({ ...scene.at, partition: 1 });
      return 'pass';
    };
    const error: unknown = await zombie.commit([encoded(scene.at, ['zombie'])]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
    expect(zombie.isFenced(error)).toBe(true);
    await owner.commit([encoded(scene.at, ['b'])]);
    expect(await scene.committed()).toEqual(['a', 'b']);
  });
});

describe('an end that gets lost', () => {
  it.each(['request', 'response'] as const)('as a %s is asked for again, and done once', async (lost) => {
    const scene = await Scene.create();
    const view = await scene.view(2);
    const lane = view.lane();
    await lane.fence(scene.at);
    let losses = 0;
    view.onCommit = (side) => (side === lost && ++losses <= 2 ? 'cut' : 'pass');
    await lane.commit([encoded(scene.at, ['a'])]);
    await lane.commit([encoded(scene.at, ['b'])]);
    expect(losses).toBeGreaterThan(2);
    // The end of the fence, three of the first transaction and one of the second.
    expect(view.count(endTxn)).toBeGreaterThanOrEqual(5);
    expect(view.count(initProducerId)).toBe(1);
    expect(await scene.committed()).toEqual(['a', 'b']);
  });

  it.each([
    ['request', ['b']],
    ['response', ['lost', 'b']],
  ] as const)('as a %s, while another owner fences and commits, is not taken for that one’s end', async (lost, left) => {
    const scene = await Scene.create();
    const view = await scene.view(2);
    const [zombie, owner] = [view.lane(), scene.lane()];
    let isFirst = true;
    view.onCommit = async (side) => {
      if (side !== lost || !isFirst) return 'pass';
      isFirst = false;
      await owner.fence({ ...scene.at, partition: 1 });
      await owner.commit([encoded(scene.at, ['b'])]);
      return 'cut';
    };
    const error: unknown = await zombie.commit([encoded(scene.at, ['lost'])]).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
    expect(zombie.isFenced(error)).toBe(true);
    expect(view.count(endTxn)).toBeGreaterThanOrEqual(2);
    expect(await scene.committed()).toEqual(left);
  });
});

describe('another version', () => {
  it.each([
    [2, 1],
    [1, 2],
  ])('than %i is noticed on a new connection: the lane ends, and the next one speaks version %i', async (before, after) => {
    const scene = await Scene.create();
    const view = await scene.view(before);
    const lane = view.lane();
    await lane.commit([encoded(scene.at, ['a'])]);
    view.level = after;
    // Nothing tells it yet.
    await lane.commit([encoded(scene.at, ['b'])]);
    view.proxy.cutAll();
    // One that finds the connection lost in its middle comes to its end on the next.
    const more: string[] = [];
    const commits = async (): Promise<void> => {
      for (let nth = 1; nth <= 5; nth++) {
        await lane.commit([encoded(scene.at, [`c${nth}`])]);
        more.push(`c${nth}`);
      }
    };
    await expect(commits()).rejects.toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
    expect(more.length).toBeLessThanOrEqual(1);
    const next = view.lane();
    view.requests.length = 0;
    await next.fence({ ...scene.at, partition: 1 });
    await next.commit([encoded(scene.at, ['d'])]);
    expect(view.count(addPartitionsToTxn) > 0).toBe(after === 1);
    expect(await scene.committed()).toEqual(['a', 'b', ...more, 'd']);
  });

  it('is looked for on each new connection, and the same one goes on', async () => {
    const scene = await Scene.create();
    const view = await scene.view(2);
    const lane = view.lane();
    for (const value of ['a', 'b', 'c']) {
      await lane.commit([encoded(scene.at, [value])]);
      view.proxy.cutAll();
    }
    expect(view.count(initProducerId)).toBe(1);
    expect(await scene.committed()).toEqual(['a', 'b', 'c']);
  });
});

describe('the last epoch', () => {
  // It takes a quarter of a minute to come there.
  it.skipIf(!isSoak).each([0, 1])('is followed by another producer id, %i answers to each end lost', { timeout: 240_000 }, async (lost) => {
    const scene = await Scene.create();
    const view = await scene.view(2);
    await raiseEpoch(stack().kafkaBrokers[0]!, scene.transactionalId, LAST_EPOCH - 12);
    const lane = view.lane();
    const sent: string[] = [];
    for (let nth = 0; nth < 20; nth++) {
      let losses = 0;
      view.onCommit = (side) => (side === 'response' && ++losses <= lost ? 'cut' : 'pass');
      await lane.commit([encoded(scene.at, [`${nth}`])]);
      sent.push(`${nth}`);
    }
    expect(new Set(view.produced.map(({ producerId }) => producerId)).size).toBe(2);
    expect(Math.max(...view.produced.map(({ producerEpoch }) => producerEpoch))).toBe(LAST_EPOCH);
    expect(view.produced.at(-1)!.producerEpoch).toBeLessThan(20);
    expect(view.count(initProducerId)).toBe(1);
    expect(await scene.committed()).toEqual(sent);
  });
});

// A cluster of its own, so the normal run leaves it to the proxies above.
describe.skipIf(!isSoak)('a cluster that has not agreed on version 2', () => {
  it.each(['transaction.version=1', 'transaction.version=0'])(
    '%s: transactions are of version 1',
    { timeout: 240_000 },
    async (feature) => {
      const folder = mkdtempSync(join(tmpdir(), 'ingot-version-'));
      const kafka = await startKafka({ folder, preferredPort: null, features: [feature] });
      try {
        const scene = await Scene.create(kafka.brokers);
        const view = await scene.view(null);
        const [zombie, owner] = [view.lane(), view.lane()];
        await zombie.commit([encoded(scene.at, ['a'])]);
        await zombie.commit([encoded(scene.at, ['b'])]);
        expect(view.count(addPartitionsToTxn)).toBeGreaterThanOrEqual(2);
        expect(view.produced[1]!.producerEpoch).toBe(view.produced[0]!.producerEpoch);
        await owner.fence({ ...scene.at, partition: 1 });
        const error: unknown = await zombie.commit([encoded(scene.at, ['zombie'])]).catch((reason: unknown) => reason);
        expect(zombie.isFenced(error)).toBe(true);
        await owner.commit([encoded(scene.at, ['c'])]);
        expect(await scene.committed()).toEqual(['a', 'b', 'c']);
        await scene.close();
      } finally {
        await kafka.stop();
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
});
