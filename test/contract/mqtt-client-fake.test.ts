import type { Duplex, Writable } from 'node:stream';
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import { publish, type ScriptedBroker, type ScriptedBrokerOptions, startScriptedBroker } from '../support/scripted-broker.ts';
import { waitUntil } from '../support/wait-until.ts';

// What src/mqtt relies on in mqtt.js 5.16.0 and its documentation does not promise. When one of these fails after an upgrade, the
// acknowledgement recipe has to be looked at again.

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type Handled = (error?: Error) => void;

interface Clients {
  readonly broker: ScriptedBroker;
  readonly client: MqttClient;
  readonly handled: { packet: IPublishPacket; callback: Handled }[];
}

async function connected(options: IClientOptions, brokerOptions: ScriptedBrokerOptions = {}): Promise<Clients> {
  const broker = await startScriptedBroker(brokerOptions);
  const client = connect(broker.url, { clean: false, clientId: 'pinned', resubscribe: false, ...options });
  const handled: Clients['handled'] = [];
  client.handleMessage = (packet, callback) => handled.push({ packet: packet as IPublishPacket, callback: callback as Handled });
  client.on('error', () => {});
  cleanups.push(
    () => broker.close(),
    () => client.endAsync(true),
  );
  client.on('connect', () => client.subscribe('devices/+/telemetry', { qos: 1 }));
  return { broker, client, handled };
}

