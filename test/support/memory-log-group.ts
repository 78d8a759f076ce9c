import { IngotError } from '../../src/errors.ts';
import type { GroupMembership } from '../../src/kafka/log-port.ts';

// Consumer groups of the in-memory log: round robin in the order of joining, everybody is told anew at each change.

interface Member {
  readonly clientId: string;
  readonly onAssigned: (partitions: readonly number[]) => void;
}

export class MemoryGroup {
  readonly offsets = new Map<string, Map<number, number>>();
  readonly #partitions: number;
  #members: Member[] = [];

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  join(member: Member, evictOwnClientId: boolean): void {
    if (evictOwnClientId) this.#members = this.#members.filter((other) => other.clientId !== member.clientId);
    this.#members.push(member);
    this.rebalance();
  }

  leave(member: Member): void {
    if (!this.#members.includes(member)) return;
    this.#members = this.#members.filter((other) => other !== member);
    this.rebalance();
  }

  has(member: Member): boolean {
    return this.#members.includes(member);
  }

  /** What the session timeout does to members that are dead, or silent for too long. They are not told. */
  expel(clientId: string): void {
    this.#members = this.#members.filter((member) => member.clientId !== clientId);
    this.rebalance();
  }

  /** Tells each member its partitions; a test can give another assignment, by the order of joining. */
  rebalance(assignment?: readonly (readonly number[])[]): void {
    const members = [...this.#members];
    members.forEach((member, index) => {
      const roundRobin = Array.from({ length: this.#partitions }, (_, partition) => partition).filter((p) => p % members.length === index);
      member.onAssigned(assignment?.[index] ?? roundRobin);
    });
  }
}

export class MemoryMembership implements GroupMembership {
  readonly #group: () => MemoryGroup;
  readonly #options: { readonly clientId: string; readonly topic: string; readonly groupId: string; readonly evictOwnClientId: boolean };
  #member: Member | null = null;

  constructor(group: () => MemoryGroup, options: { clientId: string; topic: string; groupId: string; evictOwnClientId: boolean }) {
    this.#group = group;
    this.#options = options;
  }

  async start(on: { onAssigned: (partitions: readonly number[]) => void }): Promise<void> {
    await Promise.resolve();
    this.#member = { clientId: this.#options.clientId, onAssigned: on.onAssigned };
    this.#group().join(this.#member, this.#options.evictOwnClientId);
  }

  /** Who was expelled joins again, as the real consumer does at its next heartbeat. */
  async confirm(_deadlineMs: number): Promise<void> {
    await Promise.resolve();
    const member = this.#member;
    if (member === null) throw new IngotError('MEMBERSHIP_UNCONFIRMED', `group ${this.#options.groupId}: not a member`);
    if (!this.#group().has(member)) this.#group().join(member, false);
  }

  async commitOffsets(offsets: ReadonlyMap<number, number>): Promise<void> {
    await Promise.resolve();
    const { topic, groupId } = this.#options;
    const group = this.#group();
    if (this.#member === null || !group.has(this.#member)) throw new IngotError('OFFSETS_NOT_COMMITTED', `group ${groupId}: not a member`);
    const ofTopic = group.offsets.get(topic) ?? new Map<number, number>();
    for (const [partition, offset] of offsets) ofTopic.set(partition, offset);
    group.offsets.set(topic, ofTopic);
  }

  async stop(_deadlineMs: number): Promise<void> {
    await Promise.resolve();
    if (this.#member !== null) this.#group().leave(this.#member);
    this.#member = null;
  }
}
