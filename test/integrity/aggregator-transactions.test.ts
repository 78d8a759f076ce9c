import { afterEach, describe, expect, test } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { FedPipeline } from '../support/fed-pipeline.ts';
import { isCommit, replaceTransactionVersion } from '../support/kafka-answers.ts';
import { KAFKA_API, type KafkaExchange, KafkaProxy } from '../support/kafka-proxy.ts';
import { encoded, readToEnd, values } from '../support/memory-log-records.ts';
import { freezeInTransaction, untilTransactionEnds } from '../support/open-transaction.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { freshName, stack } from '../support/stack.ts';

// The moments around the end of a transaction: the process or its connection dies before Kafka has heard of the end, or after it and
// before we have; Kafka ends the transaction by itself; answers get lost again and again. Whatever was committed is there once.

const PARTITIONS = 2;
const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
/** More than the coordinator needs to notice that a transaction is older than 30 s: it looks every 10 s. */
const EXPIRY_DEADLINE_MS = 90_000;
/** What is asked for in every transaction of version 2, which the broker of the tests speaks, and for its input. */
const LOSABLE = [KAFKA_API.endTxn, KAFKA_API.produce, KAFKA_API.fetch];
const LOST_ONE_IN = 20;
/** A lane gives a commit up when its transaction would be too old. */
const LOST_ANSWER_MS = 2_000;

let fed: FedPipeline | undefined;
let proxy: KafkaProxy | undefined;
afterEach(async () => {
  await fed?.close();
  await proxy?.close();
});

/** Lets a thing happen at the next commit: when it is asked for, or when it is answered. Resolves when it has. */
async function atNextCommit(by: KafkaProxy, side: 'request' | 'response', happen: () => void): Promise<void> {
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const asked = new Set<string>();
  const hit = (): 'cut' => {
    [by.onRequest, by.onResponse] = [() => 'pass', () => 'pass'];
    happen();
    resolve();
    return 'cut';
  };
  const nameOf = ({ clientId, correlationId }: KafkaExchange): string => `${clientId} ${correlationId}`;
  by.onRequest = (exchange) => {
    if (!isCommit(exchange)) return 'pass';
    if (side === 'request') return hit();
    asked.add(nameOf(exchange));
    return 'pass';
  };
  by.onResponse = (exchange) => (asked.has(nameOf(exchange)) ? hit() : 'pass');
  await done;
}

/** Every 20th answer of each of these is lost, until enough of each are; in the order of `LOSABLE`. */
async function withLostAnswers(how: 'cut' | 'drop', isEnough: (lost: readonly number[]) => boolean): Promise<void> {
  const seen = new Map<number, number>(LOSABLE.map((api) => [api, 0]));
  const lost = (): number[] => [...seen.values()].map((count) => Math.floor(count / LOST_ONE_IN));
  proxy = await KafkaProxy.start({
    broker: stack().kafkaBrokers[0]!,
    onResponse: ({ apiKey }) => {
      const count = seen.get(apiKey);
      if (count === undefined) return 'pass';
      seen.set(apiKey, count + 1);
      return (count + 1) % LOST_ONE_IN === 0 ? how : 'pass';
    },
  });
  const feeding = await FedPipeline.start({ partitions: PARTITIONS });
  fed = feeding;
  const role = feeding.aggregator(proxy.address);
  while (!isEnough(lost())) await feeding.progress([role], 50);
  await feeding.settle([role]);
  const [ends, produces, fetches] = lost();
  process.stdout.write(`answers lost (${how}): ${ends} of EndTxn, ${produces} of Produce, ${fetches} of Fetch\n`);
  await feeding.expectOneFold();
}

