import { RecordsEncoder } from '../core/record-batch.ts';
import type { EncodedRecords } from '../kafka/log-port.ts';
import type { Delivery } from '../mqtt/delivery-port.ts';
import type { Rejection } from './dead-letter.ts';

/** One Kafka record to be. Key and value are copied when it is added to a batch. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers?: readonly (readonly [string, string])[];
  /** The message that it is made of. */
  readonly delivery: Delivery;
  /** Null for a reading. */
  readonly rejection: Rejection | null;
}

/** The encoded records of one partition, and the messages that they were made of. */
export interface BatchPart extends EncodedRecords {
  readonly deliveries: readonly Delivery[];
  /** One per delivery when these are dead letters, null when they are readings: no partition has both, and readings are nearly all. */
  readonly rejections: readonly Rejection[] | null;
}

/** What goes to Kafka in one call: one part per partition. */
export type Batch = readonly BatchPart[];

/** A batch is complete when it has this many records or bytes, or when its first record has waited this long. */
export interface BatchLimits {
  readonly records: number;
  readonly bytes: number;
  readonly lingerMs: number;
}

/** Encodes the records of one partition of one topic, one batch after the other. */
export class PartBuilder {
  readonly #topic: string;
  readonly #partition: number;
  readonly #encoder = new RecordsEncoder(4096);
  #deliveries: Delivery[] = [];
  #rejections: Rejection[] | null = null;

  constructor(topic: string, partition: number) {
    this.#topic = topic;
    this.#partition = partition;
  }

  get isEmpty(): boolean {
    return this.#deliveries.length === 0;
  }

  /** Returns the bytes added. */
  add(record: OutgoingRecord): number {
    const { delivery, rejection } = record;
    const timestampMs = delivery.receivedAt;
    if (this.#deliveries.length === 0) this.#encoder.reset(timestampMs);
    const before = this.#encoder.sizeBytes;
    this.#encoder.add(record.key, record.value, timestampMs, record.headers);
    this.#deliveries.push(delivery);
    if (rejection !== null) {
      this.#rejections ??= [];
      this.#rejections.push(rejection);
    }
    return this.#encoder.sizeBytes - before;
  }

  /** What was added since the last call, as one part. */
  take(): BatchPart {
    const deliveries = this.#deliveries;
    const rejections = this.#rejections;
    this.#deliveries = [];
    this.#rejections = null;
    return {
      topic: this.#topic,
      partition: this.#partition,
      records: this.#encoder.take(),
      count: deliveries.length,
      baseTimestampMs: this.#encoder.baseTimestampMs,
      deliveries,
      rejections,
    };
  }
}

/**
 * Collects records into batches. Bounded by what the source allows in flight. While a batch is being produced the next ones grow;
 * so the slower Kafka is, the larger are the batches.
 */
export class Batcher {
  readonly #limits: BatchLimits;
  readonly #builders = new Map<string, PartBuilder[]>();
  /** Of the topic that was asked for last, which is nearly always the same. */
  #lastTopic = '';
  #buildersOfLastTopic: PartBuilder[] = [];
  readonly #complete: Batch[] = [];
  #filling: PartBuilder[] = [];
  #records = 0;
  #bytes = 0;
  #lingerTimer: NodeJS.Timeout | undefined;
  #isDue = false;
  #isClosed = false;
  #wake: (() => void) | null = null;

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  add(record: OutgoingRecord): void {
    const builder = this.#builderOf(record.topic, record.partition);
    if (builder.isEmpty) this.#filling.push(builder);
    this.#bytes += builder.add(record);
    this.#records++;
    if (this.#records >= this.#limits.records || this.#bytes >= this.#limits.bytes) this.#seal();
    else if (this.#records === 1) this.#lingerTimer = setTimeout(() => this.#markDue(), this.#limits.lingerMs);
  }

  /** Nothing more is coming for now: what is there need not linger. */
  flush(): void {
    if (this.#records > 0) this.#markDue();
  }

  /** The next batch as soon as one is complete; null after `close`, when everything was handed out. One caller at a time. */
  async next(): Promise<Batch | null> {
    for (;;) {
      const batch = this.#complete.shift();
      if (batch !== undefined) return batch;
      if (this.#records > 0 && (this.#isDue || this.#isClosed)) this.#seal();
      else if (this.#isClosed) return null;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Nothing waits any longer: what is there is handed out at once. */
  close(): void {
    this.#isClosed = true;
    this.#wakeUp();
  }

  #builderOf(topic: string, partition: number): PartBuilder {
    if (topic !== this.#lastTopic) {
      let ofTopic = this.#builders.get(topic);
      if (ofTopic === undefined) this.#builders.set(topic, (ofTopic = []));
      this.#lastTopic = topic;
      this.#buildersOfLastTopic = ofTopic;
    }
    return (this.#buildersOfLastTopic[partition] ??= new PartBuilder(topic, partition));
  }

  #seal(): void {
    clearTimeout(this.#lingerTimer);
    this.#complete.push(this.#filling.map((builder) => builder.take()));
    this.#filling = [];
    this.#records = 0;
    this.#bytes = 0;
    this.#isDue = false;
    this.#wakeUp();
  }

  #markDue(): void {
    this.#isDue = true;
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
