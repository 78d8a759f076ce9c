import { randomBytes } from 'node:crypto';
import type { ConnectionOptions } from 'node:tls';
import { connect, type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt';
import { type TlsSettingNames, tlsAdvice } from '../core/tls-failure.ts';
import type { BrokerFacts } from '../doctor/doctor-ports.ts';
import { IngotError } from '../errors.ts';

export interface InspectOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> | undefined;
  /** Filters that are tried and given up at once; shared ones are not, because they would take messages from their members. */
  readonly topics: readonly string[];
  readonly qos: 0 | 1;
  readonly sessionExpirySeconds: number;
  readonly deadlineMs: number;
}

const TLS_SETTINGS: TlsSettingNames = {
  address: 'MQTT_URL',
  ca: 'MQTT_TLS_CA_FILE',
  certificate: 'MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE',
};
const UNACCEPTABLE_PROTOCOL_VERSIONS: readonly unknown[] = [1, 0x84];
const DO_NOT_SEND_RETAINED = 2;
const SYSTEM_FILTER = '$SYS/#';
/** Retained values come at once; a broker without such topics is not waited for longer. */
const SYSTEM_QUIET_MS = 300;
const SYSTEM_TOPICS_MAX = 1_000;

/**
 * Connects as the bridge does, under a client id of its own, and leaves no session behind.
 * Rejects with IngotError `MQTT_UNREACHABLE` or `MQTT_REFUSED`.
 */
export async function inspectBroker(options: InspectOptions): Promise<BrokerFacts> {
  try {
    return await inspectWith(5, options);
  } catch (error) {
    const reason = error instanceof IngotError ? error.details['reasonCode'] : undefined;
    if (!UNACCEPTABLE_PROTOCOL_VERSIONS.includes(reason)) throw error;
    return await inspectWith(4, options);
  }
}

async function inspectWith(protocolVersion: 4 | 5, options: InspectOptions): Promise<BrokerFacts> {
  const startedAtMs = performance.now();
  const client = connect(options.url, clientOptions(protocolVersion, options));
  try {
    const { properties } = await connected(client, options);
    const connectMs = performance.now() - startedAtMs;
    const { latencyMs, system } = await readSystemTopics(client);
    return {
      protocolVersion,
      connectMs,
      latencyMs,
      askedSessionExpirySeconds: options.sessionExpirySeconds,
      sessionExpirySeconds: protocolVersion === 4 ? null : (properties?.sessionExpiryInterval ?? options.sessionExpirySeconds),
      maximumPacketBytes: properties?.maximumPacketSize ?? null,
      receiveMaximum: properties?.receiveMaximum ?? null,
      maximumQos: properties?.maximumQoS ?? null,
      isWildcardAvailable: properties?.wildcardSubscriptionAvailable !== false,
      isSharedAvailable: properties?.sharedSubscriptionAvailable !== false,
      isRetainAvailable: properties?.retainAvailable !== false,
      subscriptions: await trySubscriptions(client, options),
      system,
    };
  } finally {
    // An expiry of 0 in DISCONNECT ends the session that was asked for above (MQTT5 3.14.2.2.2).
    client.end(false, protocolVersion === 5 ? { properties: { sessionExpiryInterval: 0 } } : {});
    setTimeout(() => client.end(true), 1_000).unref();
  }
}

function clientOptions(protocolVersion: 4 | 5, options: InspectOptions): IClientOptions {
  const { username, password, tls, sessionExpirySeconds, deadlineMs } = options;
  return {
    protocolVersion,
    clientId: `ingot-doctor-${randomBytes(4).toString('hex')}`,
    clean: true,
    reconnectPeriod: 0,
    connectTimeout: deadlineMs,
    log: () => {},
    ...(tls as Pick<IClientOptions, 'ca' | 'cert' | 'key'> | undefined),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: sessionExpirySeconds } } : {}),
  };
}

async function connected(client: MqttClient, { url, deadlineMs }: InspectOptions): Promise<IConnackPacket> {
  const { protocol, host } = new URL(url);
  const where = `the MQTT broker at ${protocol}//${host}`;
  const { promise, resolve, reject } = Promise.withResolvers<IConnackPacket>();
  const unreachable = (why: string, cause?: unknown) =>
    reject(new IngotError('MQTT_UNREACHABLE', `${where} accepts no connection: ${why}`, { cause }));
  const timer = setTimeout(() => unreachable(`no answer within ${deadlineMs} ms`), deadlineMs);
  client.on('connect', resolve);
  client.on('error', (error) => {
    const { code } = error as Error & { code?: unknown };
    const advice = tlsAdvice(error.message, TLS_SETTINGS);
    if (advice !== null) reject(new IngotError('MQTT_REFUSED', `${where}: ${error.message}. ${advice}.`, { cause: error }));
    // A number is a reason of CONNACK; network errors have a text.
    else if (typeof code !== 'number') unreachable(error.message === '' ? String(code) : error.message, error);
    else
      reject(
        new IngotError('MQTT_REFUSED', `${where} refused the connection: ${error.message}`, {
          cause: error,
          details: { reasonCode: code },
        }),
      );
  });
  client.on('close', () => unreachable('it closed the connection'));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Each filter by itself, so that one refusal says nothing about the others. */
async function trySubscriptions(client: MqttClient, { topics, qos }: InspectOptions): Promise<ReadonlyMap<string, number | string | null>> {
  const subscriptions = new Map<string, number | string | null>();
  for (const filter of topics) {
    if (filter.startsWith('$share/')) {
      subscriptions.set(filter, null);
      continue;
    }
    try {
      const [granted] = await client.subscribeAsync(filter, { qos, rh: DO_NOT_SEND_RETAINED });
      subscriptions.set(filter, granted?.qos ?? qos);
      await client.unsubscribeAsync(filter);
    } catch (error) {
      subscriptions.set(filter, (error as Error).message);
    }
  }
  return subscriptions;
}

/** What the broker tells about itself, nothing when it does not, or not to us; and how long it takes to answer at all. */
async function readSystemTopics(client: MqttClient): Promise<{ readonly latencyMs: number; readonly system: ReadonlyMap<string, string> }> {
  const system = new Map<string, string>();
  const { promise: isQuiet, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, SYSTEM_QUIET_MS);
  client.on('message', (topic, payload) => {
    if (!topic.startsWith('$SYS/') || system.size >= SYSTEM_TOPICS_MAX) return;
    system.set(topic, payload.subarray(0, 200).toString());
    timer.refresh();
  });
  const startedAtMs = performance.now();
  // A refusal is an answer, too.
  await client.subscribeAsync(SYSTEM_FILTER, { qos: 0 }).catch(resolve);
  const latencyMs = performance.now() - startedAtMs;
  await isQuiet;
  clearTimeout(timer);
  // A busy broker changes some of them at once again; what was read is enough.
  await client.unsubscribeAsync(SYSTEM_FILTER).catch(() => undefined);
  return { latencyMs, system };
}
