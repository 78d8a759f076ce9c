import { type Consumer, Kafka } from 'kafkajs';
import { IngotError } from '../errors.ts';
import { coordinatorAwaited, deadMemberEvicted, groupJoined, membershipEnded, membershipInterrupted } from '../ops/kafka-events.ts';
import { backOffMs, pause, withDeadline } from './deadline.ts';
import { errorText, isCoordinatorMovingError, isFinalGroupError } from './kafka-errors.ts';
import { BreakableSockets, type KafkaAddress, openCluster, publicClientConfig, type RetrySettings } from './kafkajs-internals.ts';
import type { GroupMembership } from './log-port.ts';

export interface GroupMembershipOptions {
  readonly groupId: string;
  readonly topic: string;
  readonly sessionTimeoutMs: number;
  /** Only when the client id is surely nobody else's: members with it are then earlier lives of this process. */
  readonly evictOwnClientId: boolean;
}

interface Listeners {
  readonly onAssigned: (partitions: readonly number[]) => void;
  readonly onFailed: (error: Error) => void;
}

/** One life of the library's consumer, from joining to its crash or to `stop`. */
interface ConsumerLife {
  readonly consumer: Consumer;
  readonly sockets: BreakableSockets;
  memberId: string | null;
}

const CLUSTER_RETRY: RetrySettings = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 };
/** Else a broker outage makes the consumer crash, and its next life waits for the ghost of this one. */
const ENDLESS_RETRY: RetrySettings = { initialRetryTime: 100, maxRetryTime: 2_000, retries: Number.MAX_SAFE_INTEGER };
const BACK_OFF = { firstMs: 100, maxMs: 5_000 };
/** The library sleeps this long between looks at its group when all partitions are paused. */
const LOOK_INTERVAL_MS = 250;
const MAX_HEARTBEAT_INTERVAL_MS = 500;
const REBALANCE_TIMEOUT_MS = 60_000;
const EVICTION_DEADLINE_MS = 15_000;
const COMMIT_DEADLINE_MS = 10_000;
const CRASH_CLEANUP_DEADLINE_MS = 5_000;

/**
 * The library's consumer, used for membership only: everything it is assigned stays paused for ever, it heartbeats by itself, and
 * records are read by the fetch loop.
 */
export class KafkaGroupMembership implements GroupMembership {
  readonly #address: KafkaAddress;
  readonly #options: GroupMembershipOptions;
  readonly #stopping = new AbortController();
  #listeners: Listeners | null = null;
  #life: ConsumerLife | null = null;
  #supervision: Promise<void> = Promise.resolve();
  /** Called at each sign that the group counts us as a member. */
  readonly #awaitingConfirmation = new Set<() => void>();
  #isCommitting = false;

  constructor(address: KafkaAddress, options: GroupMembershipOptions) {
    this.#address = address;
    this.#options = options;
  }

  async start(on: Listeners): Promise<void> {
    if (this.#listeners !== null) throw new Error(`membership of ${this.#options.groupId} was started twice`);
    this.#listeners = on;
    const joined = this.#nextConfirmation();
    this.#supervision = this.#supervise();
    // Ends with the supervision when the group refuses us for good, which onFailed tells, or when stop was called meanwhile.
    await Promise.race([joined.promise, this.#supervision]);
    joined.forget();
  }

  async confirm(deadlineMs: number): Promise<void> {
    const { groupId } = this.#options;
    const confirmation = this.#nextConfirmation();
    const onExpired = () => new IngotError('MEMBERSHIP_UNCONFIRMED', `group ${groupId} did not confirm us within ${deadlineMs} ms`);
    try {
      await withDeadline(confirmation.promise, { ms: deadlineMs, onExpired, signal: this.#stopping.signal });
    } finally {
      confirmation.forget();
    }
  }

  async commitOffsets(offsets: ReadonlyMap<number, number>): Promise<void> {
    const { topic, groupId } = this.#options;
    const life = this.#life;
    if (offsets.size === 0) return;
    if (life === null || this.#isCommitting) {
      const reason = life === null ? 'we are not a member just now' : 'the commit before has not been answered';
      throw new IngotError('OFFSETS_NOT_COMMITTED', `group ${groupId}: ${reason}`);
    }
    this.#isCommitting = true;
    // The library repeats a commit for as long as it lives: one at a time, or they would pile up during an outage.
    const work = life.consumer
      .commitOffsets([...offsets].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })))
      .finally(() => {
        this.#isCommitting = false;
      });
    const onExpired = () => new Error(`no answer within ${COMMIT_DEADLINE_MS} ms`);
    try {
      await withDeadline(work, { ms: COMMIT_DEADLINE_MS, onExpired, signal: this.#stopping.signal });
    } catch (error) {
      throw new IngotError('OFFSETS_NOT_COMMITTED', `group ${groupId}: ${errorText(error)}`, { cause: error });
    }
  }

  get isClosed(): boolean {
    return this.#stopping.signal.aborted;
  }

  async stop(deadlineMs: number): Promise<void> {
    const life = this.#life;
    this.#life = null;
    const stopped = new Error(`membership of ${this.#options.groupId} was stopped`);
    // The supervision ends, and does not take what follows for a crash; then we leave the group in good order.
    this.#stopping.abort(stopped);
    if (life !== null) await this.#endLife(life, { deadlineMs, reason: stopped });
    await this.#supervision;
  }

  /** One life of the consumer after the other, until stopped or refused for good. Never rejects. */
  async #supervise(): Promise<void> {
    const { groupId } = this.#options;
    let attempt = 1;
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#live(() => {
          attempt = 1;
        });
        return;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        if (isFinalGroupError(error)) {
          membershipEnded({ groupId, error: errorText(error) });
          this.#listeners?.onFailed(new IngotError('MEMBERSHIP_ENDED', `group ${groupId}: ${errorText(error)}`, { cause: error }));
          return;
        }
        const retryInMs = backOffMs(attempt, BACK_OFF);
        const event = { groupId, attempt, retryInMs, error: errorText(error) };
        if (isCoordinatorMovingError(error)) coordinatorAwaited(event);
        else membershipInterrupted(event);
        attempt++;
        await pause(retryInMs, this.#stopping.signal);
      }
    }
  }

