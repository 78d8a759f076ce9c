import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

// Cuts this process's own TCP connections while they are in use, as a network does: whoever waits for an answer does not get it.

const CHANNEL = 'net.client.socket';

export class ConnectionCutter {
  readonly #port: number;
  readonly #sockets = new Set<Socket>();
  cuts = 0;

  /** Of the connections made from now on, those to this port. */
  constructor(port: number) {
    this.#port = port;
    subscribe(CHANNEL, this.#onSocket);
  }

  readonly #onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    socket.once('connect', () => {
      if (socket.remotePort === this.#port) this.#sockets.add(socket);
    });
    socket.once('close', () => this.#sockets.delete(socket));
  };

  cutAll(): void {
    for (const socket of this.#sockets) {
      this.cuts++;
      socket.destroy(new Error('cut by the test'));
    }
  }

  stop(): void {
    unsubscribe(CHANNEL, this.#onSocket);
    this.#sockets.clear();
  }
}
