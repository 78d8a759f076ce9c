import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import type { IPublishPacket } from 'mqtt-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { type DeviceFeed, simulatedFeeds } from '../../../simulators/feed.ts';
import { Fleet, type FleetOptions } from '../../../simulators/fleet.ts';
import type { Scenario } from '../../../simulators/scenarios.ts';
import { readTruthFile, TruthWriter } from '../../../simulators/truth-file.ts';
import { type ClientConnection, startScriptedBroker } from '../../support/scripted-broker.ts';
import { waitUntil } from '../../support/wait-until.ts';

// The fleet on the wire: against a broker that does what the test says, and against aedes.

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function fleetOf(feeds: readonly DeviceFeed[], options: Partial<FleetOptions> & { url: string }): Fleet {
  const limits = { connectionsMax: 50, inFlightMax: 10, connectDeadlineMs: 1_000, leaveDeadlineMs: 100 };
  const fleet = new Fleet(feeds, { clientIdPrefix: 'test', ...limits, truth: null, warn: () => {}, ...options });
  cleanups.push(() => fleet.abandon());
  return fleet;
}

/** One device with so many readings, all due at once. */
function burst(device: string, length: number): DeviceFeed {
  return {
    device,
    length,
    dueAfterMs: () => 0,
    reading: (tick) => ({ device, ts: 1000 + tick, seq: tick, metrics: { temperature: 20 } }),
    isOnline: () => true,
  };
}

function telemetry(connection: ClientConnection | undefined): IPublishPacket[] {
  const publishes = connection?.packets.filter((packet) => packet.cmd === 'publish') ?? [];
  return publishes.filter((packet) => packet.topic.endsWith('/telemetry'));
}

function acknowledge(connection: ClientConnection, packets: readonly IPublishPacket[]): void {
  connection.send(...packets.map((packet) => ({ cmd: 'puback' as const, messageId: packet.messageId!, reasonCode: 0 })));
}

const sequences = (packets: readonly IPublishPacket[]) =>
  packets.map((packet) => (JSON.parse(packet.payload.toString()) as { seq: number }).seq);
const upTo = (count: number) => Array.from({ length: count }, (_, seq) => seq);

function truthPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ingot-fleet-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  return join(folder, 'truth.jsonl');
}