describe('around the end of a transaction', () => {
  test('a cut or a kill before it, or before its answer, leaves one fold', { timeout: 240_000 }, async () => {
    const kafka = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]! });
    proxy = kafka;
    const feeding = await FedPipeline.start({ partitions: PARTITIONS });
    fed = feeding;
    let role: RoleProcess = feeding.aggregator(kafka.address);
    await feeding.progress([role], 100);
    for (let time = 0; time < repeats; time++) {
      for (const side of ['request', 'response'] as const) {
        await atNextCommit(kafka, side, () => undefined);
        await feeding.progress([role], 50);
      }
      for (const side of ['request', 'response'] as const) {
        await atNextCommit(kafka, side, () => role.child.kill('SIGKILL'));
        await role.ended();
        role = feeding.aggregator(kafka.address);
        await feeding.progress([role], 50);
      }
    }
    await feeding.settle([role]);
    const { abortedTransactions } = await feeding.expectOneFold();
    // What was killed before Kafka had heard of the end was aborted by the next fence; after a cut the end was asked for again.
    expect(abortedTransactions).toBeGreaterThanOrEqual(repeats);
  });

  test('answers that are lost with their connection again and again cost nothing but time', { timeout: 240_000 }, async () => {
    await withLostAnswers('cut', (lost) => lost.reduce((sum, count) => sum + count, 0) >= 15 * repeats && Math.min(...lost) >= 2 * repeats);
  });

  // Each of them is waited for until the request's own time is over, half a minute, so the normal run leaves it to the test below.
  test.runIf(repeats > 1)('answers that never come, on connections that stay, cost nothing but time', { timeout: 900_000 }, async () => {
    await withLostAnswers('drop', (lost) => Math.min(...lost) >= repeats);
  });

  test.each([
    ['the end', 2, KAFKA_API.endTxn, ['before', 'in doubt', 'after']],
    ['the end, version 1,', 1, KAFKA_API.endTxn, ['before', 'in doubt', 'after']],
    ['its records', 2, KAFKA_API.produce, ['before', 'after']],
    ['its partitions, version 1,', 1, KAFKA_API.addPartitionsToTxn, ['before', 'after']],
  ] as const)(
    'when the answer about %s never comes the transaction is given up in time, and the log knows',
    async (_name, level, api, left) => {
      let isDropping = false;
      const onResponse = (exchange: KafkaExchange) => {
        replaceTransactionVersion(exchange, level);
        return isDropping && exchange.apiKey === api ? 'drop' : 'pass';
      };
      proxy = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]!, onResponse });
      const log = createKafkaLog({ brokers: [proxy.address], clientId: freshName('lost') });
      const at = { topic: freshName('lost'), partition: 0 };
      const id = freshName('lost');
      const newLane = () => log.transactionLane({ transactionalId: id, transactionTimeoutMs: LOST_ANSWER_MS });
      try {
        await log.admin().createTopics([{ name: at.topic, partitions: 1, replicationFactor: 1, configs: {} }]);
        const lane = newLane();
        await lane.fence(at);
        await lane.commit([encoded(at, ['before'])]);
        isDropping = true;
        const askedAtMs = performance.now();
        await expect(lane.commit([encoded(at, ['in doubt'])])).rejects.toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
        // Not when the client library gives the request up, half a minute later.
        expect(performance.now() - askedAtMs).toBeLessThan(20_000);
        isDropping = false;
        const next = newLane();
        await next.fence(at);
        await next.commit([encoded(at, ['after'])]);
        const read = await readToEnd(
          log.fetchLoop({ name: 'lost', maxWaitMs: 50, maxBytesPerPartition: 1_048_576, isolation: 'committed' }),
          at,
        );
        expect(values(read)).toEqual(left);
      } finally {
        await log.close();
      }
    },
  );

  test('one that is fenced although its partition is its own takes it back', { timeout: 120_000 }, async () => {
    const feeding = await FedPipeline.start({ partitions: PARTITIONS });
    fed = feeding;
    const role = feeding.aggregator();
    await feeding.progress([role], 100);
    const { prefix, log } = feeding.pipeline;
    for (let time = 0; time < 3 * repeats; time++) {
      // To the owner this is what Kafka does when a transaction has become too old: its epoch is not the newest any more.
      const stranger = log.transactionLane({ transactionalId: `${prefix}aggregator-${time % PARTITIONS}`, transactionTimeoutMs: 30_000 });
      await stranger.fence({ topic: `${prefix}aggregator-state`, partition: time % PARTITIONS });
      await stranger.close();
      await feeding.progress([role], 100);
    }
    expect(role.log()).toContain('partition dropped');
    await feeding.settle([role]);
    await feeding.expectOneFold();
  });

  // It takes as long as Kafka waits for a transaction, so the normal run leaves it out: the test before is what the owner sees of it.
  test.runIf(repeats > 1)('one that is frozen until Kafka has ended its transaction goes on', { timeout: 240_000 }, async () => {
    const feeding = await FedPipeline.start({ partitions: PARTITIONS });
    fed = feeding;
    const role = feeding.aggregator();
    await feeding.progress([role], 100);
    const { prefix, log } = feeding.pipeline;
    const at = { topic: `${prefix}aggregator-journal`, partition: 0 };
    await freezeInTransaction(role, { log, ...at });
    await untilTransactionEnds({ log, ...at }, EXPIRY_DEADLINE_MS);
    role.child.kill('SIGCONT');
    await feeding.progress([role], 100);
    await feeding.settle([role]);
    const { abortedTransactions } = await feeding.expectOneFold();
    expect(abortedTransactions).toBeGreaterThanOrEqual(1);
  });
});
