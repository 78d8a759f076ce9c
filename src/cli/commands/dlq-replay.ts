import { randomUUID } from 'node:crypto';
import type { Config } from '../../config/settings-table.ts';
import type { LogAdmin, LogClient } from '../../kafka/log-port.ts';
import { topicNames } from '../../kafka/topics.ts';
import { READING_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import { type DeadLetter, headerText, letterPlace } from '../../replay/dead-letter.ts';
import { type ReplayRequest, replayDeadLetters } from '../../replay/replay.ts';
import type { LetterResult } from '../../replay/replay-partition.ts';
import type { ReplayContext, ReplayTopics } from '../../replay/replay-ports.ts';
import { defineCommand, QUIET_LOG } from '../command.ts';
import { LETTER_FLAGS, letterFilter, parsePlace } from '../dlq/letter-filter.ts';
import { type Column, OUTPUT_FLAG, RowPrinter } from '../output.ts';
import { connectLog, requireTopics } from '../roles/connect-log.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import { shownTime } from '../tail/tail-command.ts';

// `ingot dlq replay`: constructs the replay from the configuration, and tells what became of each letter.

const TRANSACTION_TIMEOUT_MS = 10_000;
const LONG_POLL_MS = 100;
const BYTES_PER_PARTITION = 1024 * 1024;
const REGISTRY_DEADLINE_MS = 20_000;
const BACK_OFF_MS = 200;
/** Of max.message.bytes, for the key, the headers and the batch around a value. */
const RECORD_OVERHEAD_BYTES = 4_096;
const BROKER_MESSAGE_BYTES = 1_048_588;

export const dlqReplay = defineCommand({
  description:
    'Sends dead letters through the pipeline again, after their cause is mended: a limit raised, a schema registered, a clock set. A message of mqtt.dlq is decoded as the bridge would now; the bytes of readings.dlq go to the readings as they are. Each letter is replayed once, however often this runs; two copies of one message count once. A letter that would be refused again stays as it is and is told, exit code 4. Windows that were closed get a further part. Give the limits (MAX_PAYLOAD_BYTES, EVENT_TIME_SKEW, EVENT_TIME_PAST_LIMIT) that bridge and aggregator have.',
  flags: {
    ...OUTPUT_FLAG,
    ...LETTER_FLAGS,
    'dry-run': { kind: 'boolean', help: 'Say what would become of each letter, and write nothing.' },
    limit: { kind: 'number', integer: true, min: 1, help: 'Replay at most N letters.' },
  },
  args: [{ name: 'ID', help: "as in 'ingot dlq list'; all that the flags select when none is given", optional: true, many: true }],
  examples: [
    { line: 'ingot dlq replay --dry-run', shows: 'what would become of each letter' },
    { line: 'ingot dlq replay --reason undecodable --since 1d', shows: 'some of them' },
    { line: 'ingot dlq replay mqtt.dlq/3/17', shows: 'this one' },
    { line: 'ingot dlq replay --reason ancient --event-time-past-limit unlimited', shows: 'when the aggregator has that limit' },
  ],
  settings: ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX', 'SCHEMA_REGISTRY_URL', 'MAX_PAYLOAD_BYTES', 'EVENT_TIME_SKEW', 'EVENT_TIME_PAST_LIMIT'],
  // What became of each letter is said in the rows; what ended it, in the error.
  configDefaults: { ...QUIET_LOG, LOG_LEVEL: 'error' },
  drains: true,
  run: async (context) => {
    const config = context.config();
    const { 'dry-run': isDryRun, limit } = context.flags;
    const filter = letterFilter(config, context.flags);
    const places = context.args.map((text) => letterPlace(parsePlace(text, config)));
    const request: ReplayRequest = {
      topics: filter.topics,
      sinceMs: filter.since.kind === 'time' ? filter.since.timeMs : filter.since.kind === 'now' ? Date.now() : null,
      untilMs: filter.untilMs,
      places: places.length === 0 ? null : new Set(places),
      isWanted: (letter) => filter.isWanted({ reason: headerText(letter, 'failure-reason'), device: deviceOf(letter) }),
      isDryRun,
      replaysMax: limit ?? Number.POSITIVE_INFINITY,
    };
    const printer = new RowPrinter<LetterResult>(context, { columns: COLUMNS, isStream: true, whenEmpty: 'No dead letters.' });
    const counts: Record<LetterResult['outcome'], number> = {
      replayed: 0,
      would_replay: 0,
      duplicate: 0,
      already_replayed: 0,
      refused: 0,
    };
    const log = connectLog(config, `${config.kafka.clientId}-replay`);
    try {
      for await (const result of replayDeadLetters(await replayContext(config, log, context.signal), request)) {
        counts[result.outcome] += 1;
        await printer.print(result);
      }
    } finally {
      await log.close();
    }
    await printer.end();
    if (context.signal.aborted) context.stderr.write('Stopped before the end. The same command again goes on with what is left.\n');
    context.stderr.write(`${summary(counts, isDryRun).join('\n')}\n`);
    return counts.refused > 0 ? 4 : 0;
  },
});

const COLUMNS: readonly Column<LetterResult>[] = [
  { title: 'id', cell: ({ letter }) => letterPlace(letter), width: 30 },
  {
    title: 'outcome',
    cell: ({ outcome }) => outcome,
    width: 16,
    style: ({ outcome }) => (outcome === 'refused' ? 'red' : outcome === 'replayed' ? 'green' : null),
  },
  { title: 'time', cell: ({ letter }) => shownTime(letter.appendTimeMs), width: 24 },
  { title: 'device', cell: ({ letter }) => deviceOf(letter), width: 20 },
  { title: 'reason', cell: ({ letter }) => headerText(letter, 'failure-reason'), width: 20 },
  { title: 'now', cell: ({ reason }) => reason, width: 20 },
  { title: 'detail', cell: ({ detail }) => detail },
];

const deviceOf = ({ key }: DeadLetter): string | null => key?.toString('utf8') ?? null;

/** What happened, and what to do next. */
function summary(counts: Readonly<Record<LetterResult['outcome'], number>>, isDryRun: boolean): string[] {
  const { replayed, would_replay: wouldReplay, duplicate, already_replayed: already, refused } = counts;
  const done = isDryRun ? `${wouldReplay} would be replayed` : `${replayed} replayed`;
  const lines = [`${done}, ${refused} refused again, ${already} were replayed before, ${duplicate} copies of another letter.`];
  if (isDryRun) lines.push('Nothing was written; the same without --dry-run does it.');
  if (replayed > 0) {
    lines.push(
      "The aggregator folds them now: 'ingot aggregates tail --since 1m'. What it refuses again is a new letter: 'ingot dlq list --pending'.",
    );
  }
  if (refused > 0)
    lines.push("Refused ones stay as they are. 'ingot dlq show ID' shows one; docs/errors.md says what to do for each reason.");
  return lines;
}

async function replayContext(config: Config, log: LogClient, signal: AbortSignal): Promise<ReplayContext> {
  const { topicPrefix } = config.kafka;
  const admin = log.admin();
  const partitions = await requireTopics(admin, topicPrefix);
  const names = topicNames(topicPrefix);
  const topics: ReplayTopics = { ...names, marks: names.replayMarks };
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: config.registry.autoRegister },
    topicPrefix,
    deadlineMs: REGISTRY_DEADLINE_MS,
    signal,
  });
  const { skewMs, pastLimitMs } = config.window;
  return {
    topics,
    partitions,
    limits: {
      maxPayloadBytes: config.bridge.maxPayloadBytes,
      skewMs,
      pastLimitMs: Number.isFinite(pastLimitMs) ? pastLimitMs : null,
      valueBytesMax: await valueBytesMax(admin, topics.readings),
    },
    decoder: codecs.openDecoder(READING_SCHEMA),
    encoder: await codecs.openEncoder(READING_SCHEMA),
    admin,
    loop: log.fetchLoop({ name: 'replay', maxWaitMs: LONG_POLL_MS, maxBytesPerPartition: BYTES_PER_PARTITION, isolation: 'committed' }),
    openLane: (partition) =>
      log.transactionLane({ transactionalId: `${topicPrefix}replay-${partition}`, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS }),
    backOffMs: BACK_OFF_MS,
    runId: randomUUID(),
    nowMs: Date.now,
    signal,
  };
}

async function valueBytesMax(admin: LogAdmin, readings: string): Promise<number> {
  const [topic] = await admin.describeTopics([readings]);
  return Number(topic?.configs.get('max.message.bytes') ?? BROKER_MESSAGE_BYTES) - RECORD_OVERHEAD_BYTES;
}
