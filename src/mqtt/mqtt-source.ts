import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { connect, connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import type { PublishReader } from '../core/mqtt-publish.ts';
import { TopicStrings } from '../core/topic-strings.ts';
import { IngotError } from '../errors.ts';
import type { BridgeEvents } from '../ops/bridge-events.ts';
import { isProtocolVersionRefused, refusalOf, unreachable } from './broker-refusal.ts';
import type { Delivery, DeliverySource } from './delivery-port.ts';
import { InFlight } from './in-flight.ts';
import { connectPacedSocket } from './paced-socket.ts';
import { PublishTap } from './publish-tap.ts';
import type { SubscriptionMemory } from './subscription-file.ts';

// The only file that knows the MQTT client (mqtt.js, pinned to 5.16.0). What it relies on beyond the documentation is in
// test/contract/mqtt-client-fake.test.ts:
// - The client makes each connection's stream by `streamBuilder` and reads from it by `pipe`: PUBLISHes are taken out in between
//   (publish-tap.ts), so that the client only does CONNECT, SUBSCRIBE, PINGREQ and the next connection.
// - A stream that is not read lets no PINGRESP through; `sendPing` and `reschedulePing` keep the connection meanwhile.

export interface MqttSourceOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** For mqtts:// and wss://: which CAs are trusted instead of the usual ones, and our own certificate. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;
  /** Stable: the session with its unacknowledged messages belongs to it. */
  readonly clientId: string;
  readonly topics: readonly string[];
  readonly qos: 0 | 1;
  /** Advertised to an MQTT 5 broker, which need not keep to it (mosquitto 2.0.11 does not, eclipse/mosquitto#2301). */
  readonly receiveMaximum: number;
  /** The limits that hold in any case. */
  readonly maxInFlightMessages: number;
  readonly maxInFlightBytes: number;
  /** Of a longer payload only the beginning is kept; without this every payload is kept whole. */
  readonly maxPayloadBytes?: number;
  /** Between two reads of what is no backlog, so that one read takes many messages; by default 0, none. Only over plain TCP. */
  readonly readRestMs?: number;
  readonly connectDeadlineMs: number;
  readonly subscriptions: SubscriptionMemory;
  readonly events: BridgeEvents;
  /** For tests: seconds between PINGREQs, and how long reading may be held before the connection is dropped. */
  readonly keepAliveSeconds?: number;
  readonly heldMsMax?: number;
}

const SESSION_EXPIRY_SECONDS = 7 * 24 * 3600;
const HELD_MS_MAX = 5 * 60_000;
const RECONNECT_MS = 1_000;
const DEFAULT_PORT = 1_883;
const MQTT_3_1_1 = 4;
const MQTT_5 = 5;
type ProtocolVersion = typeof MQTT_3_1_1 | typeof MQTT_5;
const DO_NOT_SEND_RETAINED = 2;

/** What the client has and its declarations do not tell. */
interface StreamBuilding {
  streamBuilder: (client: MqttClient) => Duplex;
}

/** One connection to the broker. */
interface Connection {
  readonly stream: Duplex;
  readonly tap: PublishTap;
}

/** A subscription to an MQTT broker whose messages are acknowledged when the bridge says so. */
export class MqttSource implements DeliverySource {
  readonly #options: MqttSourceOptions;
  readonly #inFlight: InFlight;
  #onDelivery: (delivery: Delivery) => void = () => {};
  #onRest: () => void = () => {};
  /** What the session shall be subscribed to. */
  #topics: readonly string[];
  #client: MqttClient | null = null;
  #protocolVersion: ProtocolVersion = MQTT_5;
  /** The one that PUBLISHes come in on; null when it is gone and there is no next one yet. */
  #connection: Connection | null = null;
  /** Connections so far. */
  #connections = 0;
  #leftOn = 0;
  readonly #topicStrings = new TopicStrings();
  #heldTimer: NodeJS.Timeout | undefined;
  #keepAliveTimer: NodeJS.Timeout | undefined;
  #hasReceivedSinceTick = false;
  #hasDeliveredSinceRest = false;
  #isConnected = false;
  #isHolding = false;
  #isDiscarding = false;
  #rejectStart: (error: Error) => void = () => {};