describe('a fleet on a scripted broker', () => {
  test('has no more readings in flight than allowed, and sends the next one when one is acknowledged', async () => {
    const broker = await startScriptedBroker();
    cleanups.push(broker.close);
    const fleet = fleetOf([burst('d1', 30)], { url: broker.url, inFlightMax: 10 });
    await fleet.connect();
    const run = fleet.run();
    await waitUntil(() => telemetry(broker.connections[0]).length === 10, 'ten readings');
    acknowledge(broker.connections[0]!, telemetry(broker.connections[0]).slice(0, 3));
    await waitUntil(() => telemetry(broker.connections[0]).length === 13, 'three more');
    expect(fleet.counts).toMatchObject({ sent: 13, acked: 3, inFlight: 10 });
    fleet.stop();
    acknowledge(broker.connections[0]!, telemetry(broker.connections[0]).slice(3));
    // The status message of the farewell is never acknowledged here; leaving does not wait for it for ever.
    expect(await run).toBe('stopped');
    expect(fleet.counts).toMatchObject({ sent: 13, acked: 13, inFlight: 0 });
    expect(sequences(telemetry(broker.connections[0]))).toEqual(upTo(13));
  });

  test("keeps to the broker's Receive Maximum, with one place left for the status", async () => {
    const connack = { cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: false, properties: { receiveMaximum: 5 } } as const;
    const broker = await startScriptedBroker({ connack: () => connack });
    cleanups.push(broker.close);
    const fleet = fleetOf([burst('d1', 30)], { url: broker.url });
    await fleet.connect();
    const run = fleet.run();
    await waitUntil(() => telemetry(broker.connections[0]).length === 4, 'four readings');
    fleet.stop();
    acknowledge(broker.connections[0]!, telemetry(broker.connections[0]));
    await run;
    expect(telemetry(broker.connections[0])).toHaveLength(4);
  });

  test('sends again, in order and first, what was not acknowledged when the connection broke; the truth counts it once', async () => {
    const broker = await startScriptedBroker();
    cleanups.push(broker.close);
    const path = truthPath();
    const truth = new TruthWriter(path, { startedAt: 0, settings: {} });
    const warnings: string[] = [];
    const fleet = fleetOf([burst('d1', 8)], { url: broker.url, inFlightMax: 6, truth, warn: (text) => warnings.push(text) });
    await fleet.connect();
    const run = fleet.run();
    const first = await waitUntil(() => telemetry(broker.connections[0]).length === 6 && broker.connections[0], 'six readings');
    acknowledge(first, telemetry(first).slice(0, 2));
    await waitUntil(() => telemetry(first).length === 8, 'all of them');
    first.socket.destroy();
    // From now on everything is acknowledged as it comes.
    const second = await waitUntil(() => broker.connections[1], 'a second connection');
    let acknowledged = 0;
    await waitUntil(() => {
      const publishes = second.packets.filter((packet) => packet.cmd === 'publish');
      acknowledge(second, publishes.slice(acknowledged));
      acknowledged = publishes.length;
      return fleet.counts.acked === 8;
    }, 'every acknowledgement');
    expect(await run).toBe('complete');
    truth.close({ endedAt: 0, endedBy: 'complete', sent: 8, acked: 8 });
    expect(sequences(telemetry(second))).toEqual([2, 3, 4, 5, 6, 7]);
    const [told] = await readTruthFile(path);
    expect(told?.readings.map((reading) => [reading.seq, reading.acked])).toEqual(upTo(8).map((seq) => [seq, true]));
    expect(warnings).toEqual([expect.stringContaining('a connection broke')]);
    expect(fleet.counts.broken).toBe(1);
  });

  test('a reading is in the truth file, unacknowledged, when it is on the wire', async () => {
    const broker = await startScriptedBroker();
    cleanups.push(broker.close);
    const path = truthPath();
    const fleet = fleetOf([burst('d1', 5)], { url: broker.url, truth: new TruthWriter(path, { startedAt: 0, settings: {} }) });
    await fleet.connect();
    const run = fleet.run();
    await waitUntil(() => telemetry(broker.connections[0]).length === 5, 'five readings');
    const [crashed] = await readTruthFile(path);
    expect(crashed?.readings.map((reading) => [reading.seq, reading.acked])).toEqual(upTo(5).map((seq) => [seq, false]));
    expect(crashed?.footer).toBeNull();
    acknowledge(broker.connections[0]!, telemetry(broker.connections[0]));
    await run;
  });

  test('a refused reading is counted and stays unacknowledged', async () => {
    const broker = await startScriptedBroker();
    cleanups.push(broker.close);
    const fleet = fleetOf([burst('d1', 1)], { url: broker.url });
    await fleet.connect();
    const run = fleet.run();
    const [packet] = await waitUntil(
      () => telemetry(broker.connections[0]).length === 1 && telemetry(broker.connections[0]),
      'the reading',
    );
    broker.connections[0]!.send({ cmd: 'puback', messageId: packet!.messageId!, reasonCode: 0x87 });
    await run;
    expect(fleet.counts).toMatchObject({ sent: 1, acked: 0, refused: 1, inFlight: 0 });
  });

  test('a truth that cannot be written ends the run before anything more is sent', async () => {
    const broker = await startScriptedBroker();
    cleanups.push(broker.close);
    const truth = new TruthWriter(truthPath(), { startedAt: 0, settings: {} });
    truth.sending = () => {
      throw new Error('no space left on device');
    };
    const fleet = fleetOf([burst('d1', 5)], { url: broker.url, truth });
    await fleet.connect();
    await expect(fleet.run()).rejects.toThrow('no space left');
    expect(telemetry(broker.connections[0])).toEqual([]);
  });

  test('a refusal is reported at once', async () => {
    const broker = await startScriptedBroker({
      connack: () => ({ cmd: 'connack', reasonCode: 0x87, returnCode: 5, sessionPresent: false }),
    });
    cleanups.push(broker.close);
    await expect(fleetOf([burst('d1', 1)], { url: broker.url }).connect()).rejects.toThrow(/not authorized/i);
  });
});

interface Seen {
  readonly topic: string;
  readonly text: string;
  readonly retained: boolean;
}

async function startAedes(): Promise<{ url: string; seen: Seen[] }> {
  const broker = await Aedes.createBroker();
  const server = createServer(broker.handle);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(async () => {
    await new Promise<void>((resolve) => broker.close(() => resolve()));
    server.close();
  });
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const watcher = await connectAsync(url, { protocolVersion: 4 });
  cleanups.push(() => watcher.endAsync(true));
  const seen: Seen[] = [];
  watcher.on('message', (topic, payload, packet) => seen.push({ topic, text: payload.toString(), retained: packet.retain }));
  await watcher.subscribeAsync('devices/#', { qos: 1 });
  return { url, seen };
}

