import { createHash } from 'node:crypto';
import { partitionForKey } from '../core/murmur2.ts';
import type { BridgeRejectReason } from '../core/outcome.ts';
import { type CutPayload, EXCERPT_BYTES } from '../core/payload-excerpt.ts';
import type { Delivery } from '../mqtt/delivery-port.ts';

/** Why a message is not a reading. */
export interface Rejection {
  readonly reason: BridgeRejectReason;
  readonly detail: string;
  /** The device of the topic, when the topic names one. */
  readonly deviceId: string | null;
}

/** A record of mqtt.dlq: the original bytes, and the cause in headers (architecture.md "Topics"). */
export interface DeadLetter {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: readonly (readonly [string, string])[];
  readonly partition: number;
}

export interface DeadLetterOptions {
  readonly partitions: number;
  /** Keep only the first EXCERPT_BYTES and a hash of the whole: for payloads that are too large to be kept. */
  readonly asExcerpt: boolean;
}

export function deadLetterOf(delivery: Delivery, rejection: Rejection, options: DeadLetterOptions): DeadLetter {
  const { payload, topic } = delivery;
  const key = rejection.deviceId === null ? null : Buffer.from(rejection.deviceId);
  const headers: (readonly [string, string])[] = [
    ['original-topic', topic],
    ['failure-reason', rejection.reason],
    ['failure-stage', 'bridge'],
    ['failure-detail', rejection.detail],
    ['timestamp', String(delivery.receivedAt)],
    ['attempt', '1'],
    ...(delivery.traceContext ?? []),
  ];
  const isCut = options.asExcerpt && payload.length > EXCERPT_BYTES;
  const cut = delivery.cutPayload ?? (isCut ? measured(payload) : null);
  if (cut !== null) headers.push(['payload-bytes', String(cut.payloadBytes)], ['payload-sha256', cut.sha256]);
  return {
    key,
    value: isCut ? payload.subarray(0, EXCERPT_BYTES) : payload,
    headers,
    // Without a device the topic decides, so that the dead letters of one topic stay in order.
    partition: partitionForKey(key ?? Buffer.from(topic), options.partitions),
  };
}

function measured(payload: Buffer): CutPayload {
  return { payloadBytes: payload.length, sha256: createHash('sha256').update(payload).digest('hex') };
}
