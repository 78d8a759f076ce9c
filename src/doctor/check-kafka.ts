import { RecordReader } from '../core/record-batch.ts';
import type { LogAdmin, LogClient, TopicDescription } from '../kafka/log-port.ts';
import type { TopicDifference } from './doctor-ports.ts';
import { type Finding, ok, spanText, warn } from './finding.ts';
import { guarded, timed } from './guarded.ts';
import { judgeClock } from './judge-clock.ts';
import { judgeDuplicates } from './judge-duplicates.ts';
import { judgeTopics } from './judge-topics.ts';

export interface KafkaCheck {
  readonly log: LogClient;
  /** For messages: the brokers, and where the address came from. */
  readonly address: string;
  readonly readingsTopic: string;
  readonly deadLettersTopic: string;
  /** Names of all topics of Ingot. */
  readonly topics: readonly string[];
  /** The topics as they are against the table. */
  compare(described: readonly TopicDescription[]): readonly TopicDifference[];
  readonly transactionalId: string;
  readonly maxPayloadBytes: number;
  readonly duplicateRange: { readonly rangeRecords: number; readonly rangeMs: number; readonly outageMs: number };
  readonly deadlineMs: number;
  /** Writes nothing, so the clocks are not compared. */
  readonly isReadOnly: boolean;
}

/** Kafka itself, and when it answers its topics, its clock and the rate against the range of duplicates; each as far as it goes. */
export async function checkKafka(check: KafkaCheck): Promise<readonly Finding[]> {
  const admin = check.log.admin();
  try {
    let described: readonly TopicDescription[] | null = null;
    const answered = await guarded('Kafka', check.deadlineMs, async () => {
      const { answer, latencyMs } = await timed(() => admin.describeTopics(check.topics));
      described = answer;
      return [ok('Kafka', `${check.address} tells its topics in ${spanText(latencyMs)}`, latencyMs)];
    });
    if (described === null) return [...answered.map((finding) => withAddress(finding, check.address)), ...notChecked()];
    return [...answered, ...(await checkContents(check, { admin, described }))];
  } finally {
    await admin.close();
  }
}

function withAddress(finding: Finding, address: string): Finding {
  return { ...finding, what: `${address}: ${finding.what}` };
}

function notChecked(): Finding[] {
  return ['topics', 'clock', 'duplicates'].map((check) => warn(check, 'not looked at, because Kafka does not answer', 'See Kafka above'));
}

interface Answered {
  readonly admin: LogAdmin;
  readonly described: readonly TopicDescription[];
}

async function checkContents(check: KafkaCheck, { admin, described }: Answered): Promise<readonly Finding[]> {
  const { readingsTopic, deadLettersTopic, maxPayloadBytes, deadlineMs } = check;
  const differences = check.compare(described);
  const has = (name: string) => described.some((topic) => topic.name === name);
  const found = await Promise.all([
    guarded('topics', deadlineMs, async () =>
      judgeTopics({ described, differences, payloadTopics: [readingsTopic, deadLettersTopic], maxPayloadBytes }),
    ),
    guarded('clock', deadlineMs, async () => [await checkClock(check, described)]),
    guarded('duplicates', deadlineMs, async () => [
      has(readingsTopic)
        ? await checkDuplicates(check, admin)
        : warn('duplicates', `not looked at, because there is no topic ${readingsTopic}`, "'ingot topics create'"),
    ]),
  ]);
  return found.flat();
}

/**
 * The broker stamps a record of a transaction that is aborted at once: nobody who reads committed records ever sees it. That it can be
 * written at all is worth knowing, too.
 */
async function checkClock(check: KafkaCheck, described: readonly TopicDescription[]): Promise<Finding> {
  const topic = check.deadLettersTopic;
  const timestampType = described.find(({ name }) => name === topic)?.configs.get('message.timestamp.type');
  if (timestampType !== 'LogAppendTime') {
    const why = timestampType === undefined ? `there is no topic ${topic}` : `${topic} has message.timestamp.type=${timestampType}`;
    return warn('clock', `not measured: ${why}`, "See 'ingot topics describe'");
  }
  if (check.isReadOnly) return ok('clock', 'not measured: that takes a record, and --read-only is given');
  const lane = check.log.transactionLane({ transactionalId: check.transactionalId, transactionTimeoutMs: 10_000 });
  try {
    const at = { topic, partition: 0 };
    // The first fence opens connections and takes a producer id; the second one is only as uncertain as it is long.
    await lane.fence(at);
    const beforeMs = Date.now();
    const offset = await lane.fence(at);
    const afterMs = Date.now();
    return judgeClock({ appendTimeMs: await appendTimeOf(check.log, { ...at, offset }), beforeMs, afterMs });
  } finally {
    await lane.close();
  }
}

async function appendTimeOf(log: LogClient, at: { topic: string; partition: number; offset: number }): Promise<number> {
  const loop = log.fetchLoop({ name: 'doctor', maxWaitMs: 100, maxBytesPerPartition: 65_536, isolation: 'uncommitted' });
  try {
    const cursor = loop.open({ topic: at.topic, partition: at.partition }, at.offset);
    const reader = new RecordReader();
    for (;;) {
      reader.reset(await cursor.next());
      if (reader.next()) return reader.timestampMs;
    }
  } finally {
    await loop.close();
  }
}

const RATE_SPAN_MS = 10 * 60_000;

async function checkDuplicates({ readingsTopic, duplicateRange }: KafkaCheck, admin: LogAdmin): Promise<Finding> {
  const before = await admin.offsetsAtTime(readingsTopic, Date.now() - RATE_SPAN_MS);
  const now = await admin.watermarks(readingsTopic);
  const recordsByPartition = now.map(({ highWatermark }, partition) => highWatermark - (before[partition] ?? highWatermark));
  return judgeDuplicates({ ...duplicateRange, recordsByPartition, spanMs: RATE_SPAN_MS });
}
