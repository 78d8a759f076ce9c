import { decodeReading } from '../core/decode-reading.ts';
import { parseDeviceTopic } from '../core/device-topic.ts';
import type { Reading } from '../core/reading.ts';
import type { ProduceLane } from '../kafka/log-port.ts';
import type { Delivery, DeliverySource } from '../mqtt/delivery-port.ts';
import type { BridgeEvents } from '../ops/bridge-events.ts';
import { type Batch, Batcher, type BatchLimits, type BatchPart, type OutgoingRecord } from './batcher.ts';
import { deadLetterOf, type Rejection } from './dead-letter.ts';
import type { DeviceLimits } from './device-limits.ts';
import { type DeviceRoute, DeviceRoutes } from './device-routes.ts';
import { produceAll } from './produce-all.ts';
import type { ReadingEncoder, ReadingTranscoder } from './reading-port.ts';

export interface BridgeOptions {
  readonly source: DeliverySource;
  readonly lane: ProduceLane;
  readonly encoder: ReadingEncoder;
  /** Without it every message is decoded and encoded. */
  readonly transcoder?: ReadingTranscoder;
  readonly readingsTopic: string;
  readonly deadLettersTopic: string;
  /** Of both topics. */
  readonly partitions: number;
  readonly batch: BatchLimits;
  readonly maxPayloadBytes: number;
  /** Null when the operator has set none. */
  readonly limits?: DeviceLimits | null;
  readonly events: BridgeEvents;
}

/**
 * MQTT to Kafka: receive, decode, encode, send, acknowledge. A message is acknowledged to the MQTT broker only after Kafka has its
 * record or its dead letter; batches go one after the other, so the readings of a device stay in order.
 */
