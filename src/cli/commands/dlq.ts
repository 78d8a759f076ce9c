import type { Config } from '../../config/settings-table.ts';
import { FIRST_APPEND_TIME_HEADER } from '../../core/replay-headers.ts';
import { topicNames } from '../../kafka/topics.ts';
import { READING_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import type { ReplayMark } from '../../replay/replay-marks.ts';
import { type CommandContext, defineCommand, QUIET_LOG } from '../command.ts';
import { LETTER_FLAGS, letterFilter, parsePlace } from '../dlq/letter-filter.ts';
import { readMarks } from '../dlq/read-marks.ts';
import { type Column, OUTPUT_FLAG, RowPrinter } from '../output.ts';
import { connectLog } from '../roles/connect-log.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import type { LogRecord } from '../tail/partition-feed.ts';
import { payloadText } from '../tail/payload-text.ts';
import { readRecordAt } from '../tail/read-record-at.ts';
import { readTopics } from '../tail/read-topics.ts';
import { decodeRecord, placeText, shownTime } from '../tail/tail-command.ts';

// `ingot dlq`: what was refused, by whom and why. The reasons are explained in docs/errors.md.

const SETTINGS = ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX'];

interface LetterRow {
  readonly record: LogRecord;
  /** Null when it was not replayed. */
  readonly mark: ReplayMark | null;
}

const header = (record: LogRecord, name: string) => record.headers.get(name) ?? null;

export const dlqList = defineCommand({
  description:
    "Lists dead letters of the bridge (mqtt.dlq) and of the aggregator (readings.dlq), oldest first. 'ingot dlq show' and 'ingot dlq replay' take what stands in the first column.",
  flags: {
    ...OUTPUT_FLAG,
    ...LETTER_FLAGS,
    pending: { kind: 'boolean', help: 'Only those that were not replayed.' },
    limit: { kind: 'number', integer: true, min: 1, help: 'End after N rows.' },
    follow: { kind: 'boolean', help: 'Wait for more until Ctrl-C.' },
  },
  examples: [
    { line: 'ingot dlq list', shows: 'all that are kept' },
    { line: 'ingot dlq list --pending --since 1h --reason invalid_timestamp', shows: 'some of them' },
    { line: 'ingot dlq list -o jsonl | jq -r .reason | sort | uniq -c', shows: 'how many of each reason' },
  ],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const config = context.config();
    const { pending, limit, follow } = context.flags;
    const { topics, since, untilMs, isWanted } = letterFilter(config, context.flags);
    const printer = new RowPrinter<LetterRow>(context, { columns: COLUMNS, isStream: true, whenEmpty: 'No dead letters.' });
    const log = connectLog(config, `${config.kafka.clientId}-cli`);
    try {
      const marks = await readMarks(log, topicNames(config.kafka.topicPrefix).replayMarks, context.signal);
      for await (const record of readTopics(log, { topics, since, untilMs, follow, signal: context.signal })) {
        if (!isWanted({ reason: header(record, 'failure-reason'), device: record.key })) continue;
        const mark = marks.of({ ...record, appendTimeMs: record.timestampMs });
        if (pending && mark !== null) continue;
        await printer.print({ record, mark });
        if (printer.count === limit) break;
      }
    } finally {
      await log.close();
    }
    await printer.end();
    return 0;
  },
});

const COLUMNS: readonly Column<LetterRow>[] = [
  { title: 'id', cell: ({ record }) => placeText(record), width: 30 },
  { title: 'time', cell: ({ record }) => shownTime(record.timestampMs), width: 24 },
  { title: 'stage', cell: ({ record }) => header(record, 'failure-stage'), width: 10 },
  { title: 'reason', cell: ({ record }) => header(record, 'failure-reason'), width: 20 },
  { title: 'device', cell: ({ record }) => record.key, width: 20 },
  { title: 'from', cell: ({ record }) => header(record, 'original-topic'), width: 24 },
  { title: 'bytes', cell: ({ record }) => record.value?.length ?? 0, width: 6, alignRight: true },
  { title: 'replayed', cell: ({ mark }) => replayedText(mark), width: 24 },
  { title: 'detail', cell: ({ record }) => header(record, 'failure-detail') },
];

