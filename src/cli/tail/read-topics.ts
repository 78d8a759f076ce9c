import type { FetchLoop, LogClient } from '../../kafka/log-port.ts';
import { type LogRecord, PartitionFeed } from './partition-feed.ts';
import { offsetsSince, type Since } from './since.ts';

// Records of whole topics, read_committed and without a group: what is already there in the order of writing over all partitions,
// then, when following, what comes.

export interface ReadTopicsOptions {
  readonly topics: readonly string[];
  readonly since: Since;
  /** End before what was appended then, epoch ms, and do not follow; nothing or null: where the topics end. */
  readonly untilMs?: number | null;
  /** Go on with what is written from now on; otherwise end where the topics end now. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

const LONG_POLL_MS = 500;
const BYTES_PER_PARTITION = 256 * 1024;

/** Ends when the signal is aborted, or at the end when not following. IngotErrors as of LogAdmin and PartitionCursor. */
export async function* readTopics(log: LogClient, options: ReadTopicsOptions): AsyncGenerator<LogRecord, void, void> {
  const loop = log.fetchLoop({ name: 'cli', maxWaitMs: LONG_POLL_MS, maxBytesPerPartition: BYTES_PER_PARTITION, isolation: 'committed' });
  const feeds: PartitionFeed[] = [];
  try {
    for (const topic of options.topics) feeds.push(...(await openFeeds(log, loop, { topic, ...options })));
    const { untilMs = null } = options;
    if (untilMs === null) yield* merge(feeds, options);
    else for await (const record of merge(feeds, { ...options, follow: false })) if (record.timestampMs < untilMs) yield record;
  } finally {
    for (const feed of feeds) feed.close();
    await loop.close();
  }
}

interface TopicSpan extends Pick<ReadTopicsOptions, 'since' | 'untilMs'> {
  readonly topic: string;
}

async function openFeeds(log: LogClient, loop: FetchLoop, { topic, since, untilMs = null }: TopicSpan): Promise<PartitionFeed[]> {
  const admin = log.admin();
  try {
    const offsets = await offsetsSince(admin, topic, since);
    const ends = untilMs === null ? [] : await admin.offsetsAtTime(topic, untilMs);
    const watermarks = await admin.watermarks(topic);
    return watermarks.map(({ highWatermark, logStartOffset }, partition) => {
      const offset = Math.max(offsets[partition] ?? highWatermark, logStartOffset);
      return new PartitionFeed(loop, { topic, partition, offset, endOffset: Math.min(ends[partition] ?? highWatermark, highWatermark) });
    });
  } finally {
    await admin.close();
  }
}

/** While a partition is behind its end, nothing is given that might come before one of its records. */
async function* merge(feeds: readonly PartitionFeed[], { follow, signal }: ReadTopicsOptions): AsyncGenerator<LogRecord, void, void> {
  let change = Promise.withResolvers<void>();
  const onChange = () => change.resolve();
  signal.addEventListener('abort', onChange);
  try {
    while (!signal.aborted) {
      change = Promise.withResolvers<void>();
      for (const feed of feeds) if (follow || !feed.isCaughtUp) feed.fill(onChange);
      const failed = feeds.find((feed) => feed.failure !== null);
      if (failed) throw failed.failure;
      const isWaiting = feeds.some((feed) => feed.isEmpty && !feed.isCaughtUp);
      const next = isWaiting ? undefined : earliest(feeds);
      if (next) yield next.take();
      else if (!isWaiting && !follow) return;
      else await change.promise;
    }
  } finally {
    signal.removeEventListener('abort', onChange);
  }
}

function earliest(feeds: readonly PartitionFeed[]): PartitionFeed | undefined {
  let best: PartitionFeed | undefined;
  for (const feed of feeds) {
    if (feed.head && (!best?.head || feed.head.timestampMs < best.head.timestampMs)) best = feed;
  }
  return best;
}
