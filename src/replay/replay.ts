import type { LogAdmin } from '../kafka/log-port.ts';
import { type DeadLetter, letterPlace } from './dead-letter.ts';
import type { OffsetRange } from './read-range.ts';
import { type LetterResult, replayPartition } from './replay-partition.ts';
import type { ReplayContext } from './replay-ports.ts';

export interface ReplayRequest {
  /** Which of the two dead letter topics. */
  readonly topics: readonly string[];
  /** Letters appended from then on, epoch ms; null = from the beginning. */
  readonly sinceMs: number | null;
  /** Letters appended before then, epoch ms; null = up to the present end. */
  readonly untilMs: number | null;
  /** Only these letters, by place (`letterPlace`); null = any. */
  readonly places: ReadonlySet<string> | null;
  readonly isWanted: (letter: DeadLetter) => boolean;
  /** Judges and tells, and writes nothing. */
  readonly isDryRun: boolean;
  /** Replays at most so many. */
  readonly replaysMax: number;
}

/**
 * Appends dead letters to the readings, each once however often and wherever this runs: partition after partition, the letters that are
 * there now, up to 100 in a transaction with their marks. Yields each letter when its fate is committed. Letters that are refused again
 * by the aggregator come back as new letters. IngotErrors: `REPLAY_FENCED`, `REPLAY_TIMEOUT`, `TRANSACTION_IN_DOUBT`, `TOPIC_MISSING`,
 * those of the registry, `KAFKA_UNREACHABLE`.
 */
export async function* replayDeadLetters(context: ReplayContext, request: ReplayRequest): AsyncGenerator<LetterResult, void, void> {
  const { isDryRun, untilMs, places } = request;
  const ranges: TopicRanges[] = [];
  for (const topic of request.topics) ranges.push(await topicRanges(context.admin, topic, request.sinceMs));
  const isWanted = (letter: DeadLetter): boolean =>
    (untilMs === null || letter.appendTimeMs < untilMs) && (places === null || places.has(letterPlace(letter))) && request.isWanted(letter);
  let replaysLeft = request.replaysMax;
  for (let partition = 0; partition < context.partitions; partition++) {
    if (context.signal.aborted || replaysLeft <= 0) return;
    const results = replayPartition(context, {
      partition,
      ranges: ranges.flatMap(({ ofPartition }) => ofPartition[partition] ?? []).map((range) => narrowed(range, places)),
      logStartOffsets: new Map(ranges.map(({ topic, logStartOffsets }) => [topic, logStartOffsets[partition] ?? 0])),
      isWanted,
      isDryRun,
      replaysMax: replaysLeft,
    });
    for await (const result of results) {
      if (result.outcome === 'replayed' || result.outcome === 'would_replay') replaysLeft -= 1;
      yield result;
    }
  }
}

interface TopicRanges {
  readonly topic: string;
  readonly ofPartition: readonly OffsetRange[];
  readonly logStartOffsets: readonly number[];
}

/** Up to the end of now: what a replay itself brings back as a letter is for the next one. */
async function topicRanges(admin: LogAdmin, topic: string, sinceMs: number | null): Promise<TopicRanges> {
  const since = sinceMs === null ? null : await admin.offsetsAtTime(topic, sinceMs);
  const watermarks = await admin.watermarks(topic);
  return {
    topic,
    ofPartition: watermarks.map(({ logStartOffset, highWatermark }, partition) => {
      const from = Math.max(logStartOffset, since === null ? 0 : (since[partition] ?? highWatermark));
      return { topic, partition, from, to: highWatermark };
    }),
    logStartOffsets: watermarks.map(({ logStartOffset }) => logStartOffset),
  };
}

/** Only as much of the range as holds the places. */
function narrowed(range: OffsetRange, places: ReadonlySet<string> | null): OffsetRange {
  if (places === null) return range;
  const start = `${range.topic}/${range.partition}/`;
  const offsets = [...places].filter((place) => place.startsWith(start)).map((place) => Number(place.slice(start.length)));
  if (offsets.length === 0) return { ...range, to: range.from };
  return { ...range, from: Math.max(range.from, Math.min(...offsets)), to: Math.min(range.to, Math.max(...offsets) + 1) };
}