  /** Resolves when stopped; rejects with what the consumer crashed of. */
  async #live(onJoined: () => void): Promise<void> {
    if (this.#options.evictOwnClientId) await this.#evict((member) => member.clientId === this.#address.clientId);
    if (this.#stopping.signal.aborted) return;
    const life = this.#createConsumer();
    this.#life = life;
    try {
      await this.#runUntilCrash(life, onJoined);
    } finally {
      if (this.#life === life) {
        this.#life = null;
        const { memberId } = life;
        await this.#endLife(life, { deadlineMs: CRASH_CLEANUP_DEADLINE_MS, reason: new Error('the consumer is replaced after a crash') });
        // The library leaves the group only when it stops in good order; the next life would wait for this one's session to end.
        if (memberId !== null && !this.#stopping.signal.aborted) await this.#evict((member) => member.memberId === memberId);
      }
    }
  }

  #createConsumer(): ConsumerLife {
    const { groupId, sessionTimeoutMs } = this.#options;
    const sockets = new BreakableSockets();
    const kafka = new Kafka(publicClientConfig(this.#address, { retry: CLUSTER_RETRY, sockets }));
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      heartbeatInterval: Math.min(MAX_HEARTBEAT_INTERVAL_MS, Math.floor(sessionTimeoutMs / 6)),
      maxWaitTimeInMs: LOOK_INTERVAL_MS,
      allowAutoTopicCreation: false,
      // We begin again ourselves: the library would come back even after `stop`, and without evicting.
      retry: { ...ENDLESS_RETRY, restartOnFailure: async () => false },
    });
    return { consumer, sockets, memberId: null };
  }

  async #runUntilCrash(life: ConsumerLife, onJoined: () => void): Promise<void> {
    const { consumer } = life;
    const { topic } = this.#options;
    const { signal } = this.#stopping;
    const crashed = new Promise<never>((_resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    });
    crashed.catch(() => undefined);
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    consumer.on(consumer.events.HEARTBEAT, () => this.#confirmed());
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if (this.#life !== life) return;
      life.memberId = payload.memberId;
      onJoined();
      // In time: the listener runs before the consumer looks at what it may fetch.
      consumer.pause([{ topic }]);
      this.#assigned(payload.memberAssignment[topic] ?? [], payload.duration);
    });
    await Promise.race([crashed, this.#startConsumer(consumer)]);
    await Promise.race([crashed, stopped]);
  }

  async #startConsumer(consumer: Consumer): Promise<void> {
    const { topic } = this.#options;
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const running = consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async () => {
        throw new Error(`the membership consumer was given records of ${topic}, which must stay paused`);
      },
    });
    consumer.pause([{ topic }]);
    await running;
  }

  #assigned(partitions: readonly number[], tookMs: number): void {
    const { groupId, topic } = this.#options;
    const sorted = partitions.toSorted((a, b) => a - b);
    groupJoined({ groupId, topic, partitions: sorted, tookMs });
    this.#listeners?.onAssigned(sorted);
    this.#confirmed();
  }

  async #endLife(life: ConsumerLife, end: { deadlineMs: number; reason: Error }): Promise<void> {
    const onExpired = () => new Error('the consumer did not stop in time');
    await withDeadline(life.consumer.disconnect(), { ms: end.deadlineMs, onExpired }).catch(() => undefined);
    life.sockets.destroy(end.reason);
  }

  /** Makes dead members leave: they would keep the group waiting until their session times out (9 s of a session of 10 s). */
  async #evict(isDead: (member: { memberId: string; clientId: string }) => boolean): Promise<void> {
    const { groupId } = this.#options;
    const handle = openCluster(this.#address, CLUSTER_RETRY);
    const work = async () => {
      await handle.cluster.connect();
      await handle.cluster.addMultipleTargetTopics([this.#options.topic]);
      const coordinator = await handle.cluster.findGroupCoordinator({ groupId });
      const { groups } = await coordinator.describeGroups({ groupIds: [groupId] });
      for (const { memberId } of groups.flatMap((group) => group.members.filter(isDead))) {
        await coordinator.leaveGroup({ groupId, memberId });
        deadMemberEvicted({ groupId, memberId });
      }
    };
    const onExpired = () => new Error(`the group was not described within ${EVICTION_DEADLINE_MS} ms`);
    try {
      await withDeadline(work(), { ms: EVICTION_DEADLINE_MS, onExpired, signal: this.#stopping.signal });
    } finally {
      handle.destroy(new Error('the eviction has ended'));
    }
  }

  #nextConfirmation(): { promise: Promise<void>; forget: () => void } {
    let resolveNow: () => void = () => undefined;
    const promise = new Promise<void>((resolve) => {
      resolveNow = resolve;
    });
    this.#awaitingConfirmation.add(resolveNow);
    return { promise, forget: () => this.#awaitingConfirmation.delete(resolveNow) };
  }

  #confirmed(): void {
    const waiting = [...this.#awaitingConfirmation];
    this.#awaitingConfirmation.clear();
    for (const resolve of waiting) resolve();
  }
}
