import { readFileSync } from 'node:fs';
import avro from 'avsc';
import { type Consumer, type EachBatchPayload, Kafka, logLevel } from 'kafkajs';
import { type LedgerPublisher, messageId } from './ledger-publisher.ts';
import { freshName } from './stack.ts';
import { waitUntil } from './wait-until.ts';

// What Kafka holds of the messages that a ledger publisher has sent, read along by a client that shares nothing with the bridge but the file
// with the schema.

export interface Verdict {
  readonly sent: number;
  readonly acknowledged: number;
  /** Different messages in `readings`. */
  readonly inKafka: number;
  /** Different messages in `mqtt.dlq`. */
  readonly deadLettered: number;
  /** Records beyond the first of each message. */
  readonly duplicates: number;
  /** Acknowledged, and nowhere to be found. */
  readonly lost: readonly string[];
  /** In Kafka, though nobody has sent that. */
  readonly invented: readonly string[];
  /** Messages whose first record stands behind that of a later one of the same device. */
  readonly disordered: number;
}

const WIRE_PREFIX_BYTES = 5;
/** How a message that is no reading names itself somewhere in its bytes: `#name#`. */
const LETTER_NAME = /#([\w.-]+)#/;
const SETTLE_DEADLINE_MS = 90_000;

export class MessageLedger {
  /** Records by message. */
  readonly readings = new Map<string, number>();
  readonly letters = new Map<string, number>();
  /** Dead letters by `failure-reason`. */
  readonly reasons = new Map<string, number>();
  /** When Kafka took the first and the last record, epoch ms. */
  readonly appended = { firstMs: Number.POSITIVE_INFINITY, lastMs: Number.NEGATIVE_INFINITY };
  readonly #kafka: Kafka;
  readonly #consumer: Consumer;
  readonly #topics: { readonly readings: string; readonly letters: string };
  readonly #type: avro.Type;
  readonly #positions = new Map<string, number>();
  readonly #latestSequence = new Map<string, number>();
  #disordered = 0;

  private constructor(brokers: readonly string[], prefix: string) {
    this.#kafka = new Kafka({ brokers: [...brokers], clientId: freshName('ledger'), logLevel: logLevel.NOTHING });
    this.#consumer = this.#kafka.consumer({ groupId: freshName('ledger'), maxWaitTimeInMs: 100 });
    this.#topics = { readings: `${prefix}readings`, letters: `${prefix}mqtt.dlq` };
    const text = readFileSync(new URL('../../schemas/sensor-reading.avsc', import.meta.url), 'utf8');
    this.#type = avro.Type.forSchema(JSON.parse(text) as avro.Schema);
  }

  /** Reads from the beginning, and on until `close`. */
  static async open({ brokers, prefix }: { brokers: readonly string[]; prefix: string }): Promise<MessageLedger> {
    const ledger = new MessageLedger(brokers, prefix);
    await ledger.#consumer.connect();
    await ledger.#consumer.subscribe({ topics: Object.values(ledger.#topics), fromBeginning: true });
    await ledger.#consumer.run({ eachBatch: (payload) => Promise.resolve(ledger.#take(payload)) });
    return ledger;
  }

  get #records(): number {
    return this.readingRecords + this.letterRecords;
  }

  get readingRecords(): number {
    return total(this.readings);
  }

  get letterRecords(): number {
    return total(this.letters);
  }

  /**
   * Waits until everything that was acknowledged is in Kafka and everything that is in Kafka was read. At the deadline it says what is
   * missing.
   */
  async verdict(...publishers: readonly LedgerPublisher[]): Promise<Verdict> {
    const acknowledged = new Set(publishers.flatMap((publisher) => [...publisher.acknowledged]));
    const sent = new Set(publishers.flatMap((publisher) => [...publisher.sent]));
    const isThere = (id: string) => this.readings.has(id) || this.letters.has(id);
    const lost = () => [...acknowledged].filter((id) => !isThere(id));
    // As long as something comes, the rest may be on its way: a slow machine is no loss.
    for (let before = -1; lost().length > 0 && before !== this.#records; ) {
      before = this.#records;
      await waitUntil(() => lost().length === 0, 'what is missing', SETTLE_DEADLINE_MS).catch(() => undefined);
    }
    await this.readToEnd();
    return {
      sent: sent.size,
      acknowledged: acknowledged.size,
      inKafka: this.readings.size,
      deadLettered: this.letters.size,
      duplicates: this.readingRecords + this.letterRecords - this.readings.size - this.letters.size,
      lost: lost(),
      invented: [...this.readings.keys(), ...this.letters.keys()].filter((id) => !sent.has(id)),
      disordered: this.#disordered,
    };
  }

  /** Waits until everything that is in Kafka now was read. */
  async readToEnd(): Promise<void> {
    const admin = this.#kafka.admin();
    await admin.connect();
    for (const topic of Object.values(this.#topics)) {
      for (const { partition, high } of await admin.fetchTopicOffsets(topic)) {
        const isRead = () => (this.#positions.get(`${topic} ${partition}`) ?? 0) >= Number(high);
        await waitUntil(isRead, `the end of ${topic}-${partition}`, SETTLE_DEADLINE_MS);
      }
    }
    await admin.disconnect();
  }

  async close(): Promise<void> {
    await this.#consumer.disconnect();
  }

  #take({ batch }: EachBatchPayload): void {
    for (const { key, value, headers, timestamp } of batch.messages) {
      this.appended.firstMs = Math.min(this.appended.firstMs, Number(timestamp));
      this.appended.lastMs = Math.max(this.appended.lastMs, Number(timestamp));
      if (batch.topic === this.#topics.readings) this.#takeReading(value!);
      else {
        const reason = String(headers?.['failure-reason']);
        this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
        count(this.letters, LETTER_NAME.exec(value!.toString('latin1'))?.[1] ?? String(key));
      }
    }
    this.#positions.set(`${batch.topic} ${batch.partition}`, Number(batch.lastOffset()) + 1);
  }

  #takeReading(value: Buffer): void {
    const reading = this.#type.fromBuffer(value.subarray(WIRE_PREFIX_BYTES)) as { deviceId: string; sequence: number };
    const { deviceId, sequence } = reading;
    const id = messageId(deviceId, sequence);
    const latest = this.#latestSequence.get(deviceId) ?? -1;
    if (sequence > latest) this.#latestSequence.set(deviceId, sequence);
    else if (!this.readings.has(id)) this.#disordered++;
    count(this.readings, id);
  }
}

/** One line for whoever reads the output of a run. */
export function sayVerdict(
  what: string,
  { sent, inKafka, deadLettered, duplicates, lost }: Verdict,
  more: Readonly<Record<string, unknown>> = {},
): void {
  const numbers = { sent, 'in Kafka': inKafka, 'dead-lettered': deadLettered, duplicates, lost: lost.length, ...more };
  const text = Object.entries(numbers).map(([name, value]) => `${name} ${String(value)}`);
  process.stdout.write(`${what}: ${text.join(', ')}\n`);
}

function count(counts: Map<string, number>, id: string): void {
  counts.set(id, (counts.get(id) ?? 0) + 1);
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, records) => sum + records, 0);
}
