import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { connectPacedSocket } from '../../../src/mqtt/paced-socket.ts';
import { waitUntil } from '../../support/wait-until.ts';

const PIECE = Buffer.alloc(1_024);
const PIECES = 1_024;
const SENT_BYTES = PIECES * PIECE.length;

/** A server that sends so much to whoever connects, piece by piece. */
async function startSender(): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    let sent = 0;
    const send = (): void => {
      socket.write(PIECE);
      if (++sent < PIECES && !socket.destroyed) setImmediate(send);
    };
    send();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('paused again and again it stops reading all the same, and takes the rest when it goes on', async () => {
  const port = await startSender();
  const socket = connectPacedSocket({ host: '127.0.0.1', port, restMs: 1, mayRest: () => true });
  onTestFinished(() => {
    socket.destroy();
  });
  let received = 0;
  let isHeld = true;
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
    // As each time when there is room for a little of what waits.
    if (isHeld) setImmediate(() => socket.pause());
  });
  await waitUntil(() => received > 0, 'the first bytes');
  // What comes on another connection shows that there was time to read.
  const other = connect(port, '127.0.0.1');
  onTestFinished(() => {
    other.destroy();
  });
  let otherReceived = 0;
  other.on('data', (chunk) => {
    otherReceived += chunk.length;
  });
  await waitUntil(() => otherReceived === SENT_BYTES, 'the same amount on another connection');
  expect(received).toBeLessThanOrEqual(3 * 65_536);
  isHeld = false;
  socket.resume();
  await waitUntil(() => received === SENT_BYTES, 'the rest');
});

test('what comes during the rests arrives once and in order, then the end does', async () => {
  const bytes = Buffer.from(Array.from({ length: 20_000 }, (_, at) => at % 251));
  const server = createServer((socket) => {
    let sent = 0;
    const send = (): void => {
      socket.write(bytes.subarray(sent, sent + 100));
      sent += 100;
      if (sent < bytes.length) setTimeout(send, 1);
      else socket.end();
    };
    send();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const waits: boolean[] = [];
  const socket = connectPacedSocket({ host: '127.0.0.1', port, restMs: 5, mayRest: () => true });
  const handle = () => (socket as unknown as { _handle: { fd: number; reading: boolean } })._handle;
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    waits.push(handle().reading);
  });
  await once(socket, 'close');
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  // The first read is that of the event loop, nearly all others are ours.
  expect(waits.filter((isWaiting) => !isWaiting).length).toBeGreaterThan(waits.length / 2);
});

test('a reset during a rest is told as the error that it is', async () => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    socket.write(PIECE);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const socket = connectPacedSocket({ host: '127.0.0.1', port, restMs: 5, mayRest: () => true });
  onTestFinished(() => {
    socket.destroy();
  });
  const codes: unknown[] = [];
  socket.on('error', (error: NodeJS.ErrnoException) => codes.push(error.code));
  // The rest begins when this read is done, so the reset is there before its end, and the event loop does not look for it.
  socket.once('data', () => accepted[0]!.resetAndDestroy());
  let closedWithError: boolean | undefined;
  socket.once('close', (hadError: boolean) => {
    closedWithError = hadError;
  });
  await waitUntil(() => closedWithError !== undefined, 'the close');
  expect(codes).toEqual(['ECONNRESET']);
  expect(closedWithError).toBe(true);
});
