import { FLEXIBLE } from './field-notation.ts';
import { headerBytes, writeHeader } from './request-writer.ts';

// Sends requests that we have encoded ourselves over the library's connections: one promise per request, and one buffer that is used again and
// again. Connections, TLS, login, correlation ids, time limits and throttling stay the library's. These are its connection and its queue of
// requests as they are in version 2.2.4; test/contract/log-kafkajs-behaviour.test.ts pins what is used.

/** What is written into the library's queue of requests. */
interface QueuedRequest {
  readonly entry: {
    readonly apiKey: number;
    readonly apiName: string;
    readonly apiVersion: number;
    readonly correlationId: number;
    readonly resolve: (answer: { readonly payload: Buffer | null }) => void;
    readonly reject: (error: Error) => void;
  };
  readonly expectResponse: boolean;
  /** Null: the connection's own. */
  readonly requestTimeout: null;
  readonly sendRequest: () => void;
}

export interface LibraryConnection {
  readonly clientId: string;
  readonly sasl?: unknown;
  readonly socket: { write(bytes: Uint8Array, written?: (error?: Error | null) => void): boolean; destroy(error: Error): unknown };
  readonly requestQueue: { push(request: QueuedRequest): void; maybeThrottle(throttleTimeMs: number): void };
  isConnected(): boolean;
  isAuthenticated(): boolean;
  nextCorrelationId(): number;
}

export interface LibraryBroker {
  /** What the broker speaks, by the number of the request. Null before the first connection. */
  readonly versions: Readonly<Record<number, { readonly maxVersion: number } | undefined>> | null;
  /** The first is for everything but fetches. */
  readonly connectionPool: { readonly pool: readonly LibraryConnection[] };
}

/** One request, ready to be written. */
export interface EncodedRequest {
  readonly apiKey: number;
  readonly apiName: string;
  readonly apiVersion: number;
  /** Of a version with tagged fields: there is one more byte in its header, and in front of the answers to all but ApiVersions. */
  readonly isFlexible?: boolean;
  /** A Produce request without acknowledgement is not. */
  readonly isAnswered: boolean;
  readonly bodyBytes: number;
  readonly writeBody: (into: Buffer, at: number) => void;
}

const INITIAL_BUFFER_BYTES = 65_536;
/** A buffer that had to grow beyond this is not kept. */
const KEPT_BUFFER_BYTES = 2 * 1024 * 1024;
const NO_ANSWER = Buffer.alloc(0);

/** The connection for requests of this broker, or null when the library has to make it ready first. */
export function readyConnection(broker: LibraryBroker): LibraryConnection | null {
  const connection = broker.connectionPool.pool[0];
  if (connection === undefined || broker.versions === null || !connection.isConnected()) return null;
  return !connection.sasl || connection.isAuthenticated() ? connection : null;
}

/** The newest version of this request that both sides speak. Throws when there is none. */
export function sharedVersion(broker: LibraryBroker, request: { apiKey: number; apiName: string; oldest: number; newest: number }): number {
  const version = Math.min(request.newest, broker.versions?.[request.apiKey]?.maxVersion ?? -1);
  if (version >= request.oldest) return version;
  throw Object.assign(new Error(`the broker is too old: it does not speak ${request.apiName} version ${request.oldest}`), {
    retriable: false,
  });
}

/** Sends one request after the other. */
export class RequestChannel {
  /** One for one request after the other. Memory outside of the heap that is new with every request makes the collector run for it. */
  #freeBuffer: Buffer | null = null;

  /**
   * Resolves with the answer behind its correlation id; without an answer to wait for, when the socket has taken the request. Rejects with
   * the library's errors when the connection ends or the broker does not answer in time.
   */
  send(connection: LibraryConnection, request: EncodedRequest): Promise<Buffer> {
    const { apiKey, apiName, apiVersion, isAnswered, isFlexible = false } = request;
    const correlationId = connection.nextCorrelationId();
    const bytes = headerBytes(connection.clientId) + (isFlexible ? FLEXIBLE.endBytes : 0) + request.bodyBytes;
    const buffer = this.#takeBuffer(bytes);
    const at = writeHeader(buffer, { apiKey, apiVersion, correlationId, clientId: connection.clientId }, bytes);
    request.writeBody(buffer, isFlexible ? FLEXIBLE.writeEnd(buffer, at) : at);
    return new Promise<Buffer>((resolve, reject) => {
      // Answered, so the socket has sent all of it. After an error it may still hold on to the buffer, which is then left to it.
      const done = (answer: Buffer) => {
        this.#giveBack(buffer);
        resolve(answer);
      };
      const onError = (error: Error) => {
        // Whatever is still to come on this connection may be as late: the next request takes a new one.
        if (error.name === 'KafkaJSRequestTimeoutError') connection.socket.destroy(error);
        reject(error);
      };
      const onWritten = (error?: Error | null) => (error ? reject(error) : done(NO_ANSWER));
      connection.requestQueue.push({
        entry: {
          apiKey,
          apiName,
          apiVersion,
          correlationId,
          resolve: ({ payload }) => {
            if (payload !== null) done(payload);
          },
          reject: onError,
        },
        expectResponse: isAnswered,
        requestTimeout: null,
        sendRequest: () => {
          connection.socket.write(buffer.subarray(0, bytes), isAnswered ? undefined : onWritten);
        },
      });
    });
  }

  #takeBuffer(bytes: number): Buffer {
    const free = this.#freeBuffer;
    this.#freeBuffer = null;
    if (free !== null && free.length >= bytes) return free;
    return Buffer.allocUnsafeSlow(Math.max(INITIAL_BUFFER_BYTES, bytes + (bytes >> 2)));
  }

  #giveBack(buffer: Buffer): void {
    if (buffer.length <= KEPT_BUFFER_BYTES) this.#freeBuffer = buffer;
  }
}
