import type { Config } from '../../config/settings-table.ts';
import { BRIDGE_REJECT_REASONS, READING_REJECT_REASONS } from '../../core/outcome.ts';
import { IngotError } from '../../errors.ts';
import { topicNames } from '../../kafka/topics.ts';
import { READING_SCHEMA } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import { type CommandContext, defineCommand, QUIET_LOG } from '../command.ts';
import { OUTPUT_FLAG, RowPrinter } from '../output.ts';
import { connectLog } from '../roles/connect-log.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import type { LogRecord } from '../tail/partition-feed.ts';
import { payloadText } from '../tail/payload-text.ts';
import { readRecordAt } from '../tail/read-record-at.ts';
import { readTopics } from '../tail/read-topics.ts';
import { parseSince, sinceFlag } from '../tail/since.ts';
import { decodeRecord, placeText, shownTime } from '../tail/tail-command.ts';

// `ingot dlq`: what was refused, by whom and why. The reasons are explained in docs/errors.md.

const SETTINGS = ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX'];
const REASONS = [...BRIDGE_REJECT_REASONS, ...READING_REJECT_REASONS];

function deadLetterTopics({ kafka }: Config, stage: 'bridge' | 'aggregator' | undefined): string[] {
  const { bridgeDeadLetters, readingDeadLetters } = topicNames(kafka.topicPrefix);
  if (stage === undefined) return [bridgeDeadLetters, readingDeadLetters];
  return [stage === 'bridge' ? bridgeDeadLetters : readingDeadLetters];
}

const header = (record: LogRecord, name: string) => record.headers.get(name) ?? null;

export const dlqList = defineCommand({
  description:
    "Lists dead letters of the bridge (mqtt.dlq) and of the aggregator (readings.dlq), oldest first. 'ingot dlq show' takes what stands in the first column.",
  flags: {
    ...OUTPUT_FLAG,
    since: sinceFlag('beginning'),
    stage: { kind: 'choice', choices: ['bridge', 'aggregator'], help: 'Only what this stage refused.' },
    reason: { kind: 'string', many: true, help: 'Only this reason (docs/errors.md lists them); may be repeated.' },
    device: { kind: 'string', many: true, placeholder: 'ID', help: 'Only this device; may be repeated.' },
    limit: { kind: 'number', integer: true, min: 1, help: 'End after N rows.' },
    follow: { kind: 'boolean', help: 'Wait for more until Ctrl-C.' },
  },
  examples: [
    { line: 'ingot dlq list', shows: 'all that are kept' },
    { line: 'ingot dlq list --since 1h --reason invalid_timestamp', shows: 'some of them' },
    { line: 'ingot dlq list -o jsonl | jq -r .reason | sort | uniq -c', shows: 'how many of each reason' },
  ],
  settings: SETTINGS,
  configDefaults: QUIET_LOG,
  run: async (context) => {
    const config = context.config();
    const { stage, reason, device, limit, follow, since } = context.flags;
    const unknown = reason.find((name) => !(REASONS as readonly string[]).includes(name));
    if (unknown !== undefined)
      throw new IngotError('USAGE', `--reason: there is no reason ${JSON.stringify(unknown)}. There are: ${REASONS.join(', ')}.`);
    const printer = new RowPrinter<LogRecord>(context, { columns: COLUMNS, isStream: true, whenEmpty: 'No dead letters.' });
    const log = connectLog(config, `${config.kafka.clientId}-cli`);
    const topics = deadLetterTopics(config, stage);
    try {
      for await (const record of readTopics(log, { topics, since: parseSince(since, Date.now()), follow, signal: context.signal })) {
        if (reason.length > 0 && !reason.includes(header(record, 'failure-reason') ?? '')) continue;
        if (device.length > 0 && !device.includes(record.key ?? '')) continue;
        await printer.print(record);
        if (printer.count === limit) break;
      }
    } finally {
      await log.close();
    }
    await printer.end();
    return 0;
  },
});

const COLUMNS = [
  { title: 'id', cell: (record: LogRecord) => placeText(record), width: 30 },
  { title: 'time', cell: (record: LogRecord) => shownTime(record.timestampMs), width: 24 },
  { title: 'stage', cell: (record: LogRecord) => header(record, 'failure-stage'), width: 10 },
  { title: 'reason', cell: (record: LogRecord) => header(record, 'failure-reason'), width: 20 },
  { title: 'device', cell: (record: LogRecord) => record.key, width: 20 },
  { title: 'from', cell: (record: LogRecord) => header(record, 'original-topic'), width: 24 },
  { title: 'bytes', cell: (record: LogRecord) => record.value?.length ?? 0, width: 6, alignRight: true },
  { title: 'detail', cell: (record: LogRecord) => header(record, 'failure-detail') },
];

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

function parsePlace(text: string, config: Config): Parameters<typeof readRecordAt>[1] {
  const [, name = '', partition, offset] = /^(.+)\/(\d{1,6})\/(\d{1,15})$/.exec(text) ?? [];
  const topic = deadLetterTopics(config, undefined).find(
    (candidate) => candidate === name || candidate === config.kafka.topicPrefix + name,
  );
  if (topic) return { topic, partition: Number(partition), offset: Number(offset) };
  throw new IngotError(
    'USAGE',
    `${JSON.stringify(text)} is not a dead letter. Give TOPIC/PARTITION/OFFSET as 'ingot dlq list' shows it, TOPIC being one of ${deadLetterTopics(config, undefined).join(', ')}.`,
  );
}

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
  const headers = [...record.headers].map(([name, value]) => `  ${payloadText(Buffer.from(`${name}: ${value}`))}`);
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
