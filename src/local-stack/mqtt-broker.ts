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
