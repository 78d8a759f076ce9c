import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, connectAsync, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { IngotError } from '../errors.ts';
import type { BridgeEvents } from '../ops/bridge-events.ts';
import type { Delivery, DeliverySource } from './delivery-port.ts';
import { InFlight } from './in-flight.ts';
import type { SubscriptionMemory } from './subscription-file.ts';

// The only file that knows the MQTT client (mqtt.js, pinned to 5.16.0). What it relies on beyond the documentation is in
// test/contract/mqtt-client-fake.test.ts:
// - Packets are handled strictly one at a time, and the next one only when handleMessage has called back.
// - callback(error) sends no PUBACK and goes on to the next packet: that is what makes late acknowledgement fast.
// - A callback that is kept stops reading the socket, so PINGRESP is not seen either.
// - Each connection has a stream of its own, in `client.stream` while its packets are handled.

export interface MqttSourceOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Stable: the session with its unacknowledged messages belongs to it. */
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly qos: 0 | 1;
  /** Advertised to an MQTT 5 broker, which need not keep to it (mosquitto 2.0.11 does not, eclipse/mosquitto#2301). */
  readonly receiveMaximum: number;
  /** The limits that hold in any case. */
  readonly maxInFlightMessages: number;
  readonly maxInFlightBytes: number;
  readonly connectDeadlineMs: number;
  readonly subscriptions: SubscriptionMemory;
  readonly events: BridgeEvents;
  /** For tests: seconds between PINGREQs, and how long reading may be held before the connection is dropped. */
  readonly keepAliveSeconds?: number;
  readonly heldMsMax?: number;
}

/** Tells the client to send no PUBACK. Never leaves this file. */
const PUBACK_LATER = new Error('the PUBACK is sent later');
const SESSION_EXPIRY_SECONDS = 7 * 24 * 3600;
const HELD_MS_MAX = 5 * 60_000;
const RECONNECT_MS = 1_000;
const MQTT_3_1_1 = 4;
const MQTT_5 = 5;
type ProtocolVersion = typeof MQTT_3_1_1 | typeof MQTT_5;
const UNACCEPTABLE_PROTOCOL_VERSIONS: readonly unknown[] = [1, 0x84];
const DO_NOT_SEND_RETAINED = 2;

type HandledCallback = (error?: Error) => void;

/** A subscription to an MQTT broker whose messages are acknowledged when the bridge says so. */
export class MqttSource implements DeliverySource {
  readonly #options: MqttSourceOptions;
  readonly #inFlight: InFlight;
  #onDelivery: (delivery: Delivery) => void = () => {};
  /** What the session shall be subscribed to. */
  #topics: readonly string[];
  #client: MqttClient | null = null;
  #protocolVersion: ProtocolVersion = MQTT_5;
  /** The stream that PUBLISHes come in on; null when it is gone and no packet of the next one was seen yet. */
  #stream: Duplex | null = null;
  #closedStream: Duplex | null = null;
  #heldCallback: HandledCallback | null = null;
  #heldTimer: NodeJS.Timeout | undefined;
  #keepAliveTimer: NodeJS.Timeout | undefined;
  #hasReceivedSinceTick = false;
  #isConnected = false;
  #isHolding = false;
  #isDiscarding = false;
  #rejectStart: (error: Error) => void = () => {};

  constructor(options: MqttSourceOptions) {
    this.#options = options;
    this.#topics = options.topics;
    this.#inFlight = new InFlight({ maxMessages: options.maxInFlightMessages, maxBytes: options.maxInFlightBytes }, () => this.#resume());
  }