  constructor(options: MqttSourceOptions) {
    this.#options = options;
    this.#topics = options.topics;
    this.#inFlight = new InFlight({ maxMessages: options.maxInFlightMessages, maxBytes: options.maxInFlightBytes }, () => this.#resume());
  }

  async start(onDelivery: (delivery: Delivery) => void, onRest: () => void = () => {}): Promise<void> {
    this.#onDelivery = onDelivery;
    this.#onRest = onRest;
    try {
      await this.#connect(MQTT_5);
    } catch (error) {
      if (!isProtocolVersionRefused(error)) throw error;
      await this.#connect(MQTT_3_1_1);
    }
    const everyMs = ((this.#options.keepAliveSeconds ?? 60) * 1000) / 3;
    this.#keepAliveTimer = setInterval(() => this.#keepAlive(), everyMs);
  }

  /** Unsubscribes everything, now or when the broker is back: from then on only what the session already holds is delivered. */
  async leave(): Promise<void> {
    this.#topics = [];
    const client = this.#client;
    if (client?.connected) await this.#subscribe(client).catch((error: Error) => this.#subscribeAgain(client, error));
  }

  /** The number of the connection on which the broker has confirmed that we have left; null while there is none. */
  get leftOn(): number | null {
    return this.#leftOn === this.#connections && this.#connection !== null ? this.#leftOn : null;
  }

  /**
   * Ends the session, after `close`; what it still holds is lost. Without this a broker goes on queueing for a bridge that is
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
    // Nor does it rest any longer.
    this.#connection?.stream.resume();
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
    const client = this.#openClient(protocolVersion);
    this.#client = client;
    this.#protocolVersion = protocolVersion;
    const { promise: subscribed, resolve, reject } = Promise.withResolvers<void>();
    this.#rejectStart = reject;
    let lastError: Error | undefined;
    const timer = setTimeout(
      () => reject(unreachable(this.#where(), this.#options.connectDeadlineMs, lastError)),
      this.#options.connectDeadlineMs,
    );
    client.on('error', (error) => {
      lastError = error;
      const refused = refusalOf(error, this.#where());
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
        this.#subscribeAgain(client, error);
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

  /** The next connection tries again. */
  #subscribeAgain(client: MqttClient, error: Error): void {
    this.#options.events.mqttFailed(error.message);
    client.stream.destroy();
  }

  /** A client that connects now, and whose streams we have before it reads from them. */
  #openClient(protocolVersion: ProtocolVersion): MqttClient {
    const client = connect(this.#options.url, { ...this.#clientOptions(protocolVersion), manualConnect: true });
    // Only the first connection waited for us.
    client.options.manualConnect = false;
    const building = client as unknown as StreamBuilding;
    const buildStream = building.streamBuilder;
    building.streamBuilder = (of) => this.#openConnection(this.#connectPaced(of) ?? buildStream(of), protocolVersion);
    client.connect();
    return client;
  }

  /** Null when the connection is not plain TCP to the broker itself: then the client makes it, and every read comes at once. */
  #connectPaced({ options }: MqttClient): Socket | null {
    const { readRestMs = 0 } = this.#options;
    const { protocol, socksProxy, unixSocket, host, port } = options;
    const isPlain = (protocol === 'mqtt' || protocol === 'tcp') && unixSocket !== true && socksProxy === undefined;
    if (readRestMs < 1 || !isPlain || host === undefined) return null;
    return connectPacedSocket({
      host,
      port: port ?? DEFAULT_PORT,
      restMs: readRestMs,
      mayRest: () => this.#mayRest(),
    });
  }

  /** What was delivered need not wait for more. Without any there is no reason to rest: the answers to CONNECT and SUBSCRIBE are awaited. */
  #mayRest(): boolean {
    if (!this.#hasDeliveredSinceRest) return false;
    this.#hasDeliveredSinceRest = false;
    this.#onRest();
    return !this.#isDiscarding;
  }

