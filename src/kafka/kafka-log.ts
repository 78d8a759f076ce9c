import type { CompressionName } from './compression.ts';
import { type FetchLoopOptions, KafkaFetchLoop } from './fetch-loop.ts';
import { type GroupMembershipOptions, KafkaGroupMembership } from './group-membership.ts';
import type { KafkaAddress } from './kafkajs-internals.ts';
import { KafkaLogAdmin } from './log-admin.ts';
import type { FetchLoop, GroupMembership, LogAdmin, LogClient, ProduceLane, TransactionLane } from './log-port.ts';
import { KafkaProduceLane, type ProduceLaneOptions } from './produce-lane.ts';
import { KafkaTransactionLane, type TransactionLaneOptions } from './transaction-lane.ts';

const CLOSE_DEADLINE_MS = 2_000;

/**
 * The log as real Kafka. Connects nothing yet: each part has connections of its own and opens them when it is first used.
 * `clientId` is what the group membership shows; the other parts append their names to it. Its lanes compress what they produce.
 */
export function createKafkaLog(address: KafkaAddress, compression: CompressionName = 'none'): LogClient {
  return new KafkaLog(address, compression);
}

/** What was made and has to be ended with the client, unless somebody has ended it before. */
interface Part {
  readonly isClosed: boolean;
}

class KafkaLog implements LogClient {
  readonly #address: KafkaAddress;
  readonly #compression: CompressionName;
  readonly #parts = new Map<Part, () => Promise<void>>();

  constructor(address: KafkaAddress, compression: CompressionName) {
    this.#address = address;
    this.#compression = compression;
  }

  produceLane(options: ProduceLaneOptions): ProduceLane {
    const lane = new KafkaProduceLane(this.#address, { compression: this.#compression, ...options });
    return this.#keep(lane, () => lane.close(CLOSE_DEADLINE_MS));
  }

  transactionLane(options: TransactionLaneOptions): TransactionLane {
    const lane = new KafkaTransactionLane(this.#address, { compression: this.#compression, ...options });
    return this.#keep(lane, () => lane.close());
  }

  fetchLoop(options: FetchLoopOptions): FetchLoop {
    const loop = new KafkaFetchLoop(this.#address, options);
    return this.#keep(loop, () => loop.close());
  }

  membership(options: GroupMembershipOptions): GroupMembership {
    const membership = new KafkaGroupMembership(this.#address, options);
    return this.#keep(membership, () => membership.stop(CLOSE_DEADLINE_MS));
  }

  admin(): LogAdmin {
    const admin = new KafkaLogAdmin(this.#address);
    return this.#keep(admin, () => admin.close());
  }

  async close(): Promise<void> {
    const ends = [...this.#parts.values()];
    this.#parts.clear();
    await Promise.all(ends.map((end) => end()));
  }

  /** Forgets closed parts first: a transaction lane lives only from one error to the next. */
  #keep<T extends Part>(part: T, end: () => Promise<void>): T {
    for (const [other] of this.#parts) if (other.isClosed) this.#parts.delete(other);
    this.#parts.set(part, end);
    return part;
  }
}
