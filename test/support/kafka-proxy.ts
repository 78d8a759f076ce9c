import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

// A TCP proxy before a Kafka broker that knows where one request ends and the next begins, and which response belongs to which. A test
// decides for each of them whether it passes. The addresses in the broker's answers are replaced by that of the proxy, so that a client
// that was pointed to it stays with it.

export const KAFKA_API = {
  produce: 0,
  fetch: 1,
  metadata: 3,
  offsetCommit: 8,
  findCoordinator: 10,
  joinGroup: 11,
  heartbeat: 12,
  apiVersions: 18,
  initProducerId: 22,
  addPartitionsToTxn: 24,
  endTxn: 26,
} as const;

/** One request, or its response. */
export interface KafkaExchange {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string;
  /** The whole frame, with its length in front. Valid during the call. */
  readonly frame: Buffer;
}

/**
 * `pass` it on, with what was changed in it. `drop` it: the connection stays, whoever waits for it waits. `cut` the connection, with it undelivered. Whatever comes after
 * it on its connection waits for a promise.
 */
export type Verdict = 'pass' | 'drop' | 'cut';
type Judge = (exchange: KafkaExchange) => Verdict | Promise<Verdict>;

export interface KafkaProxyOptions {
  /** `host:port` of the broker. */
  readonly broker: string;
  /** Of the proxy; any free one by default. */
  readonly port?: number;
  readonly onRequest?: Judge;
  readonly onResponse?: Judge;
}

const LENGTH_BYTES = 4;
const FIRST_FLEXIBLE_PRODUCE = 9;

export class KafkaProxy {
  /** Replaceable while it runs. */
  onRequest: Judge;
  onResponse: Judge;
  readonly #host: string;
  readonly #port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: KafkaProxyOptions) {
    const [host, port] = options.broker.split(':');
    this.#host = host!;
    this.#port = Number(port);
    this.onRequest = options.onRequest ?? (() => 'pass');
    this.onResponse = options.onResponse ?? (() => 'pass');
    this.#server = createServer((client) => this.#serve(client));
  }

  static async start(options: KafkaProxyOptions): Promise<KafkaProxy> {
    const proxy = new KafkaProxy(options);
    proxy.#server.listen(options.port ?? 0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** `host:port`, to be given to a client as its only broker. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks all connections; new ones are taken. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cutAll();
    await closed;
  }

  #serve(client: Socket): void {
    const broker = connect(this.#port, this.#host);
    const pending: KafkaExchange[] = [];
    const cut = (): void => {
      client.resetAndDestroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', cut);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        cut();
      });
    }
    relayFrames({ from: client, to: broker, cut }, async (frame) => {
      const exchange = requestOf(frame);
      // Produce without acknowledgement is not answered.
      if (!isUnanswered(exchange)) pending.push(exchange);
      return await this.onRequest(exchange);
    });
    relayFrames({ from: broker, to: client, cut }, async (frame) => {
      const request = pending.shift();
      if (request === undefined) return 'pass';
      replacePorts(request, frame, Number(this.address.split(':')[1]));
      return await this.onResponse({ ...request, frame });
    });
  }
}

/**
 * Gives the processes behind the proxy other timeouts than their own: how long a member of a group may be silent, and how old a transaction
 * may become (protocol guide, JoinGroup and InitProducerId of the versions without tagged fields).
 */
export function replaceTimeouts(timeouts: { readonly sessionMs: number; readonly transactionMs: number }): Judge {
  return ({ apiKey, frame }) => {
    const body = afterString(frame, 12);
    if (apiKey === KAFKA_API.joinGroup) frame.writeInt32BE(timeouts.sessionMs, afterString(frame, body));
    else if (apiKey === KAFKA_API.initProducerId) frame.writeInt32BE(timeouts.transactionMs, afterString(frame, body));
    return 'pass';
  };
}

/** Passes whole frames on, one after the other, each when it was judged. */
function relayFrames(way: { from: Socket; to: Socket; cut: () => void }, judge: (frame: Buffer) => Promise<Verdict>): void {
  let received = Buffer.alloc(0);
  let queue = Promise.resolve();
  way.from.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= LENGTH_BYTES && received.length >= LENGTH_BYTES + received.readInt32BE(0)) {
      const end = LENGTH_BYTES + received.readInt32BE(0);
      const frame = Buffer.from(received.subarray(0, end));
      received = received.subarray(end);
      queue = queue.then(async () => {
        if (way.to.destroyed) return;
        const verdict = await judge(frame);
        if (verdict === 'cut') way.cut();
        else if (verdict === 'pass' && !way.to.destroyed) way.to.write(frame);
      });
    }
  });
}

/** Length, api key, api version, correlation id, client id (protocol guide, "Request Header v1"). */
function requestOf(frame: Buffer): KafkaExchange {
  const clientIdBytes = frame.readInt16BE(12);
  return {
    apiKey: frame.readInt16BE(4),
    apiVersion: frame.readInt16BE(6),
    correlationId: frame.readInt32BE(8),
    clientId: clientIdBytes < 0 ? '' : frame.toString('utf8', 14, 14 + clientIdBytes),
    frame,
  };
}

function isUnanswered({ apiKey, apiVersion, frame }: KafkaExchange): boolean {
  if (apiKey !== KAFKA_API.produce) return false;
  let at = afterString(frame, 12);
  // In the flexible versions one byte for no tagged fields stands in front of the body.
  if (apiVersion >= FIRST_FLEXIBLE_PRODUCE) at = afterCompactString(frame, at + 1);
  else if (apiVersion >= 3) at = afterString(frame, at);
  return frame.readInt16BE(at) === 0;
}

/** Puts our port where the broker names its own: as long as both are on one host, no length changes. */
function replacePorts({ apiKey, apiVersion }: KafkaExchange, response: Buffer, port: number): void {
  const body = 8;
  if (apiKey === KAFKA_API.metadata) {
    let at = body + (apiVersion >= 3 ? 4 : 0);
    const brokers = response.readInt32BE(at);
    at += 4;
    for (let i = 0; i < brokers; i++) {
      at = afterString(response, at + 4);
      response.writeInt32BE(port, at);
      at = apiVersion >= 1 ? afterString(response, at + 4) : at + 4;
    }
  } else if (apiKey === KAFKA_API.findCoordinator) {
    let at = body + (apiVersion >= 1 ? 4 : 0);
    if (response.readInt16BE(at) !== 0) return;
    at = apiVersion >= 1 ? afterString(response, at + 2) : at + 2;
    response.writeInt32BE(port, afterString(response, at + 4));
  }
}

function afterString(buffer: Buffer, at: number): number {
  return at + 2 + Math.max(0, buffer.readInt16BE(at));
}

/** Of the flexible versions, shorter than 127 bytes: one byte says one more than its length. */
export function afterCompactString(buffer: Buffer, at: number): number {
  return at + Math.max(1, buffer.readUInt8(at));
}