  #clientOptions(protocolVersion: ProtocolVersion): IClientOptions {
    const { clientId, username, password, tls, receiveMaximum, keepAliveSeconds } = this.#options;
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
      // 65 536 buffers for the numbers of packets that it does not send here.
      writeCache: false,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls as Pick<IClientOptions, 'ca' | 'cert' | 'key'> | undefined),
      ...(protocolVersion === MQTT_5 ? { properties: { sessionExpiryInterval: SESSION_EXPIRY_SECONDS, receiveMaximum } } : {}),
    };
  }

  #where(): string {
    const { protocol, host } = new URL(this.#options.url);
    return `the MQTT broker at ${protocol}//${host}`;
  }

  async #subscribe(client: MqttClient): Promise<void> {
    const { qos, subscriptions, events } = this.#options;
    const topics = this.#topics;
    const connection = this.#connections;
    const known = new Set([...(await subscriptions.load()), ...this.#options.topics]);
    const stale = [...known].filter((topic) => !topics.includes(topic));
    // Both lists until the broker has answered: a crash in between must not forget a subscription that it still holds.
    await subscriptions.save([...topics, ...stale]);
    if (stale.length > 0) await client.unsubscribeAsync(stale);
    if (topics.length === 0) this.#leftOn = connection;
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

  #openConnection(stream: Duplex, protocolVersion: ProtocolVersion): Duplex {
    const tap = new PublishTap(stream, {
      hasProperties: protocolVersion === MQTT_5,
      onPublish: (bytes, publish) => this.#onPublish(connection, bytes, publish),
      payloadBytesMax: this.#options.maxPayloadBytes,
      onMalformed: (error) => this.#options.events.mqttFailed(error.message),
    });
    const connection: Connection = { stream, tap };
    this.#connection = connection;
    this.#connections += 1;
    this.#inFlight.open(stream);
    // A PUBACK is smaller than a segment: without this it would wait for the acknowledgement of the one before.
    if (stream instanceof Socket) stream.setNoDelay(true);
    stream.once('close', () => this.#onStreamClosed(connection));
    return stream;
  }

  /** False when there is no room. */
  #onPublish(connection: Connection, bytes: Buffer, publish: PublishReader): boolean {
    // Left over from a connection that is gone, or for nobody: the broker sends it again.
    if (this.#isDiscarding || connection !== this.#connection || connection.stream.destroyed) return true;
    this.#hasReceivedSinceTick = true;
    // Held before it is taken: a delivery of the connection before may still be in flight.
    if (this.#isHolding || this.#inFlight.isFull) {
      this.#holdBack();
      return false;
    }
    const topic = this.#topicStrings.of(bytes, publish.topicStart, publish.topicEnd);
    const { readAtMs, cutPayload } = connection.tap;
    this.#hasDeliveredSinceRest = true;
    this.#onDelivery(this.#inFlight.take({ bytes, publish, topic, receivedAt: readAtMs, cutPayload }));
    return true;
  }

  #onStreamClosed(connection: Connection): void {
    if (connection !== this.#connection) return;
    // What is held belongs to this connection and goes with it.
    this.#connection = null;
    clearTimeout(this.#heldTimer);
    this.#inFlight.forget();
  }

  #onConnectionClosed(): void {
    if (this.#isConnected && !this.#isDiscarding) this.#options.events.mqttLost(this.#inFlight.messages);
    this.#isConnected = false;
  }

  /** Nothing more is read from the socket, and the broker feels it. */
  #holdBack(): void {
    const heldMsMax = this.#options.heldMsMax ?? HELD_MS_MAX;
    this.#options.events.readingHeld(this.#inFlight.messages);
    clearTimeout(this.#heldTimer);
    this.#heldTimer = setTimeout(() => {
      this.#options.events.heldTooLong(heldMsMax);
      this.#connection?.stream.destroy();
    }, heldMsMax);
  }

  #resume(): void {
    if (!this.#isHolding) this.#letHeldPass();
  }

  #letHeldPass(): void {
    const tap = this.#connection?.tap;
    if (tap?.isHeld !== true) return;
    clearTimeout(this.#heldTimer);
    tap.resume();
  }

  /**
   * While reading is held, or behind a long backlog, PINGRESP is not seen in time although the connection is well: we ping for the
   * broker's sake and tell the client that all is well.
   */
  #keepAlive(): void {
    const client = this.#client;
    if (!client?.connected) return;
    if (this.#connection?.tap.isHeld !== true && !this.#hasReceivedSinceTick) return;
    this.#hasReceivedSinceTick = false;
    client.sendPing();
    client.reschedulePing(true);
  }
}
