import { createRequire } from 'node:module';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type KafkaConfig, type logCreator as LogCreator, logLevel, type SASLOptions } from 'kafkajs';
import { log } from '../ops/log.ts';
import { AnswerAssembler, type AnswerPool } from './answer-memory.ts';
import type { LibraryBroker } from './request-channel.ts';

// Everything that reaches into the client library (kafkajs 2.2.4, pinned exactly). test/contract/log-kafkajs-behaviour.test.ts pins
// what is relied on, so that another version cannot change it silently.

/** How to reach Kafka; the same for each connection of the process. */
export interface KafkaAddress {
  readonly brokers: readonly string[];
  readonly clientId: string;
  /** True: as the machine trusts; the object says which CAs instead, and has our own certificate. */
  readonly ssl?: boolean | Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;
  readonly sasl?: SASLOptions;
}

export interface RetrySettings {
  readonly initialRetryTime: number;
  readonly multiplier?: number;
  readonly maxRetryTime: number;
  readonly retries: number;
}

/** A request and its response in the library's terms. */
export interface ProtocolCall<T> {
  readonly request: object;
  readonly response: {
    readonly decode: (payload: Buffer) => Promise<{ payload: Buffer; clientSideThrottleTime: number }>;
    readonly parse: (decoded: { payload: Buffer }) => Promise<T>;
  };
  readonly requestTimeout?: number;
}

export interface Broker extends LibraryBroker {
  readonly connectionPool: LibraryBroker['connectionPool'] & { send<T>(call: ProtocolCall<T>): Promise<T> };
  describeGroups(request: { groupIds: readonly string[] }): Promise<{
    groups: readonly { members: readonly { memberId: string; clientId: string }[] }[];
  }>;
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>;
}

export interface Cluster {
  connect(): Promise<void>;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  /** Node id of the leader -> partitions. A partition that the metadata do not know is left out. */
  findLeaderForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, readonly number[]>>;
  /** Throws when no metadata are there at all. */
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[];
  findBroker(which: { nodeId: string }): Promise<Broker>;
  findGroupCoordinator(which: { groupId: string; coordinatorType?: number }): Promise<Broker>;
}

const requireInternal = createRequire(import.meta.url);
const ClusterClass = requireInternal('kafkajs/src/cluster') as new (options: object) => Cluster;
const { createLogger } = requireInternal('kafkajs/src/loggers') as { createLogger: (options: object) => object };
const RequestQueue = requireInternal('kafkajs/src/network/requestQueue') as {
  prototype: { pending: readonly unknown[]; scheduleCheckPendingRequests: () => void };
};
const Connection = requireInternal('kafkajs/src/network/connection') as {
  prototype: { bytesBuffered: number; chunks: Buffer[]; processData: (data: Buffer) => void };
};
const { createErrorFromCode } = requireInternal('kafkajs/src/protocol/error') as { createErrorFromCode: (code: number) => Error };
const fetchRequestV11 = requireInternal('kafkajs/src/protocol/requests/fetch/v11/request') as (request: FetchRequest) => object;

/** The library re-arms a timer of 1 ms for ever on each connection, also when nothing is queued: 4 % of a CPU for 48 idle producers. */
function stopIdleTimers(): void {
  const schedule = RequestQueue.prototype.scheduleCheckPendingRequests;
  RequestQueue.prototype.scheduleCheckPendingRequests = function scheduleWhenPending(this: { pending: readonly unknown[] }) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
stopIdleTimers();

/**
 * The library keeps the rest of what came with a response, nothing in most cases, and copies the whole next response to put it behind that; until
 * then the nothing holds the response before in memory.
 */
function forgetEmptyRests(): void {
  const process = Connection.prototype.processData;
  Connection.prototype.processData = function processWithoutEmptyRest(data) {
    if (this.bytesBuffered === 0) this.chunks = [];
    process.call(this, data);
  };
}
forgetEmptyRests();

/** The library logs as an error what it then retries. Our own events tell what matters; its lines are for the deepest look. */
export const quietLogCreator: LogCreator = () => (entry) => {
  const { message, timestamp: _timestamp, logger: _logger, ...fields } = entry.log;
  const target = log('kafkajs');
  if (entry.level <= logLevel.WARN) target.debug(fields, `${entry.namespace}: ${message}`);
  else target.trace(fields, `${entry.namespace}: ${message}`);
};

/** The library splits `host:port` at each colon: those of `[::1]:9092` pass it as other characters, and are theirs again where a socket is opened. */
function brokerForLibrary(broker: string): string {
  return broker.replace(/^\[.*\]/, (host) => host.replaceAll(':', ';'));
}

/** What brokers tell of themselves has no brackets. */
function hostFromLibrary(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1).replaceAll(';', ':') : host;
}

