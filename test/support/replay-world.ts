import { partitionForKey } from '../../src/core/murmur2.ts';
import type { Reading } from '../../src/core/reading.ts';
import { RecordReader } from '../../src/core/record-batch.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import { type ReplayRequest, replayDeadLetters } from '../../src/replay/replay.ts';
import type { LetterResult } from '../../src/replay/replay-partition.ts';
import type { ReplayContext, ReplayTopics } from '../../src/replay/replay-ports.ts';
import { MemoryLog } from './memory-log.ts';
import { currentRecord, encoded, type ReadRecord } from './memory-log-records.ts';
import { decodeReading, encodeReading } from './simulated-process.ts';

// Dead letters on the log in memory, and runs of the replay over them.

const names = topicNames('');
export const REPLAY_TOPICS: ReplayTopics = { ...names, marks: names.replayMarks };
export const REPLAY_PARTITIONS = 2;
/** When the letters were written. */
export const LETTERS_AT_MS = Date.UTC(2026, 0, 10);
const DAY_MS = 86_400_000;

export interface WrittenLetter {
  readonly device?: string;
  /** Of a message: what the device said. */
  readonly payload?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of a refused reading. */
  readonly reading?: Reading;
  readonly value?: Buffer;
  /** Null: without a key. */
  readonly key?: string | null;
  readonly partition?: number;
}

export class ReplayWorld {
  readonly log: MemoryLog;
  /** The clock of the log and of the runs. */
  nowMs = LETTERS_AT_MS;
  #runs = 0;

  constructor() {
    this.log = new MemoryLog({ nowMs: () => this.nowMs, isPollInstant: true });
    for (const spec of topicSpecs({ prefix: '', partitions: REPLAY_PARTITIONS, replication: 1 })) this.log.createTopic(spec);
  }

  /** A letter of the bridge. */
  message({ device = 'd1', payload = '{}', headers = {} }: WrittenLetter): void {
    const said = {
      'original-topic': `devices/${device}/telemetry`,
      'failure-reason': 'metric_out_of_range',
      'failure-stage': 'bridge',
      timestamp: String(this.nowMs),
      attempt: '1',
      ...headers,
    };
    this.#append(REPLAY_TOPICS.bridgeDeadLetters, { key: device, value: Buffer.from(payload), headers: said });
  }

  /** A letter of the aggregator. */
  refused({ reading, value, key, partition, headers = {} }: WrittenLetter): void {
    const said = { 'failure-reason': 'future', 'failure-stage': 'aggregator', attempt: '1', ...headers };
    const bytes = value ?? encodeReading(reading!, 1);
    const ofReading = key === undefined ? reading!.deviceId : key;
    this.#append(REPLAY_TOPICS.readingDeadLetters, {
      key: ofReading,
      value: bytes,
      headers: said,
      ...(partition !== undefined && { partition }),
    });
  }

  #append(topic: string, letter: { key: string | null; value: Buffer; headers: Record<string, string>; partition?: number }): void {
    const partition = letter.partition ?? partitionForKey(Buffer.from(letter.key ?? ''), REPLAY_PARTITIONS);
    // The text form of test/support/memory-log-records.ts would not keep any bytes.
    const record = { key: letter.key, value: letter.value.toString('latin1'), headers: Object.entries(letter.headers) };
    this.log.partition({ topic, partition }).append(encoded({ topic, partition }, [record]), null);
  }

  /** A run of its own, as another process would have it. */
  context(signal: AbortSignal = new AbortController().signal, limits: Partial<ReplayContext['limits']> = {}): ReplayContext {
    const client = this.log.client();
    return {
      topics: REPLAY_TOPICS,
      partitions: REPLAY_PARTITIONS,
      limits: { maxPayloadBytes: 65_536, skewMs: 60_000, pastLimitMs: 7 * DAY_MS, valueBytesMax: 1_000_000, ...limits },
      decoder: {
        decode(buffer, start, end) {
          const reading = decodeReading(buffer.subarray(start, end));
          return reading === null ? { kind: 'undecodable', detail: 'not JSON' } : { kind: 'value', value: reading };
        },
        load: () => Promise.resolve(),
      },
      encoder: { encode: (reading) => encodeReading(reading, 1) },
      admin: client.admin(),
      loop: client.fetchLoop({ name: 'replay', maxWaitMs: 1, maxBytesPerPartition: 2_000, isolation: 'committed' }),
      openLane: (partition) => client.transactionLane({ transactionalId: transactionalId(partition), transactionTimeoutMs: 10_000 }),
      backOffMs: 1,
      runId: `run-${this.#runs++}`,
      nowMs: () => this.nowMs,
      signal,
    };
  }

  /** Runs a replay to its end; returns what it told. */
  async replay(request: Partial<ReplayRequest> = {}, context: ReplayContext = this.context()): Promise<LetterResult[]> {
    const results: LetterResult[] = [];
    for await (const result of replayDeadLetters(context, replayRequest(request))) results.push(result);
    return results;
  }

  /** Everything committed in a topic, partition after partition. */
  committed(topic: string): (ReadRecord & { partition: number })[] {
    return Array.from({ length: REPLAY_PARTITIONS }, (_, partition) => {
      const stored = this.log.partition({ topic, partition });
      const { batches, abortedTransactions } = stored.read(0, { maxBytes: Number.POSITIVE_INFINITY, isCommitted: true });
      const reader = new RecordReader();
      reader.reset({ batches, fetchOffset: 0, abortedTransactions });
      const records: (ReadRecord & { partition: number })[] = [];
      while (reader.next()) records.push({ ...currentRecord(reader), partition });
      return records;
    }).flat();
  }

  /** The readings that were replayed, decoded. */
  replayed(): { reading: Reading; headers: Readonly<Record<string, string>>; partition: number; key: string | null }[] {
    return this.committed(REPLAY_TOPICS.readings).map(({ value, ...record }) => ({
      ...record,
      reading: decodeReading(Buffer.from(value!))!,
    }));
  }
}

export function transactionalId(partition: number): string {
  return `replay-${partition}`;
}

export function replayRequest(request: Partial<ReplayRequest> = {}): ReplayRequest {
  return {
    topics: [REPLAY_TOPICS.bridgeDeadLetters, REPLAY_TOPICS.readingDeadLetters],
    sinceMs: null,
    untilMs: null,
    places: null,
    isWanted: () => true,
    isDryRun: false,
    replaysMax: Number.POSITIVE_INFINITY,
    ...request,
  };
}

/** What a run told, in short. */
export function outcomes(results: readonly LetterResult[]): string[] {
  return results.map(({ outcome, reason }) => (reason === null ? outcome : `${outcome} ${reason}`));
}
