import { connectAsync, type MqttClient } from 'mqtt';
import { waitUntil } from './wait-until.ts';

// Devices that remember every message that they have sent, and of which the MQTT broker has said that it has it.

export interface LedgerPublisherOptions {
  readonly url: string;
  readonly devices: readonly string[];
  /** Default 1 000. */
  readonly messagesPerSecond?: number;
  /** Everything but the device and the number of the message, which the ledger needs. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** A message in the ledger: its device, and its number there. */
export function messageId(device: string, sequence: number): string {
  return `${device} ${sequence}`;
}

const FIRST_EVENT_TIME_MS = 1_795_252_383_511;
const TICK_MS = 10;
/** Not acknowledged by the MQTT broker at a time: a device that gets no answer sends no more either. */
const UNACKNOWLEDGED_MAX = 500;
const ACKNOWLEDGE_DEADLINE_MS = 60_000;

export class LedgerPublisher {
  readonly sent = new Set<string>();
  /** Those of `sent` that the MQTT broker has acknowledged: from then on they are its own to deliver. */
  readonly acknowledged = new Set<string>();
  readonly #client: MqttClient;
  readonly #options: LedgerPublisherOptions;
  readonly #nextSequence = new Map<string, number>();
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(client: MqttClient, options: LedgerPublisherOptions) {
    this.#client = client;
    this.#options = options;
    // It reconnects by itself, and what was not acknowledged is sent again.
    client.on('error', () => {});
  }

  static async connect(options: LedgerPublisherOptions): Promise<LedgerPublisher> {
    const client = await connectAsync(options.url, { reconnectPeriod: 100, clean: true });
    return new LedgerPublisher(client, options);
  }

  /** Sends at its rate until `pause`. */
  run(): void {
    const perTick = ((this.#options.messagesPerSecond ?? 1_000) * TICK_MS) / 1_000;
    let due = 0;
    this.#timer = setInterval(() => {
      due = Math.min(due + perTick, UNACKNOWLEDGED_MAX);
      for (; due >= 1; due--) {
        if (this.sent.size - this.acknowledged.size >= UNACKNOWLEDGED_MAX) return;
        this.#publishNext();
      }
    }, TICK_MS);
  }

  /** Sends nothing more, and waits until the MQTT broker has everything. */
  async pause(): Promise<void> {
    clearInterval(this.#timer);
    await this.#allAcknowledged();
  }

  /** Sends so many messages at once, and waits until the MQTT broker has them. */
  async burst(count: number): Promise<void> {
    for (let i = 0; i < count; i++) this.#publishNext();
    await this.#allAcknowledged();
  }

  /** Sends a message of any form; the caller tells by which name the ledger knows it. */
  publish(message: { readonly id: string; readonly topic: string; readonly payload: string | Buffer }): void {
    this.sent.add(message.id);
    this.#client.publish(message.topic, message.payload, { qos: 1 }, (error) => {
      if (!error) this.acknowledged.add(message.id);
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#client.endAsync(true);
  }

  #publishNext(): void {
    const { devices, fields } = this.#options;
    const device = devices[this.#turn++ % devices.length]!;
    const seq = this.#nextSequence.get(device) ?? 0;
    this.#nextSequence.set(device, seq + 1);
    const payload = JSON.stringify({ ts: FIRST_EVENT_TIME_MS + seq, seq, temperature: 20 + (seq % 10) / 2, ...fields });
    this.publish({ id: messageId(device, seq), topic: `devices/${device}/telemetry`, payload });
  }

  async #allAcknowledged(): Promise<void> {
    const isAll = () => this.acknowledged.size === this.sent.size;
    await waitUntil(isAll, 'the PUBACKs of the MQTT broker', ACKNOWLEDGE_DEADLINE_MS);
  }
}
