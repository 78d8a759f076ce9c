import { once } from 'node:events';
import { connect } from 'node:net';
import { KAFKA_API } from './kafka-proxy.ts';

// Uses up the epochs of a transactional id: each InitProducerId takes one, and a producer has 32 767 of them.

/** Requests that are on their way at once: the broker answers them one after the other. */
const IN_FLIGHT = 8;
const ERROR_CODE_AT = 12;
const EPOCH_AT = 22;

/** Fences the id until its epoch is at least this one. Whatever the coordinator cannot do at once is asked for again. */
export async function raiseEpoch(broker: string, transactionalId: string, epoch: number): Promise<void> {
  const [host, port] = broker.split(':');
  const socket = connect({ host: host!, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  const request = initProducerId(transactionalId);
  let reached = -1;
  let received = Buffer.alloc(0);
  const { promise: isReached, resolve, reject } = Promise.withResolvers<void>();
  socket.on('error', reject);
  socket.on('close', () => reject(new Error(`the broker hung up at epoch ${reached}`)));
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    for (
      ;
      received.length >= 4 && received.length >= 4 + received.readInt32BE(0);
      received = received.subarray(4 + received.readInt32BE(0))
    ) {
      if (received.readInt16BE(ERROR_CODE_AT) === 0) reached = received.readInt16BE(EPOCH_AT);
      if (reached >= epoch) resolve();
      else socket.write(request);
    }
  });
  for (let i = 0; i < IN_FLIGHT; i++) socket.write(request);
  await isReached;
  socket.end();
}

/** Version 1, correlation id 0 and no client id: transactional_id timeout */
function initProducerId(transactionalId: string): Buffer {
  const id = Buffer.from(transactionalId);
  const request = Buffer.alloc(16 + id.length + 4);
  request.writeInt32BE(request.length - 4, 0);
  request.writeInt16BE(KAFKA_API.initProducerId, 4);
  request.writeInt16BE(1, 6);
  request.writeInt16BE(-1, 12);
  request.writeInt16BE(id.length, 14);
  id.copy(request, 16);
  request.writeInt32BE(60_000, 16 + id.length);
  return request;
}
