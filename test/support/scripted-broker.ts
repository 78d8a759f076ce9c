import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { generate, type IConnectPacket, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import { waitUntil } from './wait-until.ts';

// An MQTT broker that does only what a test tells it to: it shows every packet that the client put on the wire, byte for byte, and it
// can break each rule that real brokers break.

export interface ScriptedBrokerOptions {
  /** The CONNACK, or null for none. */
  readonly connack?: (connect: IConnectPacket) => Packet | null;
  readonly suback?: (topics: readonly string[]) => readonly number[];
  /** Sent in the same write as CONNACK. */
  readonly withConnack?: () => readonly IPublishPacket[];
  readonly answersPings?: boolean;
}

/** One connection of the client. */
export interface ClientConnection {
  readonly socket: Socket;
  readonly protocolVersion: number;
  /** In the order of the wire, CONNECT first. */
  readonly packets: Packet[];
  /** How many PUBACKs each chunk that held any brought. */
  readonly pubackWrites: number[];
  readonly pubacks: number[];
  isClosed: boolean;
  send(...packets: readonly Packet[]): void;
}

export interface ScriptedBroker {
  readonly url: string;
  readonly connections: readonly ClientConnection[];
  /** The nth connection, from 0, when it has subscribed. */
  subscribed(index?: number): Promise<ClientConnection>;
  close(): Promise<void>;
}

export function publish(
  messageId: number,
  payload: string | Buffer = `{"seq":${messageId},"temperature":1}`,
  more: Partial<IPublishPacket> = {},
): IPublishPacket {
  return { cmd: 'publish', topic: 'devices/d1/telemetry', payload, qos: 1, messageId, dup: false, retain: false, ...more };
}

export async function startScriptedBroker(options: ScriptedBrokerOptions = {}): Promise<ScriptedBroker> {
  const connections: ClientConnection[] = [];
  const server: Server = createServer({ noDelay: true }, (socket) => accept(socket, connections, options));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections,
    async subscribed(index = 0) {
      await waitUntil(() => connections[index]?.packets.some((packet) => packet.cmd === 'subscribe'), 'a subscription');
      return connections[index]!;
    },
    async close() {
      for (const { socket } of connections) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function accept(socket: Socket, connections: ClientConnection[], options: ScriptedBrokerOptions): void {
  let protocolVersion = 4;
  const incoming = parser({});
  const connection: ClientConnection = {
    socket,
    get protocolVersion() {
      return protocolVersion;
    },
    packets: [],
    pubackWrites: [],
    pubacks: [],
    isClosed: false,
    send: (...packets) => {
      socket.write(Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion }))));
    },
  };
  connections.push(connection);
  incoming.on('packet', (packet) => {
    connection.packets.push(packet);
    if (packet.cmd === 'connect') protocolVersion = packet.protocolVersion ?? 4;
    if (packet.cmd === 'puback') connection.pubacks.push(packet.messageId ?? 0);
    answer(packet, connection, options);
  });
  socket.on('data', (chunk) => {
    const before = connection.pubacks.length;
    incoming.parse(chunk);
    if (connection.pubacks.length > before) connection.pubackWrites.push(connection.pubacks.length - before);
  });
  socket.on('close', () => {
    connection.isClosed = true;
  });
  socket.on('error', () => {});
}

function answer(packet: Packet, connection: ClientConnection, options: ScriptedBrokerOptions): void {
  switch (packet.cmd) {
    case 'connect': {
      const granted: Packet = { cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false };
      const connack = options.connack === undefined ? granted : options.connack(packet);
      if (connack !== null) connection.send(connack, ...(options.withConnack?.() ?? []));
      return;
    }
    case 'subscribe': {
      const topics = packet.subscriptions.map((subscription) => subscription.topic);
      const granted = [...(options.suback?.(topics) ?? packet.subscriptions.map((subscription) => subscription.qos))];
      connection.send({ cmd: 'suback', messageId: packet.messageId!, granted });
      return;
    }
    case 'unsubscribe':
      connection.send({ cmd: 'unsuback', messageId: packet.messageId!, granted: packet.unsubscriptions.map(() => 0) });
      return;
    case 'pingreq':
      if (options.answersPings ?? true) connection.send({ cmd: 'pingresp' });
      return;
    case 'disconnect':
      connection.socket.end();
      return;
    default:
  }
}