export class Bridge {
  readonly #options: BridgeOptions;
  readonly #batcher: Batcher;
  readonly #routes: DeviceRoutes;
  readonly #stopping = new AbortController();
  #producing: Promise<void> = Promise.resolve();

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#batcher = new Batcher(options.batch);
    this.#routes = new DeviceRoutes(options.partitions);
  }

  /** Resolves when messages are being taken. `onFailed` is called when the bridge cannot go on: what is in flight stays unacknowledged. */
  async start(onFailed: (error: unknown) => void): Promise<void> {
    this.#producing = this.#produceBatches();
    this.#producing.catch((error: unknown) => {
      this.#options.source.hold();
      if (!this.#stopping.signal.aborted) onFailed(error);
    });
    await this.#options.source.start(
      (delivery) => this.#receive(delivery),
      () => this.#batcher.flush(),
    );
  }

  /** Takes nothing more, produces and acknowledges what was taken, disconnects. True when nothing was left behind at the deadline. */
  async stop(deadlineMs: number): Promise<boolean> {
    const { source, events } = this.#options;
    const deadlineAt = performance.now() + deadlineMs;
    source.hold();
    this.#batcher.close();
    await Promise.race([this.#producing.catch(() => {}), afterMs(deadlineMs - LAST_WORDS_MS)]);
    this.#stopping.abort();
    const isDrained = events.ledger().inFlight === 0;
    await source.close(Math.max(LAST_WORDS_MS, deadlineAt - performance.now()));
    if (isDrained) events.drained();
    else events.notDrained();
    return isDrained;
  }

  #receive(delivery: Delivery): void {
    const { events } = this.#options;
    events.messageReceived(delivery.qos);
    if (delivery.retain) {
      // An old value that is sent to every new subscriber: a restart would ingest it again.
      events.retainedIgnored();
      delivery.ack();
      return;
    }
    if (this.#options.limits && this.#isBeyondLimits(this.#options.limits, delivery)) return;
    if (this.#transcode(delivery)) return;
    const outcome = decodeReading(delivery, this.#options.maxPayloadBytes);
    if (outcome.kind === 'rejected') {
      this.#reject(delivery, outcome);
      return;
    }
    if (outcome.ignoredFields > 0) events.fieldsIgnored(outcome.ignoredFields);
    this.#batcher.add(this.#readingRecord(delivery, outcome.reading));
  }

  /** The short way of nearly all messages; false when this one has to be decoded. */
  #transcode(delivery: Delivery): boolean {
    const { transcoder, maxPayloadBytes, events } = this.#options;
    if (transcoder === undefined || delivery.cutPayload !== null) return false;
    if (delivery.payloadEnd - delivery.payloadStart > maxPayloadBytes) return false;
    const route = this.#routes.of(delivery.topic);
    const value = route === null ? null : transcoder.transcode(delivery, route);
    if (value === null) return false;
    if (transcoder.ignoredFields > 0) events.fieldsIgnored(transcoder.ignoredFields);
    this.#batcher.add(this.#recordWith(value, route!, delivery));
    return true;
  }

  #reject(delivery: Delivery, rejection: Rejection): void {
    this.#options.events.messageRejected(rejection.reason, rejection.detail);
    this.#batcher.add(this.#deadLetterRecord(delivery, rejection));
  }

  /** True when a limit has decided what becomes of the message. */
  #isBeyondLimits(limits: DeviceLimits, delivery: Delivery): boolean {
    const verdict = limits.judge(delivery.topic, delivery.receivedAt);
    if (verdict === 'pass') return false;
    if (verdict === 'shed') {
      this.#options.events.messageShed(delivery.topic);
      delivery.ack();
      return true;
    }
    const topic = parseDeviceTopic(delivery.topic);
    const detail = 'this bridge has as many devices as DEVICE_COUNT_MAX allows';
    this.#reject(delivery, { reason: 'device_limit', detail, deviceId: topic.ok ? topic.deviceId : null });
    return true;
  }

  async #produceBatches(): Promise<void> {
    for (;;) {
      const batch = await this.#batcher.next();
      if (batch === null) return;
      const delivered = await this.#produce(batch);
      this.#acknowledge(delivered);
    }
  }

  async #produce(batch: Batch): Promise<readonly BatchPart[]> {
    const { lane, events } = this.#options;
    const silence = setTimeout(() => events.kafkaSilent(SILENCE_MS), SILENCE_MS);
    try {
      return await produceAll(batch, {
        lane,
        events,
        recordOf: (delivery, rejection) => this.#recordOf(delivery, rejection),
        asTooLarge: (delivery) => this.#asTooLarge(delivery),
        excerptOf: (delivery, rejection) => this.#deadLetterRecord(delivery, rejection, true),
        signal: this.#stopping.signal,
      });
    } finally {
      clearTimeout(silence);
    }
  }

  #acknowledge(produced: readonly BatchPart[]): void {
    const { events } = this.#options;
    let oldestReceivedAt = Number.POSITIVE_INFINITY;
    for (const { deliveries, rejections } of produced) {
      if (rejections === null) events.readingsProduced(deliveries.length);
      else events.deadLettersProduced(rejections);
      for (const delivery of deliveries) delivery.ack();
      oldestReceivedAt = Math.min(oldestReceivedAt, deliveries[0]!.receivedAt);
    }
    if (produced.length > 0) events.batchAcknowledged(Date.now() - oldestReceivedAt);
  }

  /** The record of a message that was decoded before, made again. */
  #recordOf(delivery: Delivery, rejection: Rejection | null): OutgoingRecord {
    const outcome = rejection ?? decodeReading(delivery, this.#options.maxPayloadBytes);
    return 'reading' in outcome ? this.#readingRecord(delivery, outcome.reading) : this.#deadLetterRecord(delivery, outcome);
  }

  #asTooLarge(delivery: Delivery): Rejection {
    const topic = parseDeviceTopic(delivery.topic);
    const detail = `Kafka refused the reading of a payload of ${delivery.payload.length} bytes as too large`;
    this.#options.events.messageRejected('record_too_large', detail);
    return { reason: 'record_too_large', detail, deviceId: topic.ok ? topic.deviceId : null };
  }

  #readingRecord(delivery: Delivery, reading: Reading): OutgoingRecord {
    return this.#recordWith(this.#options.encoder.encode(reading), this.#routes.of(delivery.topic)!, delivery);
  }

  #recordWith(value: Uint8Array, { key, partition }: DeviceRoute, delivery: Delivery): OutgoingRecord {
    const { traceContext } = delivery;
    const record = { topic: this.#options.readingsTopic, partition, key, value, delivery, rejection: null };
    return traceContext === null ? record : { ...record, headers: traceContext };
  }

  #deadLetterRecord(delivery: Delivery, rejection: Rejection, asExcerpt = false): OutgoingRecord {
    const { partitions, maxPayloadBytes, deadLettersTopic } = this.#options;
    const isOverLimit = delivery.payloadEnd - delivery.payloadStart > maxPayloadBytes;
    const letter = deadLetterOf(delivery, rejection, { partitions, asExcerpt: asExcerpt || isOverLimit });
    return { topic: deadLettersTopic, ...letter, delivery, rejection };
  }
}

/** After this long without an acknowledgement the bridge says that Kafka is away. */
const SILENCE_MS = 10_000;
/** Of a deadline: for the PUBACKs that are ready, and DISCONNECT. */
const LAST_WORDS_MS = 500;

function afterMs(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
