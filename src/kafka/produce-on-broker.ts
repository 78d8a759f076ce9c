import { createRequire } from 'node:module';
import { isEncodable, type ProduceCall, produceRequestBytes, writeProduceRequest } from './produce-request.ts';

// Produce requests of pre-encoded records, encoded by us into a buffer that is used again and again. What the library does with them stays
// its own: sequence numbers, versions, connections, time limits, throttling and repetitions. These are its broker and its connection as they
// are in version 2.2.4; test/contract/log-kafkajs-behaviour.test.ts pins what is used.

/** What is written into the library's queue of requests. */
interface QueuedRequest {
  readonly entry: {
    readonly apiKey: number;
    readonly apiName: string;
    readonly apiVersion: number;
    readonly correlationId: number;
    readonly resolve: (answer: { readonly payload: Buffer }) => void;
    readonly reject: (error: Error) => void;
  };
  readonly expectResponse: boolean;
  readonly requestTimeout: null;
  readonly sendRequest: () => void;
}

interface Connection {
  readonly clientId: string;
  readonly sasl?: unknown;
  readonly socket: { write(bytes: Uint8Array): boolean };
  readonly requestQueue: { push(request: QueuedRequest): void; maybeThrottle(throttleTimeMs: number): void };
  isConnected(): boolean;
  isAuthenticated(): boolean;
  nextCorrelationId(): number;
}

interface ProduceProtocol {
  readonly request: {
    readonly apiKey: number;
    readonly apiName: string;
    readonly apiVersion: number;
    readonly expectResponse: () => boolean;
  };
  readonly response: {
    readonly decode: (payload: Buffer) => Promise<{ readonly clientSideThrottleTime: number }>;
    readonly parse: (decoded: { readonly clientSideThrottleTime: number }) => Promise<unknown>;
  };
}

/** The library's broker, as far as producing goes. */
export interface ProducingBroker {
  produce(call: ProduceCall): Promise<unknown>;
  disconnect(): Promise<void>;
  readonly lookupRequest: (apiKey: number, versions: object) => (call: ProduceCall) => ProduceProtocol;
  readonly connectionPool: { readonly pool: readonly Connection[] };
}

const produceRequests = createRequire(import.meta.url)('kafkajs/src/protocol/requests/produce') as object;
const PRODUCE_API = 0;
const FIRST_VERSION_WITH_RECORD_BATCHES = 3;
const INITIAL_BUFFER_BYTES = 65_536;
/** A buffer that had to grow beyond this is not kept. */
const KEPT_BUFFER_BYTES = 2 * 1024 * 1024;

const changedBrokers = new WeakSet<ProducingBroker>();

/** Changes how the broker sends pre-encoded records; returns the same broker. */
export function produceInOneBuffer<T extends ProducingBroker>(broker: T): T {
  if (changedBrokers.has(broker)) return broker;
  changedBrokers.add(broker);
  const produceByLibrary = broker.produce.bind(broker);
  const requestBuffer = new RequestBuffer();
  broker.produce = async (call) => {
    // A connection that is not ready is the library's to make so.
    const connection = broker.connectionPool.pool[0];
    if (connection === undefined || !isReady(connection) || !isEncodable(call)) return produceByLibrary(call);
    const protocol = broker.lookupRequest(PRODUCE_API, produceRequests)(call);
    if (protocol.request.apiVersion < FIRST_VERSION_WITH_RECORD_BATCHES || !protocol.request.expectResponse())
      return produceByLibrary(call);
    try {
      return await produce(connection, protocol, { call, requestBuffer });
    } catch (error) {
      // As the library does it for every request.
      if ((error as Error).name === 'KafkaJSConnectionClosedError') await broker.disconnect();
      throw error;
    }
  };
  return broker;
}

function isReady(connection: Connection): boolean {
  return connection.isConnected() && (!connection.sasl || connection.isAuthenticated());
}

async function produce(
  connection: Connection,
  { request, response }: ProduceProtocol,
  { call, requestBuffer }: { call: ProduceCall; requestBuffer: RequestBuffer },
): Promise<unknown> {
  const { apiKey, apiName, apiVersion } = request;
  const header = { apiKey, apiVersion, correlationId: connection.nextCorrelationId(), clientId: connection.clientId };
  const bytes = produceRequestBytes(header, call);
  const buffer = requestBuffer.take(bytes);
  writeProduceRequest(buffer, header, call);
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly payload: Buffer }>();
  connection.requestQueue.push({
    entry: { apiKey, apiName, apiVersion, correlationId: header.correlationId, resolve, reject },
    expectResponse: true,
    requestTimeout: null,
    sendRequest: () => {
      connection.socket.write(buffer.subarray(0, bytes));
    },
  });
  const { payload } = await promise;
  // Answered, so the socket has sent all of it. After an error it may still hold on to the buffer, which is then left to it.
  requestBuffer.giveBack(buffer);
  const decoded = await response.decode(payload);
  connection.requestQueue.maybeThrottle(decoded.clientSideThrottleTime);
  return response.parse(decoded);
}

/** One buffer for one request after the other. Memory outside of the heap that is new with every request makes the collector run for it. */
class RequestBuffer {
  #free: Buffer | null = null;

  /** At least so many bytes, for the taker alone until it gives them back. */
  take(bytes: number): Buffer {
    const free = this.#free;
    this.#free = null;
    if (free !== null && free.length >= bytes) return free;
    return Buffer.allocUnsafeSlow(Math.max(INITIAL_BUFFER_BYTES, bytes + (bytes >> 2)));
  }

  giveBack(buffer: Buffer): void {
    if (buffer.length <= KEPT_BUFFER_BYTES) this.#free = buffer;
  }
}
