import { readSync } from 'node:fs';
import { connect, Socket } from 'node:net';
import { ReadPace } from './read-pace.ts';

export interface PacedSocketOptions {
  readonly host: string;
  readonly port: number;
  /** At least 1. */
  readonly restMs: number;
  /** Asked when a rest is due: false when there is a reason against one, as while the connection is being made. */
  readonly mayRest: () => boolean;
}

const READ_BYTES = 65_536;
const FLOWING_BYTES = 32_768;
/** What a paused connection still reads before it stops. */
const PAUSED_BYTES_MAX = 65_536;
/** Nothing there, or the end, which the event loop finds again; or an error, with which the connection has been closed. */
const NOTHING_READ = 0;

/** What a socket has and its declarations do not tell; test/unit/mqtt/paced-socket.test.ts pins it. */
interface HasDescriptor {
  readonly _handle: { readonly fd?: number } | null;
}

/** No error: there is nothing yet, or a signal came first. */
const NOTHING_THERE: readonly (string | undefined)[] = ['EAGAIN', 'EINTR'];

/**
 * Takes what is there, without waiting for more. The event loop needs a wake-up to learn that nobody waits for a socket any more and two system
 * calls to be told that somebody does, each rest anew; one read needs neither. The kernel tells of a reset once only, so an error found here closes
 * the connection here: left to the event loop it would look like an ordinary end.
 */
function readThere(socket: Socket, into: Uint8Array): number {
  const fd = (socket as unknown as HasDescriptor)._handle?.fd ?? -1;
  if (fd < 0) return NOTHING_READ;
  try {
    return readSync(fd, into, 0, into.length, null);
  } catch (error) {
    if (!NOTHING_THERE.includes((error as NodeJS.ErrnoException).code)) socket.destroy(error as Error);
    return NOTHING_READ;
  }
}

/**
 * A TCP connection that rests between reads (read-pace.ts). It emits 'data' like every other, and while it rests the process is not woken by what
 * comes in: at the end of the rest it takes what is there, and if that is nothing it waits for it like every other. `resume` ends a rest. After
 * `pause` too it goes on reading for a while, and so learns that the broker is gone; but what it reads then is emitted, not kept.
 */
export function connectPacedSocket({ host, port, restMs, mayRest }: PacedSocketOptions): Socket {
  const pace = new ReadPace({ restMs, flowingBytes: FLOWING_BYTES });
  let isPaused = false;
  let pausedBytes = 0;
  let isResting = false;
  let timer: NodeJS.Timeout | undefined;
  const buffer = new Uint8Array(READ_BYTES);
  const readOn = (): Socket => Socket.prototype.resume.call(socket);
  const endRest = (): void => {
    if (!isResting) return;
    isResting = false;
    const bytes = readThere(socket, buffer);
    const isMoreWanted = bytes === NOTHING_READ || onRead(bytes);
    if (isMoreWanted && !socket.destroyed) readOn();
  };
  /** False: nothing more is to be read for now. */
  const onRead = (bytes: number): boolean => {
    // A copy of just these bytes: they are kept for as long as a message among them is in flight.
    const chunk = Buffer.allocUnsafeSlow(bytes);
    chunk.set(buffer.subarray(0, bytes));
    socket.emit('data', chunk);
    if (isPaused) {
      pausedBytes += bytes;
      return pausedBytes < PAUSED_BYTES_MAX;
    }
    const isRestDue = pace.isRestDue({ bytes, isEmptied: bytes < READ_BYTES, nowMs: performance.now() });
    if (!isRestDue || socket.destroyed || !mayRest()) return true;
    isResting = true;
    if (timer === undefined) timer = setTimeout(endRest, restMs);
    else timer.refresh();
    return false;
  };
  const socket = connect({ host, port, onread: { buffer, callback: onRead } });
  const pause = (): Socket => {
    // Asked again while it is paused, it does not begin to read on anew.
    if (!isPaused) pausedBytes = 0;
    isPaused = true;
    return socket;
  };
  const resume = (): Socket => {
    isPaused = false;
    isResting = false;
    return readOn();
  };
  socket.once('close', () => clearTimeout(timer));
  return Object.assign(socket, { pause, resume });
}
