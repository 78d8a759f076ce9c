import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import type { TopicPartition, Watermarks } from '../kafka/log-port.ts';
import { sinkLossAccepted } from '../ops/sink-events.ts';
import type { SinkContext } from './sink-ports.ts';
import { loadPosition, resetPosition, type SinkPosition } from './sink-positions.ts';
import type { LastRecord } from './sink-slice.ts';

// Where a partition goes on, and whether the log there is still the one that was read before.

export interface Start {
  /** The position in the database. */
  readonly nextOffset: number;
  /** Where to begin reading: at the last record before the position, if the log still has it. */
  readonly readFrom: number;
  /** What must be found there. */
  readonly expected: LastRecord | null;
}

/** A log that has just elected a new leader may report an end that lies before what was committed. */
const END_PATIENCE_MS = 10_000;
const END_RETRY_MS = 500;

/**
 * IngotErrors `LOG_TRUNCATED` when records were deleted before they were written, `LOG_REPLACED` when the log ends before the position;
 * with acceptLoss it goes on at what there is.
 */
export async function startOf(context: SinkContext, at: TopicPartition, signal: AbortSignal): Promise<Start> {
  const { logStartOffset } = await watermarksOf(context, at);
  const position = await loadPosition(context.database, at, logStartOffset);
  const marks = await watermarksBeyond(context, at, position.nextOffset, signal);
  if (position.nextOffset > marks.highWatermark) {
    return afterLoss(context, at, {
      position,
      marks,
      error: replaced(at, `it ends at ${marks.highWatermark}, ${position.nextOffset} was read`),
    });
  }
  if (position.nextOffset < marks.logStartOffset) {
    return afterLoss(context, at, { position, marks, error: truncated(at, position.nextOffset, marks.logStartOffset) });
  }
  const { nextOffset, last } = position;
  const isThere = last !== null && last.offset >= marks.logStartOffset;
  return { nextOffset, readFrom: isThere ? last.offset : nextOffset, expected: isThere ? last : null };
}

/** Checks the first record that was read: IngotError `LOG_REPLACED` when it is not the one that was written last. */
export function checkExpected(at: TopicPartition, expected: LastRecord, found: LastRecord): void {
  if (found.offset === expected.offset && found.appendedAtMs === expected.appendedAtMs) return;
  throw replaced(
    at,
    `offset ${expected.offset} was appended at ${time(expected.appendedAtMs)}, now ${found.offset} is of ${time(found.appendedAtMs)}`,
  );
}

/** Begins at the start of a log that was made anew, if that is accepted; otherwise throws the error. */
export async function restartAfter(context: SinkContext, at: TopicPartition, error: unknown): Promise<void> {
  if (!(error instanceof IngotError) || error.code !== 'LOG_REPLACED' || !context.acceptLoss) throw error;
  const marks = await watermarksOf(context, at);
  const position = await loadPosition(context.database, at, marks.logStartOffset);
  await afterLoss(context, at, { position, marks, error });
}

async function afterLoss(
  context: SinkContext,
  at: TopicPartition,
  loss: { position: SinkPosition; marks: Watermarks; error: IngotError },
): Promise<Start> {
  const { position, marks, error } = loss;
  if (!context.acceptLoss) throw error;
  await resetPosition(context.database, at, marks.logStartOffset);
  const { topic, partition } = at;
  sinkLossAccepted({ topic, partition, from: position.nextOffset, to: marks.logStartOffset, why: error.message });
  return { nextOffset: marks.logStartOffset, readFrom: marks.logStartOffset, expected: null };
}

async function watermarksBeyond(context: SinkContext, at: TopicPartition, offset: number, signal: AbortSignal): Promise<Watermarks> {
  const deadlineAtMs = performance.now() + END_PATIENCE_MS;
  for (;;) {
    const marks = await watermarksOf(context, at);
    if (marks.highWatermark >= offset || performance.now() > deadlineAtMs) return marks;
    await sleep(END_RETRY_MS, undefined, { signal });
  }
}

async function watermarksOf(context: SinkContext, { topic, partition }: TopicPartition): Promise<Watermarks> {
  const marks = (await context.admin.watermarks(topic))[partition];
  if (marks === undefined) throw new IngotError('TOPIC_MISSING', `${topic} has no partition ${partition}. See 'ingot topics list'.`);
  return marks;
}

function replaced({ topic, partition }: TopicPartition, why: string): IngotError {
  return new IngotError(
    'LOG_REPLACED',
    `${topic}, partition ${partition}, is not the log that the rows came from: ${why}. Use another database, or 'ingot sink --accept-loss' to begin at the log's start.`,
  );
}

function truncated({ topic, partition }: TopicPartition, from: number, to: number): IngotError {
  return new IngotError(
    'LOG_TRUNCATED',
    `${topic}, partition ${partition}: offsets ${from} to ${to} were deleted by retention before they were written. 'ingot sink --accept-loss' goes on at ${to}.`,
  );
}

function time(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
