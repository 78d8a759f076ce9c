import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

// A TCP proxy that breaks as networks break: connections are cut or refused, and one direction may stand still while the other goes on.

export type Direction = 'toServer' | 'toClient';

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  /** What a direction that stands still has taken. */
  readonly held: Record<Direction, Buffer[]>;
}

export class TcpProxy {
  /** Connections taken so far, those that have ended included. */
  accepted = 0;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #stalled = new Set<Direction>();
  #refuses = false;

  private constructor(target: URL) {
    this.#target = { host: target.hostname, port: Number(target.port) };
    this.#server = createServer({ noDelay: true }, (client) => this.#serve(client));
  }

  /** Before the server of this URL. */
  static async start(url: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(new URL(url));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** The same URL by way of the proxy. */
  urlFor(url: string): string {
    const through = new URL(url);
    through.hostname = '127.0.0.1';
    through.port = String((this.#server.address() as AddressInfo).port);
    return through.href.replace(/\/$/, '');
  }

  /** From now on what goes this way is taken, and kept. The other way goes on. */
  stall(direction: Direction): void {
    this.#stalled.add(direction);
  }

  /** What was kept is passed on, and what comes after it. */
  flow(direction: Direction): void {
    this.#stalled.delete(direction);
    for (const link of this.#links) {
      const destination = destinationOf(link, direction);
      for (const chunk of link.held[direction].splice(0)) destination.write(chunk);
    }
  }

  /** What is kept of the connections that are open, in the order in which it came. */
  held(direction: Direction): Buffer {
    return Buffer.concat([...this.#links].flatMap((link) => link.held[direction]));
  }

  /** Cuts all connections, with what is kept of them, and takes none until `accept`. */
  refuse(): void {
    this.#refuses = true;
    this.cutAll();
  }

  accept(): void {
    this.#refuses = false;
  }

  cutAll(): void {
    for (const { client, server } of this.#links) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cutAll();
    await closed;
  }

  #serve(client: Socket): void {
    if (this.#refuses) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ ...this.#target, noDelay: true });
    const link: Link = { client, server, held: { toServer: [], toClient: [] } };
    this.#links.add(link);
    this.accepted++;
    this.#relay(link, 'toServer');
    this.#relay(link, 'toClient');
    for (const socket of [client, server]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#links.delete(link);
        client.destroy();
        server.destroy();
      });
    }
  }

  #relay(link: Link, direction: Direction): void {
    const [source, destination] = [sourceOf(link, direction), destinationOf(link, direction)];
    source.on('data', (chunk) => {
      if (this.#stalled.has(direction)) link.held[direction].push(chunk);
      else destination.write(chunk);
    });
    source.on('end', () => destination.end());
  }
}

const sourceOf = ({ client, server }: Link, direction: Direction): Socket => (direction === 'toServer' ? client : server);
const destinationOf = ({ client, server }: Link, direction: Direction): Socket => (direction === 'toServer' ? server : client);
