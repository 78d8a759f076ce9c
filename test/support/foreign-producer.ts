import { readFileSync } from 'node:fs';
import avro from 'avsc';
import { CompressionTypes, Kafka, logLevel, type Producer } from 'kafkajs';
import type { Reading } from '../../src/core/reading.ts';
import { partitionOfKey } from './oracle/murmur2.ts';
import { plainReading } from './oracle/plain-reading.ts';
import { freshName, stack } from './stack.ts';

// Somebody else who writes to `readings`: with a client library of its own, its own registration of the schema, any key, any bytes and
// any partition.

export interface ForeignRecord {
  readonly key: string | null;
  readonly value: Buffer | null;
  /** Default: the one that Java's partitioner gives the key. */
  readonly partition?: number;
}

export class ForeignProducer {
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #partitions: number;
  readonly #type: avro.Type;
  readonly #schemaId: number;

  private constructor(of: { producer: Producer; topic: string; partitions: number; type: avro.Type; schemaId: number }) {
    this.#producer = of.producer;
    this.#topic = of.topic;
    this.#partitions = of.partitions;
    this.#type = of.type;
    this.#schemaId = of.schemaId;
  }

  static async open(to: { prefix: string; partitions: number; kafkaBrokers?: readonly string[] }): Promise<ForeignProducer> {
    const { prefix, partitions, kafkaBrokers = stack().kafkaBrokers } = to;
    const text = readFileSync(new URL('../../schemas/sensor-reading.avsc', import.meta.url), 'utf8');
    const kafka = new Kafka({ brokers: [...kafkaBrokers], clientId: freshName('foreign'), logLevel: logLevel.NOTHING });
    // A broker that is killed is back within this time.
    const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 60 } });
    await producer.connect();
    return new ForeignProducer({
      producer,
      topic: `${prefix}readings`,
      partitions,
      type: avro.Type.forSchema(JSON.parse(text) as avro.Schema),
      schemaId: await registerSchema(`${prefix}readings-value`, text),
    });
  }

  /** A reading in the wire format. */
  encode(reading: Parameters<typeof plainReading>[0]): Buffer {
    return wireValue(this.#schemaId, this.#type.toBuffer(plainReading(reading)));
  }

  /** A record as a well-behaved producer makes it. */
  record(reading: Pick<Reading, 'deviceId' | 'eventTime'> & Partial<Reading>): ForeignRecord {
    return { key: reading.deviceId, value: this.encode(reading) };
  }

  async send(records: readonly ForeignRecord[], options: { gzip?: boolean } = {}): Promise<void> {
    const messages = records.map(({ key, value, partition }) => ({
      key,
      value,
      partition: partition ?? partitionOfKey(key ?? '', this.#partitions),
    }));
    const compression = options.gzip === true ? CompressionTypes.GZIP : CompressionTypes.None;
    await this.#producer.send({ topic: this.#topic, messages, compression });
  }

  async close(): Promise<void> {
    await this.#producer.disconnect();
  }
}

/** Anything behind a schema id. */
export function wireValue(schemaId: number, body: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(schemaId, 1);
  return Buffer.concat([prefix, body]);
}

/** Registers a schema's text; resolves with its id. */
export async function registerSchema(subject: string, text: string): Promise<number> {
  const answer = await fetch(`${stack().registryUrl}/subjects/${encodeURIComponent(subject)}/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema: text }),
    signal: AbortSignal.timeout(10_000),
  });
  if (!answer.ok) throw new Error(`the registry answers ${answer.status}: ${await answer.text()}`);
  return ((await answer.json()) as { id: number }).id;
}