describe.each([4, 5] as const)('MQTT protocol level %i', (protocolVersion) => {
  it('sends no PUBACK for a callback with an error, and delivers everything', async () => {
    const { broker, client } = await connected({ protocolVersion });
    const received: (number | undefined)[] = [];
    client.handleMessage = (packet, callback) => {
      received.push((packet as IPublishPacket).messageId);
      callback(new Error('later'));
    };
    const connection = await broker.subscribed();
    const ids = Array.from({ length: 500 }, (_, i) => i + 1);
    connection.send(...ids.map((id) => publish(id)));
    await waitUntil(() => received.length === ids.length, 'all messages');
    expect(received).toEqual(ids);
    // What the client sends after them shows that no PUBACK was on the way.
    client.sendPing();
    await waitUntil(() => connection.packets.at(-1)?.cmd === 'pingreq', 'the ping');
    expect(connection.pubacks).toEqual([]);
  });

  it('sends the PUBACK for a callback without one', async () => {
    const { broker, client } = await connected({ protocolVersion });
    client.handleMessage = (_packet, callback) => callback();
    const connection = await broker.subscribed();
    connection.send(publish(1), publish(2));
    await waitUntil(() => connection.pubacks.length === 2, 'two PUBACKs');
  });

  it('handles one message at a time: the next waits for the callback', async () => {
    const { broker, client, handled } = await connected({ protocolVersion });
    const connection = await broker.subscribed();
    connection.send(publish(1), publish(2), { cmd: 'pingresp' });
    let otherPackets = 0;
    client.on('packetreceive', (packet) => {
      if (packet.cmd === 'pingresp') otherPackets++;
    });
    await waitUntil(() => handled.length === 1, 'the first message');
    await new Promise((resolve) => setImmediate(resolve));
    expect([handled.length, otherPackets]).toEqual([1, 0]);
    handled[0]!.callback(new Error('later'));
    await waitUntil(() => handled.length === 2, 'the second message');
    expect(otherPackets).toBe(0);
    handled[1]!.callback(new Error('later'));
    await waitUntil(() => otherPackets === 1, 'what came behind them');
  });

  it('waits for connect() when told so, builds each stream by streamBuilder and reads from it by pipe', async () => {
    const broker = await startScriptedBroker();
    const client = connect(broker.url, { clean: false, clientId: 'pinned', protocolVersion, reconnectPeriod: 20, manualConnect: true });
    client.on('error', () => {});
    cleanups.push(
      () => broker.close(),
      () => client.endAsync(true),
    );
    expect([client.stream, broker.connections.length]).toEqual([undefined, 0]);
    client.options.manualConnect = false;
    const building = client as unknown as { streamBuilder: (of: MqttClient) => Duplex };
    const build = building.streamBuilder;
    let pipes = 0;
    building.streamBuilder = (of) => {
      const stream = build(of);
      const pipe = stream.pipe.bind(stream);
      return Object.assign(stream, {
        pipe: (to: Writable) => {
          pipes++;
          return pipe(to);
        },
      });
    };
    client.connect();
    await waitUntil(() => client.connected, 'the first connection');
    broker.connections[0]!.socket.destroy();
    await waitUntil(() => broker.connections.length === 2 && client.connected, 'the second connection');
    expect(pipes).toBe(2);
  });

  it('takes a new stream for each connection and emits close on the old one', async () => {
    const { broker, client } = await connected({ protocolVersion, reconnectPeriod: 20 });
    await broker.subscribed();
    const before = client.stream;
    let isClosed = false;
    before.once('close', () => {
      isClosed = true;
    });
    broker.connections[0]!.socket.destroy();
    await broker.subscribed(1);
    expect(isClosed).toBe(true);
    expect(client.stream).not.toBe(before);
  });

  it("keeps a late PUBACK and sends it on the next connection: so we don't let it send any", async () => {
    const { broker, handled, client } = await connected({ protocolVersion, reconnectPeriod: 20 });
    const connection = await broker.subscribed();
    connection.send(publish(7));
    await waitUntil(() => handled.length === 1, 'the message');
    const closed = new Promise((resolve) => client.once('close', () => resolve(undefined)));
    connection.socket.destroy();
    await closed;
    handled[0]!.callback();
    const next = await broker.subscribed(1);
    await waitUntil(() => next.pubacks.length > 0, 'the PUBACK that does not belong there');
    expect(next.pubacks).toEqual([7]);
  });

  it('gives up a connection whose PINGRESP is behind a held callback, and keeps it when told that all is well', async () => {
    const { broker, client, handled } = await connected({ protocolVersion, keepalive: 1, reconnectPeriod: 20 });
    const connection = await broker.subscribed();
    connection.send(publish(1));
    await waitUntil(() => handled.length === 1, 'the message');
    await waitUntil(() => connection.isClosed, 'the keepalive timeout');
    const next = await broker.subscribed(1);
    const timer = setInterval(() => {
      client.sendPing();
      client.reschedulePing(true);
    }, 300);
    cleanups.push(async () => clearInterval(timer));
    next.send(publish(1));
    await waitUntil(() => next.packets.filter((packet) => packet.cmd === 'pingreq').length >= 12, 'more than twice the keepalive time');
    expect(next.isClosed).toBe(false);
  });
});

describe('MQTT 5', () => {
  it('takes four bytes for a PUBACK with reason Success', async () => {
    const { broker, client } = await connected({ protocolVersion: 5 });
    client.handleMessage = (_packet, callback) => callback(new Error('later'));
    const connection = await broker.subscribed();
    client.stream.write(Buffer.from([0x40, 2, 0x12, 0x34]));
    await waitUntil(() => connection.pubacks.length === 1, 'the PUBACK');
    expect(connection.pubacks).toEqual([0x1234]);
  });

  it('ends with DISCONNECT and FIN, and reads what still comes until the broker closes', async () => {
    const { broker, client } = await connected({ protocolVersion: 5 });
    let received = 0;
    client.handleMessage = (_packet, callback) => {
      received++;
      callback(new Error('later'));
    };
    const connection = await broker.subscribed();
    connection.socket.removeAllListeners('data');
    connection.socket.on('data', () => {
      // The DISCONNECT: the broker has more to say before it closes.
      connection.send(...Array.from({ length: 100 }, (_, i) => publish(i + 1)));
      connection.socket.end();
    });
    await client.endAsync(false);
    expect(received).toBe(100);
  });
});
