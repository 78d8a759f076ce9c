import type { AggregatorTopics } from '../../src/aggregator/aggregator-ports.ts';
import type { CommitPace } from '../../src/aggregator/pacing.ts';
import { PROGRESS_KEY, type Progress } from '../../src/aggregator/progress.ts';
import type { FoldSettings } from '../../src/core/fold-settings.ts';
import { RecordReader, RecordsEncoder } from '../../src/core/record-batch.ts';
import type { EncodedRecords, TopicPartition } from '../../src/kafka/log-port.ts';
import { type CommitFault, MemoryLog } from './memory-log.ts';
import { currentRecord, type ReadRecord } from './memory-log-records.ts';
import type { ProfilesStep, RecordStep } from './oracle/fold-steps.ts';
import { encodeProfileRecord, encodeReading, SimulatedProcess, type SimulatedWorld } from './simulated-process.ts';
import type { VirtualClock } from './virtual-clock.ts';

// Several simulated processes on one log in memory, and everything that can happen to them.

export const TOPICS: AggregatorTopics = {
  readings: 'telemetry.readings',
  aggregates: 'telemetry.aggregates',
  alerts: 'telemetry.alerts',
  readingsDlq: 'telemetry.readings.dlq',
  state: 'telemetry.aggregator-state',
  journal: 'telemetry.aggregator-journal',
  devices: 'telemetry.devices',
};

const GROUP_ID = 'telemetry.aggregator';
const FOREIGN_ID = 'foreign';
/** The end of a story is minutes of silence, and most of its cost would be asking for what does not come. */
const SETTLING_LONG_POLL_MS = 10_000;

export interface WorldOptions {
  readonly partitions: number;
  /** The partition that gets all readings. */
  readonly busyPartition: number;
  readonly pace: CommitPace;
  readonly fetchBytes: number;
  readonly longPollMs: number;
  /** Taken in turn, by every call to the log. */
  readonly latenciesMs: readonly number[];
}

export class AggregatorWorld implements SimulatedWorld {
  readonly log: MemoryLog;
  readonly topics = TOPICS;
  readonly groupId = GROUP_ID;
  readonly partitions: number;
  readonly pace: CommitPace;
  readonly fetchBytes: number;
  /** Changeable: what waits for an empty topic asks seldom once nothing else will happen. */
  longPollMs: number;
  readonly clock: VirtualClock;
  isRegistryAway = false;
  isGroupSilent = false;
  /** All that ever were, in the order of their start. */
  readonly processes: SimulatedProcess[] = [];
  readonly #busy: TopicPartition;
  readonly #latenciesMs: readonly number[];
  #latencies = 0;
  #appendTimeMs = 0;
  readonly #stops: Promise<void>[] = [];

