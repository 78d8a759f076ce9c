import type { TopicRole } from '../../kafka/topics.ts';
import { topicNames } from '../../kafka/topics.ts';
import type { OurSchema } from '../../registry/our-schemas.ts';
import { openSchemaCodecs } from '../../registry/schema-codecs.ts';
import type { Decoded, ValueDecoder } from '../../registry/value-decoder-port.ts';
import type { CommandContext, FlagTable } from '../command.ts';
import { type Column, OUTPUT_FLAG, type OutputFormat, RowPrinter } from '../output.ts';
import { connectLog } from '../roles/connect-log.ts';
import { registryAddress } from '../roles/connect-registry.ts';
import { escapeControls } from '../terminal-text.ts';
import type { LogRecord } from './partition-feed.ts';
import { readTopics } from './read-topics.ts';
import { parseSince, parseUntil, sinceFlag, UNTIL_FLAG } from './since.ts';

// What `alerts tail`, `readings tail` and `aggregates tail` have in common.

export const TAIL_SETTINGS = ['KAFKA_BROKERS', 'KAFKA_TOPIC_PREFIX', 'SCHEMA_REGISTRY_URL'];

/** The flags of every tail; `since` is the default of --since. */
export function tailFlags(since: string) {
  return {
    ...OUTPUT_FLAG,
    since: sinceFlag(since),
    until: UNTIL_FLAG,
    device: { kind: 'string', many: true, placeholder: 'ID', help: 'Only this device; may be repeated.' },
    limit: { kind: 'number', integer: true, min: 1, help: 'End after N rows.' },
    follow: { kind: 'boolean', default: true, help: 'End where the topic ends now, instead of waiting for more.' },
  } as const satisfies FlagTable;
}

interface TailFlags {
  readonly output?: OutputFormat | undefined;
  readonly since: string;
  readonly until: string | undefined;
  readonly device: readonly string[];
  readonly limit?: number | undefined;
  readonly follow: boolean;
}

/** One record with its decoded value. */
export interface TailRow<Value> {
  readonly value: Value;
  readonly record: LogRecord;
}

export interface TailKind<Value> {
  readonly topic: TopicRole;
  readonly schema: OurSchema<Value>;
  readonly columns: readonly Column<TailRow<Value>>[];
  isWanted(value: Value): boolean;
}

/** Prints the topic until the signal, the limit or the end; resolves with the exit code. */
export async function tailTopic<Value>(context: CommandContext<TailFlags>, kind: TailKind<Value>): Promise<number> {
  const config = context.config();
  const { device, limit, follow } = context.flags;
  const nowMs = Date.now();
  const since = parseSince(context.flags.since, nowMs);
  const untilMs = parseUntil(context.flags.until, since, nowMs);
  const codecs = await openSchemaCodecs({
    registry: { ...registryAddress(config), autoRegister: false },
    topicPrefix: config.kafka.topicPrefix,
  });
  const decoder = codecs.openDecoder(kind.schema);
  const printer = new RowPrinter<TailRow<Value>>(context, {
    columns: kind.columns,
    toJson: ({ value, record }) => ({ ...value, record: placeOf(record) }),
    isStream: true,
    whenEmpty: 'Nothing.',
  });
  const log = connectLog(config, `${config.kafka.clientId}-cli`);
  const topics = [topicNames(config.kafka.topicPrefix)[kind.topic]];
  try {
    for await (const record of readTopics(log, { topics, since, untilMs, follow, signal: context.signal })) {
      if (device.length > 0 && (record.key === null || !device.includes(record.key))) continue;
      const decoded = await decodeRecord(decoder, record);
      if (decoded.kind !== 'value')
        context.stderr.write(escapeControls(`${placeText(record)} cannot be decoded: ${decoded.detail}`).concat('\n'));
      else if (kind.isWanted(decoded.value)) await printer.print({ value: decoded.value, record });
      if (printer.count === limit) break;
    }
  } finally {
    await log.close();
  }
  await printer.end();
  return 0;
}

/** Fetches the writer's schema when it is not known yet. Rejects with IngotError `REGISTRY_UNREACHABLE` or `REGISTRY_REFUSED`. */
export async function decodeRecord<Value>(
  decoder: ValueDecoder<Value>,
  { value }: Pick<LogRecord, 'value'>,
): Promise<Exclude<Decoded<Value>, { kind: 'unknown_schema' }>> {
  if (value === null) return { kind: 'undecodable', detail: 'it has no value' };
  const first = decoder.decode(value, 0, value.length);
  if (first.kind !== 'unknown_schema') return first;
  await decoder.load(first.schemaId);
  const second = decoder.decode(value, 0, value.length);
  return second.kind === 'unknown_schema' ? { kind: 'undecodable', detail: `schema ${second.schemaId} could not be loaded` } : second;
}

/** Where a record stands, for JSON. */
export function placeOf({ topic, partition, offset, timestampMs }: LogRecord) {
  return { topic, partition, offset, appendedAt: new Date(timestampMs).toISOString() };
}

/** The same in one word: `telemetry.alerts/3/17`. */
export function placeText({ topic, partition, offset }: Pick<LogRecord, 'topic' | 'partition' | 'offset'>): string {
  return `${topic}/${partition}/${offset}`;
}

/** A time for a table: `2026-08-01 10:00:00Z`. */
export function shownTime(timeMs: number): string {
  if (Math.abs(timeMs) > 8.64e15) return String(timeMs);
  return new Date(timeMs)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.000Z$/, 'Z');
}

/** A number for a table: at most 4 decimals. */
export function shownNumber(value: number | null, unit = ''): string {
  if (value === null) return '';
  return `${Number.isInteger(value) ? value : Number(value.toFixed(4))}${unit === '' ? '' : ` ${unit}`}`;
}
