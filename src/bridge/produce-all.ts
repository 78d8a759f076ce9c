import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import type { ProduceLane } from '../kafka/log-port.ts';
import type { BridgeEvents } from '../ops/bridge-events.ts';
import { type Batch, type BatchPart, type InTransit, type OutgoingRecord, PartBuilder } from './batcher.ts';

export interface ProduceAllOptions {
  readonly lane: ProduceLane;
  readonly events: BridgeEvents;
  /** Makes the record of a message again. Its value need only be valid until the next call. */
  recordOf(message: InTransit): OutgoingRecord;
  /** The message as a dead letter, because Kafka finds its reading too large. */
  asTooLarge(message: InTransit): InTransit;
  /** The dead letter of a message that cannot be kept whole. */
  excerptOf(message: InTransit): OutgoingRecord;
  /** Ends the waiting for a dead letter topic that refuses even an excerpt. */
  readonly signal: AbortSignal;
}

const REFUSED_EXCERPT_RETRY_MS = 5_000;

/**
 * Sends a batch until the log has everything. What the log finds too large is taken apart until the record at fault stands alone;
 * that one becomes a dead letter. Resolves with all messages, each with what has become of it.
 * Rejects with IngotError `LANE_CLOSED`, or when `signal` aborts: then the messages must stay unacknowledged.
 */
export async function produceAll(batch: Batch, options: ProduceAllOptions): Promise<InTransit[]> {
  const refused = new Set(await sendParts(batch, options.lane));
  const produced: InTransit[] = [];
  for (const part of batch) {
    if (!refused.has(part)) produced.push(...part.from);
    else if (part.from.length === 1) produced.push(...(await produceAsDeadLetter(part.from[0]!, options)));
    else for (const half of halves(part, options)) produced.push(...(await produceAll(half, options)));
  }
  return produced;
}

/**
 * Resolves with the parts that are too large; all others have been appended. Those must not be sent again: a reading without a time, number
 * or id of its own has no identity, and would count twice.
 */
async function sendParts(batch: Batch, lane: ProduceLane): Promise<readonly BatchPart[]> {
  try {
    await lane.send(batch);
    return [];
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    const { pending } = error.details;
    if (!Array.isArray(pending) || pending.length === 0) throw error;
    return batch.filter((_, at) => pending.includes(at));
  }
}

function isTooLarge(error: unknown): error is IngotError {
  return error instanceof IngotError && error.code === 'RECORD_TOO_LARGE';
}

/** In order, so that the readings of a device stay in order. */
function halves({ from }: BatchPart, options: ProduceAllOptions): readonly Batch[] {
  const middle = from.length >> 1;
  return [rebuild(from.slice(0, middle), options.recordOf), rebuild(from.slice(middle), options.recordOf)];
}

function rebuild(messages: readonly InTransit[], recordOf: (message: InTransit) => OutgoingRecord): BatchPart[] {
  const builders = new Map<string, PartBuilder>();
  for (const message of messages) {
    const record = recordOf(message);
    const name = `${record.topic}/${record.partition}`;
    const builder = builders.get(name) ?? new PartBuilder(record.topic, record.partition);
    builders.set(name, builder);
    builder.add(record);
  }
  return [...builders.values()].map((builder) => builder.take());
}

/** A message whose record is too large alone: as a dead letter, and if that is too large as well, as an excerpt. */
async function produceAsDeadLetter(message: InTransit, options: ProduceAllOptions): Promise<InTransit[]> {
  if (message.rejection === null) return produceAll(rebuild([options.asTooLarge(message)], options.recordOf), options);
  const excerpt = rebuild([message], options.excerptOf);
  for (;;) {
    try {
      await options.lane.send(excerpt);
      return [message];
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      options.events.deadLetterWithheld(excerpt[0]!.topic, error.message);
      await sleep(REFUSED_EXCERPT_RETRY_MS, undefined, { signal: options.signal });
    }
  }
}
