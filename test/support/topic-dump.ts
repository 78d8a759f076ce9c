import type { Reading } from '../../src/core/reading.ts';
import type { Fetched, LogClient } from '../../src/kafka/log-port.ts';
import type { JournalRecord } from './oracle/invariants.ts';
import type { AggregateRow, AlertRow } from './oracle/output-rows.ts';
import { readTopic, type TopicRecord } from './read-topic.ts';
import { WireValues } from './wire-values.ts';

// Everything that the pipeline has written, read back read_committed. Only the transport is the product's: the names of the topics,
// the wire format and Avro are done here once more, with nothing in common but the .avsc files.

export interface DumpedReading extends TopicRecord {
  /** null when the bytes are no SensorReading. */
  readonly reading: Reading | null;
}

/** One partition of every topic, each in the order of its offsets. */
export interface PartitionDump {
  readonly partition: number;
  readonly readings: readonly DumpedReading[];
  readonly journal: readonly JournalRecord[];
  readonly aggregates: readonly AggregateRow[];
  readonly alerts: readonly AlertRow[];
  /** What the aggregator refused. */
  readonly deadLetters: readonly TopicRecord[];
  /** What the bridge refused. */
  readonly bridgeDeadLetters: readonly TopicRecord[];
}

export interface LogDump {
  readonly partitions: readonly PartitionDump[];
  /** Transactions that had reached a topic and were aborted: at least so many. */
  readonly abortedTransactions: number;
}

export interface DumpSource {
  readonly log: LogClient;
  readonly prefix: string;
  readonly partitions: number;
  readonly registryUrl: string;
}

/** Meant for topics that rest: of what is written meanwhile, some topics may show more than others. */
export async function dumpTopics(source: DumpSource): Promise<LogDump> {
  const { registryUrl } = source;
  const aborted = new AbortedCount();
  const read = (suffix: string): Promise<TopicRecord[]> =>
    readTopic(source.log, `${source.prefix}${suffix}`, {
      onFetched: (fetched) => aborted.add(fetched),
    });
  const [readings, journal, aggregates, alerts, deadLetters, bridgeDeadLetters] = await Promise.all([
    read('readings'),
    read('aggregator-journal'),
    read('aggregates'),
    read('alerts'),
    read('readings.dlq'),
    read('mqtt.dlq'),
  ]);
  const readingValues = await WireValues.of<Reading>('sensor-reading', readings, registryUrl);
  const aggregateValues = await WireValues.of<AggregateRow>('window-aggregate', aggregates, registryUrl);
  const alertValues = await WireValues.of<AlertRow>('alert', alerts, registryUrl);
  const partitions = Array.from({ length: source.partitions }, (_, partition): PartitionDump => {
    const ours = (records: readonly TopicRecord[]) => records.filter((record) => record.partition === partition);
    return {
      partition,
      readings: ours(readings).map((record) => ({ ...record, reading: readingValues.decode(record) })),
      journal: ours(journal).map(({ value }) => JSON.parse(value.toString('utf8')) as JournalRecord),
      aggregates: ours(aggregates).map((record) => aggregateValues.row(record)),
      alerts: ours(alerts).map((record) => alertValues.row(record)),
      deadLetters: ours(deadLetters),
      bridgeDeadLetters: ours(bridgeDeadLetters),
    };
  });
  return { partitions, abortedTransactions: aborted.total() };
}

/** An answer names the aborted transactions of its range, so one of them may be named several times. */
class AbortedCount {
  readonly #byTopic = new Map<string, Set<string>>();

  add({ topic, partition, abortedTransactions }: Fetched): void {
    const seen = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, seen);
    for (const { producerId, firstOffset } of abortedTransactions) seen.add(`${partition} ${producerId} ${firstOffset}`);
  }

  /** A transaction leaves its trace in every topic that it had reached: no topic has seen more than there were. */
  total(): number {
    return Math.max(0, ...[...this.#byTopic.values()].map((seen) => seen.size));
  }
}