/** Connections that can be broken at once: a socket that is closed without an error leaves its requests pending for 30 s. */
export class BreakableSockets {
  readonly #answers: AnswerPool | null;
  readonly #sockets = new Set<Socket>();
  #brokenBy: Error | null = null;

  /** answers: where responses are read into, each whole and alone, as long as the connection is not encrypted. */
  constructor(answers: AnswerPool | null = null) {
    this.#answers = answers;
  }

  /** For the library's option `socketFactory`. */
  readonly factory = (target: { host: string; port: number; ssl?: ConnectionOptions; onConnect: () => void }): Socket => {
    if (this.#brokenBy !== null) throw this.#brokenBy;
    const { port, ssl, onConnect } = target;
    const host = hostFromLibrary(target.host);
    const serverName = isIP(host) ? {} : { servername: host };
    const socket = ssl ? connectTls({ host, port, ...serverName, ...ssl }, onConnect) : this.#connectTcp({ host, port }, onConnect);
    socket.setKeepAlive(true, 60_000);
    socket.setNoDelay(true);
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    return socket;
  };

  #connectTcp(target: { host: string; port: number }, onConnect: () => void): Socket {
    if (this.#answers === null) return connectTcp(target, onConnect);
    const answers = new AnswerAssembler(this.#answers, (answer) => socket.emit('data', answer));
    const callback = (bytes: number): boolean => {
      answers.filled(bytes);
      return true;
    };
    const socket: Socket = connectTcp({ ...target, onread: { buffer: () => answers.room(), callback } }, onConnect);
    return socket;
  }

  /** Breaks what is open and whatever would be opened later: each pending request rejects. */
  destroy(error: Error): void {
    this.#brokenBy = error;
    for (const socket of this.#sockets) socket.destroy(error);
  }
}

export interface ClusterHandle {
  readonly cluster: Cluster;
  /** Aborted by `destroy`, with its error. */
  readonly ended: AbortSignal;
  /** Breaks all connections; calls under way and later ones reject. */
  destroy(error: Error): void;
}

const CONNECTION_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const METADATA_MAX_AGE_MS = 300_000;

const libraryLogger = createLogger({ level: logLevel.INFO, logCreator: quietLogCreator });

/** Opens the library's view of the cluster, with connections of its own. Nothing is connected yet. `answers`: as BreakableSockets has it. */
export function openCluster(address: KafkaAddress, retry: RetrySettings, answers: AnswerPool | null = null): ClusterHandle {
  const sockets = new BreakableSockets(answers);
  const cluster = new ClusterClass({
    logger: libraryLogger,
    socketFactory: sockets.factory,
    brokers: address.brokers.map(brokerForLibrary),
    ssl: address.ssl,
    sasl: address.sasl,
    clientId: address.clientId,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    enforceRequestTimeout: true,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
    retry,
  });
  const ending = new AbortController();
  const destroy = (error: Error) => {
    // The library's retries would go on against the broken sockets; these two stand at the beginning of each.
    const refuse = () => Promise.reject(Object.assign(new Error(error.message), { retriable: false }));
    Object.assign(cluster, { addMultipleTargetTopics: refuse, findGroupCoordinator: refuse });
    sockets.destroy(error);
    ending.abort(error);
  };
  return { cluster, ended: ending.signal, destroy };
}

/** What the protocol's guide says of an error code. */
export function messageOfCode(code: number): string {
  return createErrorFromCode(code).message;
}

export interface FetchRequest {
  readonly replicaId: -1;
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  /** 0 reads everything, 1 what is committed. */
  readonly isolationLevel: 0 | 1;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }[];
  }[];
}

/** Sends a Fetch v11 by the library's connection and gives the response undecoded. */
export function sendFetch(broker: Broker, request: FetchRequest): Promise<Buffer> {
  return broker.connectionPool.send({
    request: fetchRequestV11(request),
    response: {
      decode: async (payload) => ({ payload, clientSideThrottleTime: payload.length < 4 ? 0 : payload.readInt32BE(0) }),
      parse: async ({ payload }) => payload,
    },
    requestTimeout: request.maxWaitTime + REQUEST_TIMEOUT_MS,
  });
}

/** Options of the library's public client for what runs on it: group membership and admin. */
export function publicClientConfig(address: KafkaAddress, options: { retry: RetrySettings; sockets: BreakableSockets }): KafkaConfig {
  return {
    brokers: address.brokers.map(brokerForLibrary),
    clientId: address.clientId,
    ...(address.ssl === undefined ? {} : { ssl: address.ssl }),
    ...(address.sasl === undefined ? {} : { sasl: address.sasl }),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: options.retry,
    socketFactory: options.sockets.factory as NonNullable<KafkaConfig['socketFactory']>,
    logLevel: logLevel.INFO,
    logCreator: quietLogCreator,
  };
}
