import type { Config } from '../../config/settings-table.ts';
import { IngotError } from '../../errors.ts';
import type { LogAdmin } from '../../kafka/log-port.ts';
import { topicNames } from '../../kafka/topics.ts';
import { defineCommand, QUIET_LOG } from '../command.ts';
import { OUTPUT_FLAG, printRows } from '../output.ts';
import { connectLog } from '../roles/connect-log.ts';
import { aggregatorGroupId, sinkGroupIds } from '../roles/consumer-groups.ts';

// `ingot lag`: how far each role is behind what it reads.

interface LagRow {
  readonly role: string;
  readonly group: string;
  readonly topic: string;
  /** Null in the sum over all partitions. */
  readonly partition: number | null;
  /** Null when the group has committed nothing. */
  readonly committed: number | null;
  readonly end: number;
  readonly lag: number;
}

interface ReadTopic {
  readonly role: string;
  readonly group: string;
  readonly topic: string;
}

function readTopics({ kafka }: Config): ReadTopic[] {
  const { readings, aggregates, alerts } = topicNames(kafka.topicPrefix);
  const sink = sinkGroupIds({ kafka });
  return [
    { role: 'aggregator', group: aggregatorGroupId({ kafka }), topic: readings },
    { role: 'sink', group: sink.aggregates, topic: aggregates },
    { role: 'sink', group: sink.alerts, topic: alerts },
  ];
}

export const lag = defineCommand({
  description:
    'Records between what a role has committed to its group and the end of what it reads. The aggregator commits about every 2 s: its exact position is in its state topic, so a small lag at rest is normal for a moment.',
  flags: {
    ...OUTPUT_FLAG,
    'by-partition': { kind: 'boolean', help: 'One row per partition instead of the sum.' },
    max: { kind: 'number', integer: true, min: 0, help: 'Exit code 4 when a role is more than N records behind.' },
  },
  examples: [
    { line: 'ingot lag', shows: 'one line per role and topic' },
    { line: 'ingot lag --max 10000', shows: 'the same as a check for a script' },
  ],
  settings: ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX', 'KAFKA_GROUP_ID'],
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const config = context.config();
    const log = connectLog(config, `${config.kafka.clientId}-cli`);
    const admin = log.admin();
    try {
      const byTopic = await Promise.all(readTopics(config).map((read) => lagRows(admin, read)));
      const sums = byTopic.map(sumOf);
      await printRows(context, context.flags['by-partition'] ? byTopic.flat() : sums, {
        columns: [
          { title: 'role', cell: (row) => row.role },
          { title: 'group', cell: (row) => row.group },
          { title: 'topic', cell: (row) => row.topic },
          ...(context.flags['by-partition'] ? [{ title: 'partition', cell: (row: LagRow) => row.partition, alignRight: true }] : []),
          { title: 'committed', cell: (row) => row.committed, alignRight: true },
          { title: 'end', cell: (row) => row.end, alignRight: true },
          { title: 'lag', cell: (row) => row.lag, alignRight: true, style: (row) => (row.lag > 0 ? 'yellow' : 'green') },
        ],
      });
      const { max } = context.flags;
      return max !== undefined && sums.some((row) => row.lag > max) ? 4 : 0;
    } finally {
      await admin.close();
      await log.close();
    }
  },
});

async function lagRows(admin: LogAdmin, { role, group, topic }: ReadTopic): Promise<LagRow[]> {
  const [watermarks, committed] = await Promise.all([admin.watermarks(topic), admin.committedOffsets(group, topic)]);
  if (watermarks.length === 0) throw new IngotError('TOPIC_MISSING', `${topic} has no partitions. See 'ingot topics list'.`);
  return watermarks.map(({ logStartOffset, highWatermark }, partition) => {
    const position = committed[partition] ?? null;
    const behind = highWatermark - Math.max(position ?? 0, logStartOffset);
    return { role, group, topic, partition, committed: position, end: highWatermark, lag: Math.max(0, behind) };
  });
}

function sumOf(rows: readonly LagRow[]): LagRow {
  const first = rows[0]!;
  const isCommitted = rows.some((row) => row.committed !== null);
  const total = (of: (row: LagRow) => number) => rows.reduce((sum, row) => sum + of(row), 0);
  return {
    ...first,
    partition: null,
    committed: isCommitted ? total((row) => row.committed ?? 0) : null,
    end: total((row) => row.end),
    lag: total((row) => row.lag),
  };
}
