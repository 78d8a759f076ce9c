import { type Aggregator, createAggregator } from '../../src/aggregator/aggregator.ts';
import type { AggregatorContext, AggregatorTopics, RowEncoders, WantedSettings } from '../../src/aggregator/aggregator-ports.ts';
import { nameUuid } from '../../src/aggregator/name-uuid.ts';
import type { CommitPace } from '../../src/aggregator/pacing.ts';
import { READING_REUSE } from '../../src/aggregator/routed-reading.ts';
import { type DeviceProfileRecord, recordOfProfile } from '../../src/core/device-profile-record.ts';
import type { Reading } from '../../src/core/reading.ts';
import type {
  Fetched,
  FetchLoop,
  GroupMembership,
  LogAdmin,
  LogClient,
  PartitionCursor,
  TransactionLane,
} from '../../src/kafka/log-port.ts';
import type { Decoded, ValueDecoder } from '../../src/registry/value-decoder-port.ts';
import type { MemoryLog } from './memory-log.ts';
import type { OracleProfile } from './oracle/fold-steps.ts';
import type { VirtualClock } from './virtual-clock.ts';

// One process with an aggregator on the log in memory. It can be killed at any moment: from then on nothing that it has asked for is
// ever answered, which is all that a killed process notices.

export interface SimulatedWorld {
  readonly clock: VirtualClock;
  readonly log: MemoryLog;
  readonly topics: AggregatorTopics;
  readonly groupId: string;
  readonly partitions: number;
  readonly pace: CommitPace;
  readonly fetchBytes: number;
  readonly longPollMs: number;
  /** How long each next call to the log takes, in ms. */
  latencyMs(): number;
  isRegistryAway: boolean;
  /** Whether the group neither confirms members nor takes offsets. */
  isGroupSilent: boolean;
}

const COMMIT_DEADLINE_MS = 10_000;

export class SimulatedProcess {
  readonly name: string;
  readonly aggregator: Aggregator;
  isDead = false;
  isStopping = false;
  /** What it gave up for, if it did. */
  failure: Error | null = null;
  readonly #world: SimulatedWorld;
  readonly #client: LogClient;
  readonly #member: GroupMembership;

  constructor(world: SimulatedWorld, name: string, wanted: WantedSettings) {
    this.#world = world;
    this.name = name;
    this.#client = world.log.client(name);
    this.#member = this.#membership();
    this.aggregator = createAggregator(this.#context(wanted));
    void this.aggregator.failed.then((error) => {
      this.failure = error;
    });
    void this.aggregator.start();
  }

  kill(): void {
    this.isDead = true;
  }

  /** What the next heartbeat does for a member that the group has expelled. */
  rejoin(): void {
    void this.#member.confirm(1_000).catch(() => undefined);
  }

  /** Stops in good order; resolves when that is done. */
  async stop(deadlineMs: number): Promise<void> {
    this.isStopping = true;
    await this.aggregator.stop(deadlineMs);
    await this.#client.close();
    this.kill();
  }

  #context(wanted: WantedSettings): AggregatorContext {
    const { topics, groupId, partitions, pace, fetchBytes } = this.#world;
    const options = { name: 'loop', maxBytesPerPartition: fetchBytes, isolation: 'committed' } as const;
    const loop = (maxWaitMs: number) => this.#client.fetchLoop({ ...options, maxWaitMs });
    const polling = () => this.#client.fetchLoop(this.#polling(options));
    return {
      groupId,
      topics,
      partitions,
      wanted,
      decoder: jsonDecoder((schemaId) => this.#loadSchema(schemaId)),
      encoders: jsonEncoders(),
      uuid: nameUuid,
      admin: this.#admin(),
      input: this.#fetchLoop(polling()),
      restore: this.#fetchLoop(loop(1)),
      profiles: this.#fetchLoop(polling()),
      profileDecoder: PROFILE_DECODER,
      membership: this.#member,
      openLane: (partition) => this.#lane(partition),
      acceptLoss: false,
      pace,
    };
  }

  /** Options of a loop whose long poll is what the world says at the moment. */
  #polling<Options extends object>(options: Options): Options & { readonly maxWaitMs: number } {
    const world = this.#world;
    return {
      ...options,
      get maxWaitMs() {
        return world.longPollMs;
      },
    };
  }

