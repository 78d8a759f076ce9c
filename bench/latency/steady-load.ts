import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { generate } from 'mqtt-packet';

// A steady load on MQTT, in a process of its own so that nothing else holds its clock up: many devices, each with its share of the rate,
// over a few connections at QoS 1. The time in a reading is the moment it is handed to the connection. Devices are no part of the server
// that is measured, so this one is frugal: every packet stands ready but for its time, sequence and id, and goes to the socket without a client.
//
// argv: JSON of SteadyLoad. Says 'ready' when connected; told 'begin' it sends, waits for the acknowledgements, says LoadSent and ends.

export interface SteadyLoad {
  readonly mqttUrl: string;
  readonly devices: number;
  readonly ratePerSecond: number;
  readonly seconds: number;
  readonly connections: number;
  /** A device goes from cool to hot, or back, with every n-th reading; the devices take turns. */
  readonly flipEvery: number;
}

export interface LoadSent {
  readonly readings: number;
  /** Readings that have to raise or resolve an alert. */
  readonly flips: number;
}

const COOL_CEL = 60;
const HOT_CEL = 120;
const PACE_MS = 1;
const PUBACK_BYTES = 4;
const PACKET_IDS = 60_000;
/** Of one width each, so that a packet is made once and only these digits are written into it. */
const FIRST_SEQUENCE = 1_000_000;
const TIME_DIGITS = 13;
const SEQUENCE_DIGITS = 7;

const load = JSON.parse(process.argv[2]!) as SteadyLoad;
let acknowledgedBytes = 0;
let onAcknowledged = (): void => undefined;
let onLost = (_error: Error): void => undefined;

/** One connection, on which each device keeps its order. */
interface Connection {
  readonly socket: Socket;
  published: number;
}

async function open(index: number): Promise<Connection> {
  const { hostname, port } = new URL(load.mqttUrl);
  // A device sends when it has something to say; waiting for the acknowledgement of the packet before would be our own delay.
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  const clientId = `bench-load-${process.pid}-${index}`;
  socket.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId, keepalive: 0 }));
  const [connack] = (await once(socket, 'data')) as [Buffer];
  if (connack[0] !== 0x20 || connack[3] !== 0) throw new Error('the MQTT broker refuses the load');
  // Nothing but PUBACKs comes from now on.
  socket.on('data', (chunk) => {
    acknowledgedBytes += chunk.length;
    onAcknowledged();
  });
  socket.on('error', (error) => onLost(error));
  socket.on('close', () => onLost(new Error('the MQTT broker closed a connection of the load')));
  return { socket, published: 0 };
}

/** A PUBLISH with zeros for what differs from one reading to the next. */
interface Packet {
  readonly bytes: Buffer;
  readonly payloadAt: number;
}

function packetOf(device: number, temperature: number): Packet {
  const time = '0'.repeat(TIME_DIGITS);
  const sequence = '0'.repeat(SEQUENCE_DIGITS);
  const payload = `{"ts":${time},"seq":${sequence},"temperature":${temperature},"humidity":44.1,"battery":87.5,"voltage":3.91,"status":"ok","rssi":-61}`;
  const bytes = generate({
    cmd: 'publish',
    topic: `devices/load-${device}/telemetry`,
    payload,
    qos: 1,
    messageId: 1,
    dup: false,
    retain: false,
  });
  return { bytes, payloadAt: bytes.length - payload.length };
}

function writeDigits(packet: Buffer, value: number, { at, digits }: { at: number; digits: number }): void {
  let rest = value;
  for (let place = at + digits - 1; place >= at; place--) {
    packet[place] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

const connections = await Promise.all(Array.from({ length: load.connections }, (_, index) => open(index)));
const coolPackets = Array.from({ length: load.devices }, (_, device) => packetOf(device, COOL_CEL));
const hotPackets = Array.from({ length: load.devices }, (_, device) => packetOf(device, HOT_CEL));
let readings = 0;
let flips = 0;

/** Every device begins cool, and its first turn comes after its own number of readings. */
function isHot(device: number, tick: number): boolean {
  return Math.floor((tick + (device % load.flipEvery)) / load.flipEvery) % 2 === 1;
}

function send(): void {
  const device = readings % load.devices;
  const tick = Math.floor(readings / load.devices);
  const hot = isHot(device, tick);
  if (tick > 0 && hot !== isHot(device, tick - 1)) flips += 1;
  readings += 1;
  const connection = connections[device % connections.length]!;
  const { bytes, payloadAt } = (hot ? hotPackets : coolPackets)[device]!;
  // A copy: the socket may keep it.
  const packet = Buffer.from(bytes);
  packet.writeUInt16BE(1 + (connection.published % PACKET_IDS), payloadAt - 2);
  writeDigits(packet, Date.now(), { at: payloadAt + '{"ts":'.length, digits: TIME_DIGITS });
  const sequenceAt = payloadAt + '{"ts":'.length + TIME_DIGITS + ',"seq":'.length;
  writeDigits(packet, FIRST_SEQUENCE + tick, { at: sequenceAt, digits: SEQUENCE_DIGITS });
  connection.published += 1;
  connection.socket.write(packet);
}

async function run(): Promise<LoadSent> {
  const startedAtMs = performance.now();
  const total = load.seconds * load.ratePerSecond;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  onLost = reject;
  onAcknowledged = () => {
    if (acknowledgedBytes === total * PUBACK_BYTES) resolve();
  };
  const pace = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - startedAtMs) * load.ratePerSecond) / 1000));
    while (readings < due) send();
    if (readings >= total) clearInterval(pace);
  }, PACE_MS);
  await promise;
  onLost = () => undefined;
  return { readings, flips };
}

process.once('message', async () => {
  process.send!(await run());
  for (const { socket } of connections) socket.end(generate({ cmd: 'disconnect' }));
  process.disconnect();
});
process.send!('ready');
