import type { Config } from '../../config/settings-table.ts';
import { BRIDGE_REJECT_REASONS, READING_REJECT_REASONS } from '../../core/outcome.ts';
import { IngotError } from '../../errors.ts';
import { topicNames } from '../../kafka/topics.ts';
import type { FlagTable } from '../command.ts';
import { parseSince, parseUntil, type Since, sinceFlag, UNTIL_FLAG } from '../tail/since.ts';

// Which dead letters a command is about: the flags that `dlq list` and `dlq replay` share.

export const LETTER_FLAGS = {
  since: sinceFlag('beginning'),
  until: UNTIL_FLAG,
  stage: { kind: 'choice', choices: ['bridge', 'aggregator'], help: 'Only what this stage refused.' },
  reason: { kind: 'string', many: true, help: 'Only this reason (docs/errors.md lists them); may be repeated.' },
  device: { kind: 'string', many: true, placeholder: 'ID', help: 'Only this device; may be repeated.' },
} as const satisfies FlagTable;

export interface LetterFlagValues {
  readonly since: string;
  readonly until: string | undefined;
  readonly stage: 'bridge' | 'aggregator' | undefined;
  readonly reason: readonly string[];
  readonly device: readonly string[];
}

export interface LetterFilter {
  readonly topics: readonly string[];
  readonly since: Since;
  /** Letters appended before then, epoch ms; null = all. */
  readonly untilMs: number | null;
  isWanted(letter: { readonly reason: string | null; readonly device: string | null }): boolean;
}

/** IngotError `USAGE` for a time or a reason that is none. */
export function letterFilter(config: Config, { since, until, stage, reason, device }: LetterFlagValues): LetterFilter {
  const reasons: readonly string[] = [...BRIDGE_REJECT_REASONS, ...READING_REJECT_REASONS];
  const unknown = reason.find((name) => !reasons.includes(name));
  if (unknown !== undefined) {
    throw new IngotError('USAGE', `--reason: there is no reason ${JSON.stringify(unknown)}. There are: ${reasons.join(', ')}.`);
  }
  const nowMs = Date.now();
  const start = parseSince(since, nowMs);
  return {
    topics: deadLetterTopics(config, stage),
    since: start,
    untilMs: parseUntil(until, start, nowMs),
    isWanted: (letter) =>
      (reason.length === 0 || reason.includes(letter.reason ?? '')) && (device.length === 0 || device.includes(letter.device ?? '')),
  };
}

function deadLetterTopics({ kafka }: Config, stage?: 'bridge' | 'aggregator'): string[] {
  const { bridgeDeadLetters, readingDeadLetters } = topicNames(kafka.topicPrefix);
  if (stage === undefined) return [bridgeDeadLetters, readingDeadLetters];
  return [stage === 'bridge' ? bridgeDeadLetters : readingDeadLetters];
}

/** The place that an id names, as 'ingot dlq list' shows it, with or without the prefix. IngotError `USAGE` when it is none. */
export function parsePlace(text: string, config: Config): { topic: string; partition: number; offset: number } {
  const [, name = '', partition, offset] = /^(.+)\/(\d{1,6})\/(\d{1,15})$/.exec(text) ?? [];
  const topics = deadLetterTopics(config);
  const topic = topics.find((candidate) => candidate === name || candidate === config.kafka.topicPrefix + name);
  if (topic) return { topic, partition: Number(partition), offset: Number(offset) };
  throw new IngotError(
    'USAGE',
    `${JSON.stringify(text)} is not a dead letter. Give TOPIC/PARTITION/OFFSET as 'ingot dlq list' shows it, TOPIC being one of ${topics.join(', ')}.`,
  );
}