  async start(onDelivery: (delivery: Delivery) => void): Promise<void> {
    this.#onDelivery = onDelivery;
    try {
      await this.#connect(MQTT_5);
    } catch (error) {
      if (!isProtocolVersionRefused(error)) throw error;
      await this.#connect(MQTT_3_1_1);
    }
    const everyMs = ((this.#options.keepAliveSeconds ?? 60) * 1000) / 3;
    this.#keepAliveTimer = setInterval(() => this.#keepAlive(), everyMs);
  }

  /** Unsubscribes everything: from now on only what the session already holds is delivered. */
  async leave(): Promise<void> {
    this.#topics = [];
    if (this.#client?.connected) await this.#subscribe(this.#client);
  }

  /**
   * Ends the session, after `close`; what it still holds is lost to us. Without this a broker goes on queueing for a bridge that is
   * gone, and a shared subscription goes on giving it messages (eclipse/mosquitto#2662).
   */
  async endSession(): Promise<void> {
    // A clean start ends the old session, and its own ends with the connection because the expiry is 0 unless asked for.
    const options: IClientOptions = { ...this.#clientOptions(this.#protocolVersion), clean: true, reconnectPeriod: 0 };
    delete options.properties;
    const client = await connectAsync(this.#options.url, options, false);
    await client.endAsync();
  }

  hold(): void {
    this.#isHolding = true;
  }

  async close(deadlineMs: number): Promise<void> {
    this.#isHolding = true;
    const client = this.#client;
    if (client === null) return;
    this.#rejectStart(new IngotError('MQTT_UNREACHABLE', 'closed before the MQTT broker had answered'));
    this.#inFlight.release();
    // DISCONNECT, then read on until the broker closes: closing with unread bytes would reset the connection, and a reset may
    // overtake PUBACKs that the broker has not read yet. What is read now stays unacknowledged in the session.
    this.#isDiscarding = true;
    const ended = client.connected ? client.endAsync(false) : client.endAsync(true);
    this.#letHeldPass();
    const { promise: deadline, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, deadlineMs);
    await Promise.race([ended, deadline]);
    clearTimeout(timer);
    clearInterval(this.#keepAliveTimer);
    client.end(true);
    client.stream.destroy();
  }

  /** Resolves when connected and subscribed for the first time; after that the client reconnects by itself, for ever. */
  async #connect(protocolVersion: ProtocolVersion): Promise<void> {
    const client = connect(this.#options.url, this.#clientOptions(protocolVersion));
    this.#client = client;
    this.#protocolVersion = protocolVersion;
    client.handleMessage = (packet, callback) => this.#onPublish(client.stream, packet as IPublishPacket, callback as HandledCallback);
    const { promise: subscribed, resolve, reject } = Promise.withResolvers<void>();
    this.#rejectStart = reject;
    let lastError: Error | undefined;
    const timer = setTimeout(() => reject(this.#unreachable(lastError)), this.#options.connectDeadlineMs);
    client.on('error', (error) => {
      lastError = error;
      const refused = this.#refusal(error);
      if (protocolVersion === MQTT_5 && isProtocolVersionRefused(refused)) this.#options.events.mqttVersionRefused(protocolVersion);
      else this.#options.events.mqttFailed(error.message);
      // Only the first connection can be refused for good; afterwards a broker that is being restarted may say anything.
      if (refused !== null) reject(refused);
    });
    client.on('connect', (connack) => {
      this.#isConnected = true;
      this.#options.events.mqttConnected(protocolVersion, connack.sessionPresent);
      this.#subscribe(client).then(resolve, (error: Error) => {
        if (error instanceof IngotError) reject(error);
        this.#options.events.mqttFailed(error.message);
        // The next connection tries again.
        client.stream.destroy();
      });
    });
    client.on('close', () => this.#onConnectionClosed());
    client.on('disconnect', (packet) => this.#options.events.mqttDisconnectedByBroker(packet.reasonCode));
    try {
      await subscribed;
    } catch (error) {
      client.end(true);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #clientOptions(protocolVersion: ProtocolVersion): IClientOptions {
    const { clientId, username, password, receiveMaximum, keepAliveSeconds } = this.#options;
    return {
      protocolVersion,
      clientId,
      clean: false,
      keepalive: keepAliveSeconds ?? 60,
      reconnectPeriod: RECONNECT_MS,
      reconnectOnConnackError: true,
      // We subscribe ourselves on every connection: whether the session was kept is the broker's word, and asking twice does no harm.
      resubscribe: false,
      // Its own log is for developing the client, and asking whether it is on costs a microsecond per message.
      log: () => {},
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(protocolVersion === MQTT_5 ? { properties: { sessionExpiryInterval: SESSION_EXPIRY_SECONDS, receiveMaximum } } : {}),
    };
  }

  #refusal(error: Error): IngotError | null {
    const { code } = error as Error & { code?: unknown };
    // Network errors have a text as code, CONNACK's reasons a number. "Server unavailable" and "busy" pass by themselves.
    if (typeof code !== 'number' || code === 3 || code === 0x88 || code === 0x89) return null;
    return new IngotError('MQTT_REFUSED', `${this.#where()} refused the connection: ${error.message}`, {
      cause: error,
      details: { reasonCode: code },
    });
  }

  #unreachable(cause: Error | undefined): IngotError {
    const why = cause === undefined ? 'no answer' : cause.message;
    return new IngotError(
      'MQTT_UNREACHABLE',
      `${this.#where()} did not accept a connection within ${this.#options.connectDeadlineMs} ms: ${why}`,
      { cause },
    );
  }

  #where(): string {
    const { protocol, host } = new URL(this.#options.url);
    return `the MQTT broker at ${protocol}//${host}`;
  }

  async #subscribe(client: MqttClient): Promise<void> {
    const { qos, subscriptions, events } = this.#options;
    const topics = this.#topics;
    const known = new Set([...(await subscriptions.load()), ...this.#options.topics]);
    const stale = [...known].filter((topic) => !topics.includes(topic));
    // Both lists until the broker has answered: a crash in between must not forget a subscription that it still holds.
    await subscriptions.save([...topics, ...stale]);
    if (stale.length > 0) await client.unsubscribeAsync(stale);
    const granted = topics.length === 0 ? [] : await this.#requestSubscriptions(client, topics, qos);
    for (const subscription of granted) {
      if (subscription.qos < qos) events.subscriptionGrantedBelow(subscription.topic, subscription.qos);
    }
    if (stale.length === 0) return;
    await subscriptions.save(topics);
    events.subscriptionRemoved(stale);
  }

  async #requestSubscriptions(client: MqttClient, topics: readonly string[], qos: 0 | 1) {
    try {
      return await client.subscribeAsync([...topics], { qos, rh: DO_NOT_SEND_RETAINED });
    } catch (error) {
      // Without a SUBACK the connection was lost, and that is no refusal.
      if ((error as { packet?: unknown }).packet === undefined) throw error;
      throw new IngotError('MQTT_SUBSCRIPTION_REFUSED', `${this.#where()} refused ${topics.join(', ')}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #onPublish(stream: Duplex, packet: IPublishPacket, callback: HandledCallback): void {
    if (stream !== this.#stream && !this.#openStream(stream)) {
      // Left over from a connection that is gone: the broker sends it again.
      callback(PUBACK_LATER);
      return;
    }
    if (this.#isDiscarding) {
      callback(PUBACK_LATER);
      return;
    }
    this.#hasReceivedSinceTick = true;
    // Held before it is taken: a delivery of the connection before may still be in flight.
    if (this.#isHolding || this.#inFlight.isFull) {
      this.#holdBack(() => this.#onPublish(stream, packet, callback));
      return;
    }
    this.#onDelivery(this.#inFlight.take(packet, Date.now()));
    callback(PUBACK_LATER);
  }

  /** False when the stream was closed already. */
  #openStream(stream: Duplex): boolean {
    if (stream === this.#closedStream || stream.destroyed) return false;
    this.#stream = stream;
    // A PUBACK is smaller than a segment: without this it would wait for the acknowledgement of the one before.
    if (stream instanceof Socket) stream.setNoDelay(true);
    this.#inFlight.open(stream);
    stream.once('close', () => this.#onStreamClosed(stream));
    return true;
  }

  #onStreamClosed(stream: Duplex): void {
    if (stream !== this.#stream) return;
    this.#closedStream = stream;
    this.#stream = null;
    // The packets behind a held callback belong to this connection but would be taken for the next one's: it is dropped, never called.
    this.#heldCallback = null;
    clearTimeout(this.#heldTimer);
    this.#inFlight.forget();
  }

  #onConnectionClosed(): void {
    if (this.#isConnected && !this.#isDiscarding) this.#options.events.mqttLost(this.#inFlight.messages);
    this.#isConnected = false;
  }

  /** Keeps the packet: nothing more is read from the socket, and the broker feels it. */
  #holdBack(retry: HandledCallback): void {
    const heldMsMax = this.#options.heldMsMax ?? HELD_MS_MAX;
    this.#options.events.readingHeld(this.#inFlight.messages);
    this.#heldCallback = retry;
    clearTimeout(this.#heldTimer);
    this.#heldTimer = setTimeout(() => {
      this.#options.events.heldTooLong(heldMsMax);
      this.#stream?.destroy();
    }, heldMsMax);
  }

  #resume(): void {
    if (!this.#isHolding) this.#letHeldPass();
  }

  #letHeldPass(): void {
    const retry = this.#heldCallback;
    if (retry === null) return;
    this.#heldCallback = null;
    clearTimeout(this.#heldTimer);
    retry();
  }

  /**
   * While reading is held, or behind a long backlog, PINGRESP is not seen in time although the connection is well: we ping for the
   * broker's sake and tell the client that all is well.
   */
  #keepAlive(): void {
    const client = this.#client;
    if (!client?.connected) return;
    if (this.#heldCallback === null && !this.#hasReceivedSinceTick) return;
    this.#hasReceivedSinceTick = false;
    client.sendPing();
    client.reschedulePing(true);
  }
}

function isProtocolVersionRefused(error: unknown): boolean {
  return error instanceof IngotError && UNACCEPTABLE_PROTOCOL_VERSIONS.includes(error.details['reasonCode']);
}
