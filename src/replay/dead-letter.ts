import { attemptOf, type HeaderValues } from '../core/replay-headers.ts';
import type { TopicPartition } from '../kafka/log-port.ts';

/** A record of one of the two dead letter topics; its bytes are copies. */
export interface DeadLetter extends TopicPartition {
  readonly offset: number;
  /** When it was appended to the dead letters, epoch ms. */
  readonly appendTimeMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: HeaderValues;
}

/** Where a letter lies, in one word: what `ingot dlq list` shows, and the key of its mark. */
export function letterPlace({ topic, partition, offset }: TopicPartition & { readonly offset: number }): string {
  return `${topic}/${partition}/${offset}`;
}

export function headerText(letter: DeadLetter, name: string): string | null {
  return letter.headers.get(name)?.toString('utf8') ?? null;
}

/** Whether the letter comes from a replay that was refused: then another letter with the same message in it was replayed. */
export function isRefusedReplay(letter: DeadLetter): boolean {
  return attemptOf(letter.headers) > 1;
}
