import { afterEach, describe, expect, test } from 'vitest';
import { FedPipeline } from '../support/fed-pipeline.ts';
import { KAFKA_API, type KafkaExchange, KafkaProxy } from '../support/kafka-proxy.ts';
import { freezeInTransaction, untilTransactionEnds } from '../support/open-transaction.ts';
import type { RoleProcess } from '../support/role-process.ts';
import { stack } from '../support/stack.ts';

// The moments around the end of a transaction: the process or its connection dies before Kafka has heard of the end, or after it and
// before we have; Kafka ends the transaction by itself; answers get lost again and again. Whatever was committed is there once.

const PARTITIONS = 2;
const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
/** More than the coordinator needs to notice that a transaction is older than 30 s: it looks every 10 s. */
const EXPIRY_DEADLINE_MS = 90_000;

let fed: FedPipeline | undefined;
let proxy: KafkaProxy | undefined;
afterEach(async () => {
  await fed?.close();
  await proxy?.close();
});

/** Whether the request asks for a commit: its last byte, after the transactional id, the producer id and its epoch. */
function isCommit({ apiKey, frame }: KafkaExchange): boolean {
  return apiKey === KAFKA_API.endTxn && frame.at(-1) === 1;
}

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
    // What was cut off before Kafka had heard of the end was aborted by the next fence.
    expect(abortedTransactions).toBeGreaterThanOrEqual(2 * repeats);
  });

  test('answers that are lost again and again cost nothing but time', { timeout: 240_000 }, async () => {
    const counts = new Map<number, number>([KAFKA_API.endTxn, KAFKA_API.addPartitionsToTxn, KAFKA_API.fetch].map((api) => [api, 0]));
    let lost = 0;
    const kafka = await KafkaProxy.start({
      broker: stack().kafkaBrokers[0]!,
      onResponse: ({ apiKey }) => {
        const count = counts.get(apiKey);
        if (count === undefined) return 'pass';
        counts.set(apiKey, count + 1);
        if (count % 20 !== 19) return 'pass';
        lost++;
        return 'cut';
      },
    });
    proxy = kafka;
    const feeding = await FedPipeline.start({ partitions: PARTITIONS });
    fed = feeding;
    const role = feeding.aggregator(kafka.address);
    const isEnough = (): boolean => lost >= 15 * repeats && [...counts.values()].every((count) => count > 40 * repeats);
    while (!isEnough()) await feeding.progress([role], 50);
    await feeding.settle([role]);
    await feeding.expectOneFold();
  });

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
