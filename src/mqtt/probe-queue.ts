import { randomBytes } from 'node:crypto';
import type { QueueFacts } from '../doctor/doctor-ports.ts';
import { type BrokerAddress, connectBriefly, endBriefly } from './brief-client.ts';

/** Above what mosquitto queues for a client by default (1 000, and 20 in flight). */
const PROBE_MESSAGES = 1_200;
const SESSION_EXPIRY_SECONDS = 60;
/** So long nothing more must come before what is queued counts as delivered. */
const QUIET_MS = 1_000;

/**
 * Leaves a session with one subscription, publishes at QoS 1 to a topic that nobody else has, and counts what the session has when its client
 * is back: a broker that drops what it cannot queue acknowledges it to the publisher all the same. The session is ended.
 * Rejects with IngotError `MQTT_UNREACHABLE`, `MQTT_REFUSED`.
 */
export async function probeQueue(address: BrokerAddress, protocolVersion: 4 | 5): Promise<QueueFacts> {
  const id = `ingot-doctor-${randomBytes(6).toString('hex')}`;
  const session = { protocolVersion, clientId: id, sessionExpirySeconds: SESSION_EXPIRY_SECONDS };
  const absent = await connectBriefly(address, { ...session, clean: true });
  const refusal = await absent.client.subscribeAsync(id, { qos: 1 }).then(
    () => null,
    (error: Error) => `it does not let us subscribe to ${id}: ${error.message}`,
  );
  await endBriefly(absent.client, refusal === null);
  if (refusal !== null) return { published: 0, kept: 0, refusal };
  try {
    const published = await publishAll(address, { protocolVersion, topic: id });
    if (published !== PROBE_MESSAGES) return { published, kept: 0, refusal: `it does not let us publish to ${id}` };
    return { published, kept: await countQueued(address, session), refusal: null };
  } finally {
    const last = await connectBriefly(address, { ...session, clean: true, sessionExpirySeconds: 0 });
    await endBriefly(last.client, false);
  }
}

/** How many were acknowledged as well. */
async function publishAll(address: BrokerAddress, { protocolVersion, topic }: { protocolVersion: 4 | 5; topic: string }): Promise<number> {
  const { client } = await connectBriefly(address, { protocolVersion, clientId: `${topic}-p`, clean: true, sessionExpirySeconds: 0 });
  try {
    const outcomes = await Promise.allSettled(
      Array.from({ length: PROBE_MESSAGES }, (_, number) => client.publishAsync(topic, String(number), { qos: 1 })),
    );
    return outcomes.filter(({ status }) => status === 'fulfilled').length;
  } finally {
    await endBriefly(client, false);
  }
}

async function countQueued(
  address: BrokerAddress,
  session: { readonly protocolVersion: 4 | 5; readonly clientId: string; readonly sessionExpirySeconds: number },
): Promise<number> {
  const seen = new Set<string>();
  const { promise: isQuiet, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, QUIET_MS);
  const onMessage = (_topic: string, payload: Buffer): void => {
    seen.add(payload.toString());
    timer.refresh();
    if (seen.size === PROBE_MESSAGES) resolve();
  };
  const { client } = await connectBriefly(address, { ...session, clean: false, onMessage });
  timer.refresh();
  await isQuiet;
  clearTimeout(timer);
  await endBriefly(client, true);
  return seen.size;
}