function replayedText(mark: ReplayMark | null): string | null {
  if (mark === null) return null;
  return mark.outcome === 'duplicate' ? 'as another letter' : shownTime(mark.replayedAtMs);
}

export const dlqShow = defineCommand({
  description:
    'Shows one dead letter whole: its headers, and its payload as text when it is text, otherwise as hex. A refused reading is also shown decoded when its schema is known.',
  flags: {
    raw: { kind: 'boolean', help: 'Write only the bytes of the payload, as they came.' },
    json: { kind: 'boolean', help: 'One JSON object, the payload in base64.' },
  },
  args: [{ name: 'ID', help: "as in 'ingot dlq list': TOPIC/PARTITION/OFFSET" }],
  examples: [
    { line: 'ingot dlq show telemetry.mqtt.dlq/3/17', shows: 'headers and payload' },
    { line: 'ingot dlq show mqtt.dlq/3/17 --raw > payload.bin', shows: 'the original bytes' },
  ],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const config = context.config();
    const place = parsePlace(context.args[0] ?? '', config);
    const log = connectLog(config, `${config.kafka.clientId}-cli`);
    try {
      const record = await readRecordAt(log, place);
      if (context.flags.raw) context.stdout.write(record.value ?? Buffer.alloc(0));
      else if (context.flags.json) context.stdout.write(`${JSON.stringify(asJson(record))}\n`);
      else context.stdout.write(`${await asText(record, context)}\n`);
      return 0;
    } finally {
      await log.close();
    }
  },
});

function asJson(record: LogRecord) {
  return {
    id: placeText(record),
    appendedAt: new Date(record.timestampMs).toISOString(),
    key: record.key,
    headers: Object.fromEntries(record.headers),
    payloadBase64: record.value?.toString('base64') ?? null,
  };
}

async function asText(record: LogRecord, context: Pick<CommandContext, 'config'>): Promise<string> {
  const headers = [...record.headers].map(
    ([name, value]) => `  ${payloadText(Buffer.from(`${name}: ${value}`))}${timeBeside(name, value)}`,
  );
  const lines = [
    placeText(record),
    `appended  ${shownTime(record.timestampMs)}`,
    `key       ${record.key === null ? 'none' : payloadText(Buffer.from(record.key))}`,
    'headers',
    ...headers,
    `payload (${record.value?.length ?? 0} bytes)`,
    payloadText(record.value ?? Buffer.alloc(0)),
  ];
  const decoded = await decodedReading(record, context.config());
  return [...lines, ...(decoded === null ? [] : ['decoded', payloadText(Buffer.from(decoded))])].join('\n');
}

const EPOCH_HEADERS: readonly string[] = ['timestamp', FIRST_APPEND_TIME_HEADER];

/** Of a header that is milliseconds since 1970: the same as a person reads it. */
function timeBeside(name: string, value: string): string {
  return EPOCH_HEADERS.includes(name) && /^\d{1,15}$/.test(value) ? `  (${shownTime(Number(value))})` : '';
}

/** Null when the payload is not a reading or the registry cannot say: this is a comfort, not worth a failure. */
async function decodedReading(record: LogRecord, { registry, kafka }: Config): Promise<string | null> {
  if (record.headers.get('failure-stage') !== 'aggregator') return null;
  try {
    const codecs = await openSchemaCodecs({
      registry: { ...registryAddress({ registry }), autoRegister: false },
      topicPrefix: kafka.topicPrefix,
    });
    const decoded = await decodeRecord(codecs.openDecoder(READING_SCHEMA), record);
    return decoded.kind === 'value' ? JSON.stringify(decoded.value) : null;
  } catch {
    return null;
  }
}
