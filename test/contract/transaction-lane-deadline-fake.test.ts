import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { RecordsEncoder } from '../../src/core/record-batch.ts';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';

// A commit has as long as the coordinator leaves its transaction open: the state of a rebuild is written in one, for up to 5 minutes.

const TIMEOUT_MS = 300_000;

/** The address of something that takes connections and never says a word. */
async function silentBroker(): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a commit is given up when its transaction has expired, and not before', async () => {
  const log = createKafkaLog({ brokers: [await silentBroker()], clientId: 'deadline' });
  onTestFinished(() => log.close());
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const lane = log.transactionLane({ transactionalId: 'lane', transactionTimeoutMs: TIMEOUT_MS });
  const encoder = new RecordsEncoder(64);
  encoder.reset(0);
  encoder.add(Buffer.from('k'), Buffer.from('v'), 0);
  let outcome: unknown = null;
  lane.commit([{ topic: 't', partition: 0, records: encoder.take(), count: 1, baseTimestampMs: 0 }]).catch((error: unknown) => {
    outcome = error;
  });
  await vi.advanceTimersByTimeAsync(TIMEOUT_MS - 1_000);
  expect(outcome).toBeNull();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(outcome).toMatchObject({ code: 'TRANSACTION_IN_DOUBT', message: expect.stringContaining('no answer within 300 s') });
});
