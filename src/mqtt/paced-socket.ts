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

/**
 * A TCP connection that rests between reads (read-pace.ts). It emits 'data' like every other, and while it rests the process is not woken by what
 * comes in. `resume` ends a rest. As any other it goes on reading for a while after `pause`, and so learns that the broker is gone; but what it
 * reads then is emitted, not kept.
 */
export function connectPacedSocket({ host, port, restMs, mayRest }: PacedSocketOptions): Socket {
  const pace = new ReadPace({ restMs, flowingBytes: FLOWING_BYTES });
  let isPaused = false;
  let pausedBytes = 0;
  let timer: NodeJS.Timeout | undefined;
  const readOn = (): Socket => Socket.prototype.resume.call(socket);
  const onRead = (bytes: number, buffer: Uint8Array): boolean => {
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
    if (timer === undefined) timer = setTimeout(readOn, restMs);
    else timer.refresh();
    return false;
  };
  const socket = connect({ host, port, onread: { buffer: new Uint8Array(READ_BYTES), callback: onRead } });
  const pause = (): Socket => {
    // Asked again while it is paused, it does not begin to read on anew.
    if (!isPaused) pausedBytes = 0;
    isPaused = true;
    return socket;
  };
  const resume = (): Socket => {
    isPaused = false;
    return readOn();
  };
  socket.once('close', () => clearTimeout(timer));
  return Object.assign(socket, { pause, resume });
}
