import type { TopicDescription, TopicSpec } from './log-port.ts';

// The one table of topics. All have the same number of partitions: what comes from partition p of the readings goes to partition p
// of every output.

export type TopicRole =
  | 'readings'
  | 'bridgeDeadLetters'
  | 'readingDeadLetters'
  | 'aggregates'
  | 'alerts'
  | 'aggregatorState'
  | 'aggregatorJournal'
  | 'replayMarks'
  | 'deviceProfiles';

interface TopicRow {
  /** After the prefix. */
  readonly suffix: string;
  readonly key: string;
  readonly value: string;
  readonly purpose: string;
  readonly configs: Readonly<Record<string, string>>;
  /** Those of `configs` without which Ingot does not start: the others may be changed by an operator. */
  readonly required: readonly string[];
}

const DAY_MS = 86_400_000;

const deletedAfter = (days: number) => ({ 'cleanup.policy': 'delete', 'retention.ms': String(days * DAY_MS) });

// LogAppendTime: the fold judges readings by it, so there it is required. Elsewhere it keeps retention from deleting what a device
// with an old clock (or an import of old series) caused, and makes `--since` mean the time of writing.
const EVERYWHERE = {
  'message.timestamp.type': 'LogAppendTime',
  // With this the broker unpacks what a foreign producer has packed, and no reader has to. Where we compress ourselves it is `producer`.
  'compression.type': 'uncompressed',
};

// A transaction holds the outputs of up to 100 000 readings, one batch per partition.
const WRITTEN_IN_LARGE_BATCHES = { 'max.message.bytes': String(16 * 1024 ** 2) };

export const TOPICS: Readonly<Record<TopicRole, TopicRow>> = {
  readings: {
    suffix: 'readings',
    key: 'device id',
    value: 'SensorReading',
    purpose: 'what the devices said',
    configs: { ...deletedAfter(7), ...EVERYWHERE },
    required: ['message.timestamp.type'],
  },
  bridgeDeadLetters: {
    suffix: 'mqtt.dlq',
    key: 'device id or none',
    value: 'the original bytes',
    purpose: 'what the bridge refused',
    configs: { ...deletedAfter(30), ...EVERYWHERE },
    required: [],
  },
  readingDeadLetters: {
    suffix: 'readings.dlq',
    key: 'device id',
    value: 'the original bytes',
    purpose: 'what the aggregator refused',
    configs: { ...deletedAfter(30), ...EVERYWHERE, ...WRITTEN_IN_LARGE_BATCHES },
    required: [],
  },
  aggregates: {
    suffix: 'aggregates',
    key: 'device id',
    value: 'WindowAggregate',
    purpose: 'closed windows',
    configs: { ...deletedAfter(30), ...EVERYWHERE, ...WRITTEN_IN_LARGE_BATCHES },
    required: [],
  },
  alerts: {
    suffix: 'alerts',
    key: 'device id',
    value: 'Alert',
    purpose: 'transitions of alerts',
    configs: { ...deletedAfter(30), ...EVERYWHERE, ...WRITTEN_IN_LARGE_BATCHES },
    required: [],
  },
  aggregatorState: {
    suffix: 'aggregator-state',
    key: 'device id or $name',
    value: 'internal',
    purpose: 'state of the fold, one record per device',
    configs: {
      'cleanup.policy': 'compact',
      // Short segments and eager cleaning keep the restore short; a tombstone outlives any restore.
      'segment.ms': String(10 * 60_000),
      'min.cleanable.dirty.ratio': '0.1',
      'delete.retention.ms': String(DAY_MS),
      ...EVERYWHERE,
      ...WRITTEN_IN_LARGE_BATCHES,
    },
    required: ['cleanup.policy'],
  },
  aggregatorJournal: {
    suffix: 'aggregator-journal',
    key: 'none',
    value: 'internal',
    purpose: 'what each transaction of the fold did',
    configs: { ...deletedAfter(8), ...EVERYWHERE, ...WRITTEN_IN_LARGE_BATCHES },
    required: [],
  },
  replayMarks: {
    suffix: 'replay-marks',
    key: 'place of a dead letter',
    value: 'internal',
    purpose: 'which dead letters were replayed',
    configs: { 'cleanup.policy': 'compact', ...EVERYWHERE },
    required: ['cleanup.policy'],
  },
  deviceProfiles: {
    suffix: 'devices',
    key: 'device id',
    value: 'DeviceProfile',
    purpose: 'labels and thresholds of single devices',
    // A tombstone outlives what an aggregator may be away for, which is as long as the readings are kept.
    configs: { 'cleanup.policy': 'compact', 'delete.retention.ms': String(7 * DAY_MS), ...EVERYWHERE },
    required: ['cleanup.policy'],
  },
};

