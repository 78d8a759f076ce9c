import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PROGRESS_KEY } from '../../src/aggregator/progress.ts';
import { type RunningKafka, startKafka } from '../../src/local-stack/kafka.ts';
import { FedPipeline } from '../support/fed-pipeline.ts';
import { KafkaProxy, replaceTimeouts } from '../support/kafka-proxy.ts';
import { freezeInTransaction, untilTransactionEnds } from '../support/open-transaction.ts';
import { readTopic } from '../support/read-topic.ts';
import { alterTopic } from '../support/topic-vandal.ts';
import { waitUntil } from '../support/wait-until.ts';

// A Kafka of its own, which a test may kill, and which is in a hurry with what another one does after minutes: it compacts at once, and it
// looks twice a second for transactions that have become too old.

const PARTITIONS = 2;
const repeats = Number(process.env['INGOT_FAULT_REPEATS'] ?? 1);
const HURRY = { 'log.cleaner.backoff.ms': 200, 'transaction.abort.timed.out.transaction.cleanup.interval.ms': 500 };
/** Segments of half a second, compacted as soon as they are closed. */
const COMPACTED_AT_ONCE = {
  'cleanup.policy': 'compact',
  'segment.ms': '500',
  'min.cleanable.dirty.ratio': '0.01',
  'max.compaction.lag.ms': '500',
  'delete.retention.ms': '100',
};
/** Far more than a transaction takes, on a machine that is busy too. */
const TRANSACTION_MS = 5_000;
const SESSION_MS = 120_000;

let folder: string;
let kafka: RunningKafka;
let fed: FedPipeline | undefined;
let proxy: KafkaProxy | undefined;

const startOurs = (): Promise<RunningKafka> => startKafka({ folder, preferredPort: null, changeSettings: (own) => ({ ...own, ...HURRY }) });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-aggregator-kafka-'));
  kafka = await startOurs();
});
afterEach(async () => {
  await fed?.close();
  await proxy?.close();
  [fed, proxy] = [undefined, undefined];
});
afterAll(async () => {
  await kafka?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function fedPipeline(prepare?: (feeding: FedPipeline['pipeline']) => Promise<void>): Promise<FedPipeline> {
  fed = await FedPipeline.start({ partitions: PARTITIONS, kafkaBrokers: kafka.brokers, ...(prepare && { prepare }) });
  return fed;
}

/** How often a partition's progress was written, and of how many of these times the state topic still tells. */
async function progressRecords({ pipeline: { log, prefix } }: FedPipeline): Promise<{ written: number; left: number }> {
  const journal = await readTopic(log, `${prefix}aggregator-journal`);
  const state = await readTopic(log, `${prefix}aggregator-state`);
  return { written: journal.length, left: state.filter(({ key }) => key === PROGRESS_KEY).length };
}

describe('the aggregator', () => {
  test('is restored from a state topic that was compacted under it', { timeout: 240_000 }, async () => {
    const feeding = await fedPipeline(({ prefix }) => alterTopic(kafka.brokers, `${prefix}aggregator-state`, COMPACTED_AT_ONCE));
    let role = feeding.aggregator();
    for (let time = 0; time < repeats; time++) {
      await feeding.progress([role], 100);
      // Each transaction has written one of them, and the newest of a partition always stays.
      const isCompacted = async (): Promise<boolean> => {
        const { written, left } = await progressRecords(feeding);
        return written > 20 * PARTITIONS && left < written / 2;
      };
      await waitUntil(isCompacted, 'compaction of the state', 120_000);
      await role.kill();
      role = feeding.aggregator();
    }
    await feeding.progress([role], 100);
    await feeding.settle([role]);
    const { written, left } = await progressRecords(feeding);
    process.stdout.write(`compaction: ${left} of ${written} progress records are left\n`);
    expect(left).toBeGreaterThanOrEqual(PARTITIONS);
    await feeding.expectOneFold();
  });

  test('goes on when its broker was killed with -9 and started again on its data', { timeout: 240_000 }, async () => {
    const feeding = await fedPipeline();
    const role = feeding.aggregator();
    for (let time = 0; time < repeats; time++) {
      await feeding.progress([role], 200);
      await kafka.kill();
      kafka = await startOurs();
    }
    await feeding.progress([role], 200);
    await feeding.settle([role]);
    await feeding.expectOneFold();
  });

  test('goes on when Kafka has ended its transaction while it was frozen, a member all the time', { timeout: 240_000 }, async () => {
    const timeouts = replaceTimeouts({ sessionMs: SESSION_MS, transactionMs: TRANSACTION_MS });
    proxy = await KafkaProxy.start({ broker: kafka.brokers[0]!, onRequest: timeouts });
    const feeding = await fedPipeline();
    const { log, prefix } = feeding.pipeline;
    const role = feeding.aggregator(proxy.address);
    await feeding.progress([role], 100);
    for (let time = 0; time < repeats; time++) {
      const at = { topic: `${prefix}aggregator-journal`, partition: time % PARTITIONS };
      await freezeInTransaction(role, { log, ...at });
      await untilTransactionEnds({ log, ...at }, 60_000);
      role.child.kill('SIGCONT');
      await feeding.progress([role], 100);
    }
    await feeding.settle([role]);
    const { abortedTransactions } = await feeding.expectOneFold();
    expect(abortedTransactions).toBeGreaterThanOrEqual(1);
    expect(role.log()).toContain('partition dropped');
    // It was never taken for dead: that Kafka had ended the transaction is all that it had to overcome.
    expect(role.log().split('"partitions assigned"')).toHaveLength(2);
  });
});
