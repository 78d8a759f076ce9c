import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync, type MqttClient } from 'mqtt';
import { stack } from './stack.ts';

const INTERVAL_MS = 50;

/**
 * A device that sends every message again after a while, as new publishes, as devices do that are not sure. Between the two lie restarts
 * of whatever is being killed meanwhile.
 */
export class RepeatingDevice {
  /** Payloads that the MQTT broker has taken, each once. */
  readonly taken: string[] = [];
  readonly #client: MqttClient;
  readonly #topic: string;
  readonly #repeatAfter: number;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  private constructor(client: MqttClient, { device, repeatAfterMs }: { device: string; repeatAfterMs: number }) {
    this.#client = client;
    this.#topic = `devices/${device}/telemetry`;
    this.#repeatAfter = Math.ceil(repeatAfterMs / INTERVAL_MS);
    this.#ended = this.#run();
    // Whoever stops it is told.
    this.#ended.catch(() => undefined);
  }

  static async start(options: { device: string; repeatAfterMs: number }): Promise<RepeatingDevice> {
    return new RepeatingDevice(await connectAsync(stack().mosquittoUrl), options);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    try {
      await this.#ended;
    } finally {
      await this.#client.endAsync(true);
    }
  }

  async #run(): Promise<void> {
    for (let seq = 0; !this.#stop.signal.aborted; seq++) {
      const payload = JSON.stringify({ ts: Date.now(), seq, temperature: 20 + (seq % 100) });
      await this.#client.publishAsync(this.#topic, payload, { qos: 1 });
      this.taken.push(payload);
      const again = this.taken[seq - this.#repeatAfter];
      if (again !== undefined) await this.#client.publishAsync(this.#topic, again, { qos: 1 });
      await sleep(INTERVAL_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }
}
