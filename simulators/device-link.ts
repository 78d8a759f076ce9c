import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import type { SentReading } from './reading.ts';
import { payloadOf, statusTopic, telemetryTopic } from './reading.ts';

// One MQTT connection of the fleet: usually one device's own, above the fleet's limit shared by several devices. QoS 1, with a
// hard limit of publishes in flight. What is in flight when the connection breaks, the client sends again when it is back, in
// order and before anything new: on the wire that may be a duplicate, for the truth it is one reading.

export type ProtocolVersion = 4 | 5;

/** PEM: CAs that are trusted instead of the usual ones, our certificate and its key. */
export interface TlsTexts {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface LinkOptions {
  readonly url: string;
  readonly clientId: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** For mqtts:// and wss://. */
  readonly tls?: TlsTexts | undefined;
  readonly protocolVersion: ProtocolVersion;
  /** The device whose last will this connection carries; null when it is shared, because a connection has one will only. */
  readonly willOf: string | null;
  readonly inFlightMax: number;
  readonly onAcked: (reading: SentReading) => void;
  readonly onRefused: (reading: SentReading, error: Error) => void;
  readonly onBroken: () => void;
  /** There may be room to publish again. */
  readonly onRoom: () => void;
}

const RECONNECT_PERIOD_MS = 500;
const KEEPALIVE_SECONDS = 30;

export class DeviceLink {
  readonly #options: LinkOptions;
  #client: MqttClient | null = null;
  #isUp = false;
  #inFlight = 0;
  #inFlightMax = 1;
  #cancelOpening: () => void = () => {};

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Neither connected nor trying to be. */
  get isAway(): boolean {
    return this.#client === null;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** How many readings may be published now. */
  get room(): number {
    return this.#isUp ? Math.max(0, this.#inFlightMax - this.#inFlight) : 0;
  }

  /** Resolves with the first CONNACK; rejects when the broker refuses, or at the deadline with the last error. Later breaks are mended inside. */
  open(deadlineMs: number): Promise<void> {
    const client = connect(this.#options.url, this.#clientOptions());
    this.#client = client;
    return new Promise((resolve, reject) => {
      let lastError: Error = new Error('no answer');
      const fail = (): void => {
        reject(lastError);
        this.vanish();
      };
      const timer = setTimeout(fail, deadlineMs);
      this.#cancelOpening = () => {
        clearTimeout(timer);
        reject(new Error('given up'));
      };
      client.on('connect', (packet) => {
        clearTimeout(timer);
        // One place is kept free for the status message.
        this.#inFlightMax = Math.max(1, Math.min(this.#options.inFlightMax, (packet.properties?.receiveMaximum ?? 65_535) - 1));
        this.#isUp = true;
        if (this.#options.willOf !== null) void this.say(this.#options.willOf, 'online');
        resolve();
        this.#options.onRoom();
      });
      client.on('close', () => {
        if (this.#isUp) this.#options.onBroken();
        this.#isUp = false;
      });
      client.on('error', (error) => {
        lastError = error;
        // A refusal carries the reason code of the CONNACK and will be repeated; a network error may be over in a moment.
        if (!this.#isUp && 'code' in error && typeof error.code === 'number') fail();
      });
    });
  }

  /** Only with `room` and only what the truth file knows already. */
  publish(reading: SentReading): void {
    this.#inFlight += 1;
    this.#client?.publish(telemetryTopic(reading.device), payloadOf(reading), { qos: 1 }, (error) => {
      this.#inFlight -= 1;
      if (error) this.#options.onRefused(reading, error);
      else this.#options.onAcked(reading);
      this.#options.onRoom();
    });
  }

  /**
   * The retained status of a device. Resolves when the broker has it (on a shared connection: when it is written, because many
   * at once would exceed the broker's Receive Maximum); never rejects.
   */
  say(device: string, status: 'online' | 'offline'): Promise<void> {
    const client = this.#client;
    if (client === null || !this.#isUp) return Promise.resolve();
    const qos = this.#options.willOf === null ? 0 : 1;
    return new Promise((resolve) => client.publish(statusTopic(device), status, { qos, retain: true }, () => resolve()));
  }

  /** The network is gone: no DISCONNECT, so the broker says the last will. Only when nothing is in flight. */
  vanish(): void {
    const client = this.#client;
    this.#client = null;
    this.#isUp = false;
    this.#cancelOpening();
    client?.removeAllListeners();
    client?.on('error', () => {});
    client?.end(true);
  }

  /** Leaves in order. Never rejects and never takes longer than the deadline; what is in flight then is given up. */
  async close(deadlineMs: number): Promise<void> {
    this.#cancelOpening();
    const client = this.#client;
    if (client === null) return;
    const isInOrder = this.#isUp && this.#inFlight === 0;
    const goodbye = this.#options.willOf === null || !isInOrder ? Promise.resolve() : this.say(this.#options.willOf, 'offline');
    await Promise.race([goodbye, delay(deadlineMs)]);
    this.#client = null;
    this.#isUp = false;
    client.removeAllListeners('close');
    await Promise.race([client.endAsync(!isInOrder).catch(() => {}), delay(deadlineMs)]);
    client.end(true);
  }

  #clientOptions(): IClientOptions {
    const { clientId, username, password, tls, protocolVersion, willOf } = this.#options;
    return {
      clientId,
      protocolVersion,
      clean: true,
      keepalive: KEEPALIVE_SECONDS,
      reconnectPeriod: RECONNECT_PERIOD_MS,
      connectTimeout: 10_000,
      resubscribe: false,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...tls,
      ...(willOf === null ? {} : { will: { topic: statusTopic(willOf), payload: Buffer.from('offline'), qos: 1 as const, retain: true } }),
    };
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
