import { IngotError } from '../../errors.ts';
import type { LogClient } from '../../kafka/log-port.ts';
import { MarkBook } from '../../replay/replay-marks.ts';
import { readTopics } from '../tail/read-topics.ts';

/** The marks of all partitions as they are now. An installation that never had the topic has no marks. */
export async function readMarks(log: LogClient, topic: string, signal: AbortSignal): Promise<MarkBook> {
  const book = new MarkBook();
  try {
    for await (const { key, value } of readTopics(log, { topics: [topic], since: { kind: 'beginning' }, follow: false, signal })) {
      if (key !== null) book.take(key, value);
    }
  } catch (error) {
    if (!(error instanceof IngotError && error.code === 'TOPIC_MISSING')) throw error;
  }
  return book;
}