export const TOPIC_ROLES = Object.keys(TOPICS) as readonly TopicRole[];

export type TopicNames = Readonly<Record<TopicRole, string>>;

/** What `topics create` sets for good reasons, while everything works with any other value. */
const OPERATORS_CHOICE: ReadonlySet<string> = new Set(['compression.type']);

/** Whether a setting of a topic is as the table has it, or may be as it is. */
export function isAsWanted(name: string, actual: string, expected: string): boolean {
  return actual === expected || OPERATORS_CHOICE.has(name);
}

/** Full names by role; `prefix` is KAFKA_TOPIC_PREFIX, `telemetry.` by default. */
export function topicNames(prefix: string): TopicNames {
  return Object.fromEntries(TOPIC_ROLES.map((role) => [role, prefix + TOPICS[role].suffix])) as unknown as TopicNames;
}

export interface TopicSizes {
  readonly prefix: string;
  readonly partitions: number;
  /** -1 is the cluster's own default. */
  readonly replication: number;
  /** Whether our own lanes compress: then what they send is stored as it comes. */
  readonly isCompressed?: boolean;
}

/** What `ingot topics create` makes, in the order of the table. */
export function topicSpecs({ prefix, partitions, replication, isCompressed = false }: TopicSizes): TopicSpec[] {
  // With three copies one may be away, and acks=all still means two.
  const durability: Readonly<Record<string, string>> = replication >= 3 ? { 'min.insync.replicas': '2' } : {};
  const storage: Readonly<Record<string, string>> = isCompressed ? { 'compression.type': 'producer' } : {};
  return TOPIC_ROLES.map((role) => ({
    name: prefix + TOPICS[role].suffix,
    partitions,
    replicationFactor: replication,
    configs: { ...TOPICS[role].configs, ...durability, ...storage },
  }));
}

export interface TopicFinding {
  readonly topic: string;
  /** `missing`: there is none. `wrong`: Ingot cannot work with it. `different`: it can, but it is not what the table says. */
  readonly kind: 'missing' | 'wrong' | 'different';
  readonly what: string;
}

/**
 * Compares the broker's topics with the table. The number of partitions must be the same for all; which number is the operator's
 * choice, so it is compared with that of the readings.
 */
export function compareTopics(prefix: string, described: readonly TopicDescription[]): TopicFinding[] {
  const byName = new Map(described.map((topic) => [topic.name, topic]));
  const readings = byName.get(prefix + TOPICS.readings.suffix);
  return TOPIC_ROLES.flatMap((role) => {
    const topic = prefix + TOPICS[role].suffix;
    const found = byName.get(topic);
    if (!found) return [{ topic, kind: 'missing', what: 'there is no such topic' } as const];
    const findings: TopicFinding[] = [];
    if (readings && found.partitions !== readings.partitions) {
      const what = `it has ${found.partitions} partitions, ${readings.name} has ${readings.partitions}; they must be equal`;
      findings.push({ topic, kind: 'wrong', what });
    }
    return findings.concat(compareConfigs(TOPICS[role], found));
  });
}

function compareConfigs(row: TopicRow, found: TopicDescription): TopicFinding[] {
  return Object.entries(row.configs).flatMap(([name, expected]) => {
    const actual = found.configs.get(name);
    if (actual === undefined || isAsWanted(name, actual, expected)) return [];
    const kind = row.required.includes(name) ? 'wrong' : 'different';
    return [
      { topic: found.name, kind, what: `${name} is ${actual}, ${kind === 'wrong' ? 'must be' : 'the table says'} ${expected}` } as const,
    ];
  });
}