function feedsOf(scenario: Scenario, devices: number, durationMs: number): readonly DeviceFeed[] {
  const schedule = { startedAtMs: Date.now(), devices, ratePerSecond: 20 * devices };
  return simulatedFeeds({ story: { scenario, seed: 1, cycleMs: durationMs }, schedule, durationMs, namePrefix: 'sim' });
}

const of = (seen: readonly Seen[], topic: string) => seen.filter((message) => message.topic === topic).map((message) => message.text);

describe('a fleet on aedes', () => {
  test('speaks MQTT 3.1.1 where 5 is refused, and publishes every reading once, as planned', async () => {
    const { url, seen } = await startAedes();
    const feeds = feedsOf('steady', 3, 1_000);
    const fleet = fleetOf(feeds, { url });
    await fleet.connect();
    expect(fleet.protocolVersion).toBe(4);
    expect(await fleet.run()).toBe('complete');
    expect(fleet.counts).toMatchObject({ devices: 3, connections: 3, sent: 60, acked: 60, broken: 0 });
    for (const feed of feeds) {
      const expected = upTo(feed.length).map((tick) => {
        const { ts, seq, metrics } = feed.reading(tick);
        return { ts, seq, ...metrics };
      });
      expect(of(seen, `devices/${feed.device}/telemetry`).map((text) => JSON.parse(text) as unknown)).toEqual(expected);
      await waitUntil(() => of(seen, `devices/${feed.device}/status`).length === 2, 'the farewell');
      expect(of(seen, `devices/${feed.device}/status`)).toEqual(['online', 'offline']);
    }
  });

  test('late-burst: the broker says the last will, and the backlog comes in order with its own times', async () => {
    const { url, seen } = await startAedes();
    const [feed] = feedsOf('late-burst', 1, 2_000);
    const fleet = fleetOf([feed!], { url });
    await fleet.connect();
    expect(await fleet.run()).toBe('complete');
    expect(fleet.counts).toMatchObject({ sent: 40, acked: 40, broken: 0 });
    await waitUntil(() => of(seen, 'devices/sim-0001/status').length === 4, 'four changes of status');
    const story = seen.filter((message) => message.topic === 'devices/sim-0001/status' || message.topic === 'devices/sim-0001/telemetry');
    expect(of(story, 'devices/sim-0001/status')).toEqual(['online', 'offline', 'online', 'offline']);
    const wentOffline = story.findIndex((message) => message.text === 'offline');
    expect(story[wentOffline + 1]?.text).toBe('online');
    const readings = of(story, 'devices/sim-0001/telemetry').map((text) => JSON.parse(text) as { seq: number; ts: number });
    expect(readings.map((reading) => reading.seq)).toEqual(upTo(40));
    expect(readings.map((reading) => reading.ts)).toEqual(upTo(40).map((tick) => feed!.reading(tick).ts));
  });

  test('above the limit of connections the devices share them', async () => {
    const { url, seen } = await startAedes();
    const fleet = fleetOf(feedsOf('mix', 10, 1_000), { url, connectionsMax: 3 });
    await fleet.connect();
    await fleet.run();
    expect(fleet.counts).toMatchObject({ devices: 10, connections: 3, sent: 200, acked: 200 });
    await waitUntil(() => seen.filter((message) => message.text === 'offline').length >= 10, 'ten farewells');
    expect(of(seen, 'devices/sim-0010/telemetry')).toHaveLength(20);
    expect(of(seen, 'devices/sim-0010/status')).toEqual(['online', 'offline']);
  });

  test('stop: no more readings, everything acknowledged, everybody says goodbye', async () => {
    const { url, seen } = await startAedes();
    const fleet = fleetOf(feedsOf('steady', 2, 60_000), { url });
    await fleet.connect();
    const run = fleet.run();
    await waitUntil(() => fleet.counts.acked > 10, 'some readings');
    fleet.stop();
    expect(await run).toBe('stopped');
    const { sent, acked } = fleet.counts;
    expect(acked).toBe(sent);
    await waitUntil(() => seen.filter((message) => message.text === 'offline').length === 2, 'two farewells');
    expect(seen.filter((message) => message.topic.endsWith('/telemetry'))).toHaveLength(sent);
  });

  test('without a broker the error names the cause', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    await expect(fleetOf([burst('d1', 1)], { url: `mqtt://127.0.0.1:${port}` }).connect()).rejects.toThrow('ECONNREFUSED');
  });
});
