import { untilAborted } from './deadline.ts';
import { UnknownLeaderError } from './kafka-errors.ts';
import type { Broker, ClusterHandle } from './kafkajs-internals.ts';
import { type EncodedRequest, RequestChannel, readyConnection } from './request-channel.ts';

/** A leader that has moved is told by an error; this finds brokers that are new. */
const METADATA_MAX_AGE_MS = 300_000;
const TRANSACTION_COORDINATOR = 1;

/** The brokers of a cluster that a producer talks to. The library connects them and knows who leads what; the requests are ours. */
export class ClusterRequests {
  readonly #handle: ClusterHandle;
  readonly #channel = new RequestChannel();
  readonly #topics = new Set<string>();
  readonly #leaders = new Map<string, Broker>();
  #metadataAtMs = Number.NEGATIVE_INFINITY;
  #hasToAskAgain = false;
  #coordinator: Broker | null = null;

  constructor(handle: ClusterHandle) {
    this.#handle = handle;
  }

  /** Aborted when the connections were broken for good. */
  get ended(): AbortSignal {
    return this.#handle.ended;
  }

  /** Whether the metadata of these topics are there and fresh. */
  knows(batches: readonly { readonly topic: string }[]): boolean {
    return performance.now() - this.#metadataAtMs < METADATA_MAX_AGE_MS && batches.every(({ topic }) => this.#topics.has(topic));
  }

  async learn(batches: readonly { readonly topic: string }[]): Promise<void> {
    const { cluster } = this.#handle;
    const unknown = [...new Set(batches.map(({ topic }) => topic))].filter((topic) => !this.#topics.has(topic));
    await this.#orEnded(cluster.connect());
    // For new topics the library asks for the metadata of all.
    await this.#orEnded(cluster.addMultipleTargetTopics(unknown));
    if (unknown.length === 0 || this.#hasToAskAgain) await this.#orEnded(cluster.refreshMetadata());
    for (const topic of unknown) this.#topics.add(topic);
    this.#hasToAskAgain = false;
    this.#metadataAtMs = performance.now();
  }

  /** After an error: whoever is asked next may be another broker. */
  forgetWhoLeads(): void {
    this.#metadataAtMs = Number.NEGATIVE_INFINITY;
    this.#hasToAskAgain = true;
    this.#coordinator = null;
  }

  /** Node id of the leader, as the metadata have it. Throws UnknownLeaderError. */
  leaderOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
    const row = this.#handle.cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition);
    if (row === undefined || row.leader < 0) throw new UnknownLeaderError({ topic, partition });
    return String(row.leader);
  }

  /** The broker with this node id, when its connection is ready. */
  readyLeader(nodeId: string): Broker | null {
    const broker = this.#leaders.get(nodeId);
    return broker !== undefined && readyConnection(broker) !== null ? broker : null;
  }

  async connectLeader(nodeId: string): Promise<Broker> {
    // Without acknowledgements a broker that does not lead any more says so by hanging up, and in no other way.
    if (this.#leaders.has(nodeId)) this.#metadataAtMs = Number.NEGATIVE_INFINITY;
    const broker = await this.#orEnded(this.#handle.cluster.findBroker({ nodeId }));
    this.#leaders.set(nodeId, broker);
    return broker;
  }

  /** The transaction coordinator found before, when its connection is ready. */
  readyCoordinator(): Broker | null {
    return this.#coordinator !== null && readyConnection(this.#coordinator) !== null ? this.#coordinator : null;
  }

  /** Something else after each new connection to the coordinator; null while there is none. */
  get coordinatorConnection(): object | null {
    return this.#coordinator === null ? null : (readyConnection(this.#coordinator)?.socket ?? null);
  }

  async connectCoordinator(transactionalId: string): Promise<Broker> {
    const which = { groupId: transactionalId, coordinatorType: TRANSACTION_COORDINATOR };
    this.#coordinator = await this.#orEnded(this.#handle.cluster.findGroupCoordinator(which));
    return this.#coordinator;
  }

  /** The answer behind its correlation id. Rejects with the library's errors when the connection ends or nothing comes in time. */
  send(broker: Broker, request: EncodedRequest): Promise<Buffer> {
    const connection = readyConnection(broker);
    if (connection === null) return Promise.reject(new Error('the connection to the broker was lost before the request was sent'));
    return this.#channel.send(connection, request);
  }

  /** The broker asks that it be sent nothing for so long. */
  throttle(broker: Broker, forMs: number): void {
    if (forMs > 0) broker.connectionPool.pool[0]?.requestQueue.maybeThrottle(forMs);
  }

  /** The library has waits without an end; that of the whole call is its caller's, who then breaks the connections. */
  #orEnded<T>(work: Promise<T>): Promise<T> {
    return untilAborted(work, this.ended);
  }
}