  constructor(clock: VirtualClock, options: WorldOptions) {
    this.clock = clock;
    this.partitions = options.partitions;
    this.pace = options.pace;
    this.fetchBytes = options.fetchBytes;
    this.longPollMs = options.longPollMs;
    this.#latenciesMs = options.latenciesMs;
    this.#busy = { topic: TOPICS.readings, partition: options.busyPartition };
    this.log = new MemoryLog({ nowMs: () => this.#appendTimeMs });
    for (const name of Object.values(TOPICS)) {
      const configs: Record<string, string> = name === TOPICS.readings ? { 'message.timestamp.type': 'LogAppendTime' } : {};
      this.log.createTopic({ name, partitions: options.partitions, replicationFactor: 1, configs });
    }
  }

  latencyMs(): number {
    return this.#latenciesMs[this.#latencies++ % this.#latenciesMs.length] ?? 1;
  }

  // Processes

  get alive(): SimulatedProcess[] {
    return this.processes.filter((process) => !process.isDead && !process.isStopping);
  }

  start(settings: FoldSettings, version: number): SimulatedProcess {
    const number = this.processes.length;
    const process = new SimulatedProcess(this, `process-${number}`, { version, startedAtMs: number, settings });
    this.processes.push(process);
    return process;
  }

  stop(process: SimulatedProcess, deadlineMs: number): void {
    this.#stops.push(process.stop(deadlineMs));
  }

  /** What the session timeout does: the group goes on without the dead. */
  expelDead(): void {
    for (const { isDead, name } of this.processes) if (isDead) this.expel(name);
  }

  /** The group takes a member for dead, which does not notice. */
  expel(name: string): void {
    this.#group.expel(name);
  }

  /** Tells the members what is theirs, in the order in which they joined. */
  assign(assignment: readonly (readonly number[])[]): void {
    this.#group.rebalance(assignment);
  }

  /** Assigns partition after partition to members by the numbers given. */
  rebalance(owners: readonly number[]): void {
    const members = this.processes.length;
    if (members === 0) return;
    const assignment = Array.from({ length: members }, (_, member) =>
      Array.from({ length: this.partitions }, (_partition, partition) => partition).filter(
        (partition) => (owners[partition] ?? 0) % Math.max(1, this.alive.length) === member,
      ),
    );
    this.#group.rebalance(assignment);
  }

  get #group() {
    return this.log.group(GROUP_ID, this.partitions);
  }

  // The log

  /** Appends records in one batch, at the last one's time. */
  append(records: readonly RecordStep[], schemaId: number): void {
    if (records.length === 0) return;
    this.#appendTimeMs = records.at(-1)!.appendTime;
    this.log.partition(this.#busy).append(this.#encoded(records, schemaId), null);
  }

  /** The same in a transaction of a foreign producer, which leaves a marker in the log. */
  appendInTransaction(records: readonly RecordStep[], options: { schemaId: number; end: 'commit' | 'abort' | 'open' }): void {
    this.endForeignTransaction();
    if (records.length === 0) return;
    this.#appendTimeMs = records.at(-1)!.appendTime;
    const producer = this.log.initProducer(FOREIGN_ID);
    this.log.appendInTransaction(FOREIGN_ID, producer, this.#encoded(records, options.schemaId));
    if (options.end !== 'open') this.log.endTransaction(FOREIGN_ID, options.end);
  }

  endForeignTransaction(): void {
    this.log.endTransaction(FOREIGN_ID, 'commit');
  }

  /** Writes profiles into the devices topic of the busy partition. */
  appendProfiles(changes: ProfilesStep['changes']): void {
    if (changes.length === 0) return;
    const encoder = new RecordsEncoder(1024);
    encoder.reset(0);
    for (const [deviceId, profile] of changes) encoder.add(Buffer.from(deviceId), encodeProfileRecord(deviceId, profile), 0);
    const at = { topic: TOPICS.devices, partition: this.#busy.partition };
    this.log.partition(at).append({ ...at, records: encoder.take(), count: encoder.count, baseTimestampMs: 0 }, null);
  }

  scriptCommits(faults: readonly (CommitFault | null)[]): void {
    this.log.scriptCommits(`aggregator-${this.#busy.partition}`, faults);
  }

  expireTransaction(): void {
    this.log.expireTransaction(`aggregator-${this.#busy.partition}`);
  }

  #encoded(records: readonly RecordStep[], schemaId: number): EncodedRecords {
    const encoder = new RecordsEncoder(1024);
    encoder.reset(0);
    for (const { key, reading, headers = {} } of records) {
      encoder.add(key === null ? null : Buffer.from(key), encodeReading(reading, schemaId), 0, Object.entries(headers));
    }
    return { ...this.#busy, records: encoder.take(), count: encoder.count, baseTimestampMs: 0 };
  }

  // The end

  /** No more faults: everything that has begun comes to its end, and every partition has an owner. */
  async heal(settings: FoldSettings): Promise<void> {
    this.isRegistryAway = false;
    this.longPollMs = Math.max(this.longPollMs, SETTLING_LONG_POLL_MS);
    this.log.endOutage();
    this.scriptCommits([]);
    this.endForeignTransaction();
    this.expelDead();
    if (this.alive.length === 0) this.start(settings, 0);
    await this.clock.advance(100);
    for (const process of this.alive) process.rejoin();
    await this.clock.advance(100);
    this.expelDead();
  }

  async stopAll(): Promise<void> {
    for (const process of this.alive) this.stop(process, 10_000);
    await this.clock.advance(60_000);
    await Promise.race([Promise.all(this.#stops), Promise.resolve()]);
    for (const process of this.processes) process.kill();
  }

  /** Everything committed in a partition of a topic, in order. */
  committed(topic: string, partition = this.#busy.partition): (ReadRecord & { raw: Buffer | null })[] {
    const stored = this.log.partition({ topic, partition });
    const { batches, abortedTransactions } = stored.read(0, { maxBytes: Number.POSITIVE_INFINITY, isCommitted: true });
    const reader = new RecordReader();
    reader.reset({ batches, fetchOffset: 0, abortedTransactions });
    const records: (ReadRecord & { raw: Buffer | null })[] = [];
    while (reader.next()) {
      const raw = reader.valueStart < 0 ? null : Buffer.from(reader.buffer.subarray(reader.valueStart, reader.valueEnd));
      records.push({ ...currentRecord(reader), raw });
    }
    return records;
  }

  /** The progress of the busy partition, as committed. */
  get progress(): Progress | null {
    const records = this.committed(TOPICS.state).filter(({ key }) => key === PROGRESS_KEY);
    return records.length === 0 ? null : (JSON.parse(records.at(-1)!.value!) as Progress);
  }

  get committedOffset(): number | undefined {
    return this.#group.offsets.get(TOPICS.readings)?.get(this.#busy.partition);
  }

  get logEnd(): number {
    return this.log.partition(this.#busy).highWatermark;
  }
}
