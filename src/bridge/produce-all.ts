import { setTimeout as sleep } from 'node:timers/promises';
import { IngotError } from '../errors.ts';
import type { ProduceLane } from '../kafka/log-port.ts';
import type { Delivery } from '../mqtt/delivery-port.ts';
import type { BridgeEvents } from '../ops/bridge-events.ts';
import { type Batch, type BatchPart, type OutgoingRecord, PartBuilder } from './batcher.ts';
import type { Rejection } from './dead-letter.ts';

export interface ProduceAllOptions {
  readonly lane: ProduceLane;
  readonly events: BridgeEvents;
  /** Makes the record of a message again. Its value need only be valid until the next call. */
  recordOf(delivery: Delivery, rejection: Rejection | null): OutgoingRecord;
  /** Why a message becomes a dead letter whose reading Kafka finds too large. */
  asTooLarge(delivery: Delivery): Rejection;
  /** The dead letter of a message that cannot be kept whole. */
  excerptOf(delivery: Delivery, rejection: Rejection): OutgoingRecord;
  /** Ends the waiting for a dead letter topic that refuses even an excerpt. */
  readonly signal: AbortSignal;
}

const REFUSED_EXCERPT_RETRY_MS = 5_000;

/**
 * Sends a batch until the log has everything. What the log finds too large is taken apart until the record at fault stands alone;
 * that one becomes a dead letter. Resolves with the parts that the log has: all messages are in them, each as what has become of it.
 * Rejects with IngotError `LANE_CLOSED`, or when `signal` aborts: then the messages must stay unacknowledged.
 */
export async function produceAll(batch: Batch, options: ProduceAllOptions): Promise<readonly BatchPart[]> {
  const refused = await sendParts(batch, options.lane);
  if (refused.length === 0) return batch;
  const produced: BatchPart[] = [];
  for (const part of batch) {
    if (!refused.includes(part)) produced.push(part);
    else if (part.count === 1) produced.push(...(await produceAsDeadLetter(part, options)));
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
function halves(part: BatchPart, options: ProduceAllOptions): readonly Batch[] {
  const middle = part.count >> 1;
  return [rebuild(part, { from: 0, to: middle }, options), rebuild(part, { from: middle, to: part.count }, options)];
}

function rebuild({ deliveries, rejections }: BatchPart, { from, to }: { from: number; to: number }, options: ProduceAllOptions): Batch {
  const builders = new Map<string, PartBuilder>();
  for (let at = from; at < to; at++) {
    const record = options.recordOf(deliveries[at]!, rejections === null ? null : rejections[at]!);
    const name = `${record.topic}/${record.partition}`;
    const builder = builders.get(name) ?? new PartBuilder(record.topic, record.partition);
    builders.set(name, builder);
    builder.add(record);
  }
  return [...builders.values()].map((builder) => builder.take());
}

/** The part of one message whose record is too large alone: as a dead letter, and if that is too large as well, as an excerpt. */
async function produceAsDeadLetter({ deliveries, rejections }: BatchPart, options: ProduceAllOptions): Promise<readonly BatchPart[]> {
  const delivery = deliveries[0]!;
  if (rejections === null) return produceAll(partOf(options.recordOf(delivery, options.asTooLarge(delivery))), options);
  const excerpt = partOf(options.excerptOf(delivery, rejections[0]!));
  for (;;) {
    try {
      await options.lane.send(excerpt);
      return excerpt;
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      options.events.deadLetterWithheld(excerpt[0]!.topic, error.message);
      await sleep(REFUSED_EXCERPT_RETRY_MS, undefined, { signal: options.signal });
    }
  }
}

function partOf(record: OutgoingRecord): Batch {
  const builder = new PartBuilder(record.topic, record.partition);
  builder.add(record);
  return [builder.take()];
}
