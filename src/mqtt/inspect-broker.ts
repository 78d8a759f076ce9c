import { randomBytes } from 'node:crypto';
import type { MqttClient } from 'mqtt';
import type { BrokerFacts } from '../doctor/doctor-ports.ts';
import { IngotError } from '../errors.ts';
import { type BrokerAddress, connectBriefly, endBriefly } from './brief-client.ts';

export interface InspectOptions extends BrokerAddress {
  /** Filters that are tried and given up at once; shared ones are not, because they would take messages from their members. */
  readonly topics: readonly string[];
  readonly qos: 0 | 1;
  readonly sessionExpirySeconds: number;
}

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
  const clientId = `ingot-doctor-${randomBytes(4).toString('hex')}`;
  const { sessionExpirySeconds } = options;
  const { client, connack } = await connectBriefly(options, { protocolVersion, clientId, clean: true, sessionExpirySeconds });
  const connectMs = performance.now() - startedAtMs;
  const { properties } = connack;
  try {
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
    await endBriefly(client, false);
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
