import { Socket } from 'node:net';
import { expect, test, vi } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { configureLog } from '../../src/ops/log.ts';
import { KAFKA_API } from '../support/kafka-proxy.ts';
import { encoded } from '../support/memory-log-records.ts';
import { freshName, stack } from '../support/stack.ts';

// Whoever gets an answer works on it without a pause, so what is to go on meanwhile has to be under way before.

configureLog({ level: 'silent', format: 'json' });

test('the next fetch is sent before an answer is handed over, and each answer in a turn of its own', async () => {
  const log = createKafkaLog({ brokers: stack().kafkaBrokers, clientId: 'order' });
  const written = vi.spyOn(Socket.prototype, 'write');
  const fetches = (): number => written.mock.calls.filter(([frame]) => (frame as Buffer).readInt16BE(4) === KAFKA_API.fetch).length;
  let turn = 0;
  const count = (): void => {
    turn += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  try {
    const topic = freshName('order');
    const partitions = [0, 1, 2];
    await log.admin().createTopics([{ name: topic, partitions: 3, replicationFactor: 1, configs: {} }]);
    const lane = log.produceLane({ name: 'order', acks: 'all' });
    await lane.send(partitions.map((partition) => encoded({ topic, partition }, ['a'])));
    const loop = log.fetchLoop({ name: 'order', maxWaitMs: 500, maxBytesPerPartition: 1_048_576, isolation: 'committed' });
    const seen: { fetches: number; turn: number }[] = [];
    const taken = partitions.map(async (partition) => {
      await loop.open({ topic, partition }, 0).next();
      seen.push({ fetches: fetches(), turn });
    });
    await Promise.all(taken);
    expect(new Set(seen.map(({ turn: at }) => at)).size).toBe(partitions.length);
    // One that brought the answers, and the one after it.
    expect(seen[0]!.fetches).toBeGreaterThanOrEqual(2);
  } finally {
    clearImmediate(counting);
    written.mockRestore();
    await log.close();
  }
});