  /** The result of a call to the outside; a dead process makes none, and hears nothing. */
  async #call<T>(work: () => Promise<T>): Promise<T> {
    await this.#alive(this.#world.clock.sleep(this.#world.latencyMs()));
    return await this.#alive(work());
  }

  async #alive<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } finally {
      if (this.isDead) await new Promise(() => undefined);
    }
  }

  async #loadSchema(_schemaId: number): Promise<void> {
    await this.#call(async () => {
      if (this.#world.isRegistryAway) throw new Error('the registry is away');
    });
  }

  /** The answer of a call to a lane comes a while after the call has done its work, also when it is an error. */
  #lane(partition: number): TransactionLane {
    const transactionalId = `aggregator-${partition}`;
    const lane = this.#client.transactionLane({ transactionalId, transactionTimeoutMs: 30_000 });
    const answered = async <T>(work: () => Promise<T>): Promise<T> => {
      const [outcome] = await this.#call(() => Promise.allSettled([work()]));
      await this.#alive(this.#world.clock.sleep(this.#world.latencyMs()));
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    };
    return {
      fence: (to) => answered(() => lane.fence(to)),
      commit: (batches) => answered(() => lane.commit(batches)),
      isFenced: (error) => lane.isFenced(error),
      close: () => this.#alive(lane.close()),
    };
  }

  #fetchLoop(loop: FetchLoop): FetchLoop {
    return {
      open: (at, offset) => new PrefetchingCursor(loop.open(at, offset), (work) => this.#alive(work())),
      close: () => loop.close(),
    };
  }

  #membership(): GroupMembership {
    const { groupId, topics } = this.#world;
    const options = { groupId, topic: topics.readings, sessionTimeoutMs: 10_000, evictOwnClientId: false };
    const membership = this.#client.membership(options);
    return {
      start: ({ onAssigned, onFailed }) => {
        const hear = (partitions: readonly number[]) => {
          if (!this.isDead) onAssigned(partitions);
        };
        return this.#call(() => membership.start({ onAssigned: hear, onFailed }));
      },
      confirm: (deadlineMs) => this.#call(() => this.#answered(membership.confirm(deadlineMs), deadlineMs)),
      commitOffsets: (offsets) => this.#call(() => this.#answered(membership.commitOffsets(offsets), COMMIT_DEADLINE_MS)),
      stop: (deadlineMs) => this.#call(() => membership.stop(deadlineMs)),
    };
  }

  /** A group that is silent answers nothing before the deadline. */
  async #answered(answer: Promise<void>, deadlineMs: number): Promise<void> {
    if (!this.#world.isGroupSilent) return await answer;
    answer.catch(() => undefined);
    await this.#alive(this.#world.clock.sleep(deadlineMs));
    throw new Error('the group did not answer');
  }

  #admin(): LogAdmin {
    const admin = this.#client.admin();
    return {
      watermarks: (topic) => this.#call(() => admin.watermarks(topic)),
      offsetsAtTime: (topic, timestampMs) => this.#call(() => admin.offsetsAtTime(topic, timestampMs)),
      committedOffsets: (groupId, topic) => this.#call(() => admin.committedOffsets(groupId, topic)),
      describeTopics: (names) => this.#call(() => admin.describeTopics(names)),
      createTopics: (specs) => this.#call(() => admin.createTopics(specs)),
      close: () => admin.close(),
    };
  }
}

/**
 * Fetches on as soon as an answer is taken, as the real loop does: what comes next may be older than it looks. And takes the promise
 * at its word that an answer is valid only until the next one is asked for.
 */
class PrefetchingCursor implements PartitionCursor {
  readonly #cursor: PartitionCursor;
  readonly #alive: <T>(work: () => Promise<T>) => Promise<T>;
  #ahead: Promise<Fetched> | null = null;
  #given: Fetched | null = null;

  constructor(cursor: PartitionCursor, alive: <T>(work: () => Promise<T>) => Promise<T>) {
    this.#cursor = cursor;
    this.#alive = alive;
  }

  async next(): Promise<Fetched> {
    this.#given?.batches.fill(0xee);
    this.#given = null;
    const ahead = this.#ahead;
    this.#ahead = null;
    let fetched = ahead === null ? null : await this.#alive(() => ahead);
    // The end of a long poll that nobody waited for is not passed on.
    if (fetched === null || fetched.batches.length === 0) fetched = await this.#alive(() => this.#cursor.next());
    this.#given = { ...fetched, batches: Buffer.from(fetched.batches) };
    this.#ahead = this.#cursor.next();
    this.#ahead.catch(() => undefined);
    return this.#given;
  }

  close(): void {
    this.#cursor.close();
  }
}

// Values are JSON behind one byte for the schema.

export function encodeReading(reading: Reading | null, schemaId: number): Buffer {
  return Buffer.concat([Buffer.of(schemaId), Buffer.from(reading === null ? 'no reading' : JSON.stringify(reading))]);
}

export function decodeReading(value: Buffer): Reading | null {
  try {
    return JSON.parse(value.toString('utf8', 1)) as Reading;
  } catch {
    return null;
  }
}

/** As few as make a range of records hold more: the real decoder keeps a limited number too. */
const SCHEMAS_KNOWN_MAX = 2;

/** What the aggregator has said that it does not look at. */
const IGNORED = Object.fromEntries(READING_REUSE.ignored.map((field) => [field, null]));

function jsonDecoder(load: (schemaId: number) => Promise<void>): ValueDecoder<Reading> {
  const known = new Set<number>();
  // The real decoder too gives the same objects each time: who keeps one finds another reading in it.
  const answer = { kind: 'value' as const, value: {} as Reading };
  return {
    decode(buffer, start, end): Decoded<Reading> {
      const schemaId = buffer[start]!;
      if (!known.has(schemaId)) return { kind: 'unknown_schema', schemaId };
      const decoded = decodeReading(buffer.subarray(start, end));
      if (decoded === null) return { kind: 'undecodable', detail: 'no reading' };
      answer.value = Object.assign(answer.value, decoded, IGNORED);
      return answer;
    },
    async load(schemaId) {
      await load(schemaId);
      if (known.size >= SCHEMAS_KNOWN_MAX) known.delete(known.values().next().value!);
      known.add(schemaId);
    },
  };
}

/** What the real encoders promise and no more: the next call overwrites the bytes. */
function jsonEncoders(): RowEncoders {
  const shared = Buffer.alloc(16 * 1024);
  const encode = (row: object): Buffer => shared.subarray(0, shared.write(JSON.stringify(row)));
  return { aggregate: encode, alert: encode };
}

/** null makes a tombstone. */
export function encodeProfileRecord(deviceId: string, profile: OracleProfile | null): Buffer | null {
  return profile === null ? null : Buffer.from(JSON.stringify(recordOfProfile(deviceId, profile, 0)));
}

const PROFILE_DECODER: ValueDecoder<DeviceProfileRecord> = {
  decode(buffer, start, end) {
    try {
      return { kind: 'value', value: JSON.parse(buffer.toString('utf8', start, end)) as DeviceProfileRecord };
    } catch {
      return { kind: 'undecodable', detail: 'no JSON' };
    }
  },
  load: () => Promise.resolve(),
};
