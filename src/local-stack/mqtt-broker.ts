import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { keptPorts, LOOPBACK } from './ports.ts';

// The MQTT broker inside our process, so that the demo needs nothing installed. It speaks MQTT 3.1.1, keeps sessions in memory only
// and acknowledges before it delivers: what it has not delivered when the process ends is lost. For real devices use a real broker.

export interface MqttBrokerOptions {
  /** Keeps its port. */
  readonly folder: string;
  /** Tried at the first start; null takes any. */
  readonly preferredPort: number | null;
}

export interface RunningMqttBroker {
  readonly url: string;
  /** Drops all connections. Never rejects. */
  stop(): Promise<void>;
}

const CONNECTIONS_MAX = 10_000;

export async function startMqttBroker({ folder, preferredPort }: MqttBrokerOptions): Promise<RunningMqttBroker> {
  const { mqtt } = await keptPorts(join(folder, 'ports.json'), { mqtt: preferredPort });
  const broker = await Aedes.createBroker();
  // The library's types do not name it.
  const { persistence } = broker as unknown as { readonly persistence: SessionMemory };
  matchEmptyLevels(persistence);
  letAcknowledgedPass(persistence);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.listen(mqtt, LOOPBACK);
  await once(server, 'listening');
  return {
    url: `mqtt://${LOOPBACK}:${mqtt}`,
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      await new Promise<void>((resolve) => broker.close(() => resolve()));
    },
  };
}

interface SessionMemory {
  /** Which kept sessions a message of this topic is for. */
  subscriptionsByTopic(topic: string): Promise<readonly { readonly clientId: string }[]>;
  /** Notes under which packet id a kept message is sent. Rejects when it is not kept, or not any longer. */
  outgoingUpdate(client: unknown, packet: unknown): Promise<void>;
}

/** In no topic filter: matched by wildcards only. */
const SOME_LEVEL = '\u0000';

/**
 * `+` matches an empty level too (MQTT 3.1.1, 4.7.1). What forwards messages has it so, and the memory of sessions (aedes-persistence 11) not: a
 * message to `devices//telemetry` was kept for no bridge, and the connection of each bridge that it was forwarded to was dropped for that.
 */
function matchEmptyLevels(sessions: SessionMemory): void {
  const match = sessions.subscriptionsByTopic.bind(sessions);
  sessions.subscriptionsByTopic = async (topic) => {
    const found = await match(topic);
    const levels = topic.split('/');
    if (!levels.includes('')) return found;
    const known = new Set(found.map(({ clientId }) => clientId));
    const byWildcard = await match(levels.map((level) => (level === '' ? SOME_LEVEL : level)).join('/'));
    return [...found, ...byWildcard.filter(({ clientId }) => !known.has(clientId))];
  };
}

/**
 * A message that comes while a kept session is restored is forwarded to it, and stands at the end of its backlog as well. When it is reached there
 * it has long been acknowledged and forgotten: it goes out once more, as QoS 1 allows. The library (aedes 1.2) took that for an error and dropped
 * the connection, a second or two after a bridge was back.
 */
function letAcknowledgedPass(sessions: SessionMemory): void {
  const update = sessions.outgoingUpdate.bind(sessions);
  sessions.outgoingUpdate = (client, packet) =>
    update(client, packet).catch((error: Error) => {
      if (error.message !== 'no such packet') throw error;
    });
}
