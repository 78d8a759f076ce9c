import { connectAsync } from 'mqtt';

// A steady load on MQTT, in a process of its own so that nothing else holds its clock up: many devices, each with its share of the
// rate, over a few connections at QoS 1. The time in a reading is the moment it is handed to the connection.
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
const PACE_MS = 2;

const load = JSON.parse(process.argv[2]!) as SteadyLoad;
const clients = await Promise.all(
  Array.from({ length: load.connections }, async (_, index) => {
    const client = await connectAsync(load.mqttUrl, { protocolVersion: 4, clientId: `bench-load-${process.pid}-${index}` });
    // A device sends when it has something to say; waiting for the acknowledgement of the packet before would be our own delay.
    (client.stream as typeof client.stream & { setNoDelay?: () => void }).setNoDelay?.();
    return client;
  }),
);
let readings = 0;
let flips = 0;

/** Every device begins cool, and its first turn comes after its own number of readings. */
function isHot(device: number, tick: number): boolean {
  return Math.floor((tick + (device % load.flipEvery)) / load.flipEvery) % 2 === 1;
}

function send(): Promise<unknown> {
  const device = readings % load.devices;
  const tick = Math.floor(readings / load.devices);
  const temperature = isHot(device, tick) ? HOT_CEL : COOL_CEL;
  if (tick > 0 && isHot(device, tick) !== isHot(device, tick - 1)) flips += 1;
  readings += 1;
  const payload = `{"ts":${Date.now()},"seq":${tick},"temperature":${temperature},"humidity":44.1,"battery":87.5,"voltage":3.91,"status":"ok","rssi":-61}`;
  return clients[device % clients.length]!.publishAsync(`devices/load-${device}/telemetry`, payload, { qos: 1 });
}

async function run(): Promise<LoadSent> {
  const startedAtMs = performance.now();
  const total = load.seconds * load.ratePerSecond;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let acknowledged = 0;
  const onAcknowledged = (): void => {
    acknowledged += 1;
    if (acknowledged === total) resolve();
  };
  const pace = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - startedAtMs) * load.ratePerSecond) / 1000));
    while (readings < due) send().then(onAcknowledged, reject);
    if (readings >= total) clearInterval(pace);
  }, PACE_MS);
  await promise;
  return { readings, flips };
}

process.once('message', async () => {
  process.send!(await run());
  await Promise.all(clients.map((client) => client.endAsync()));
  process.disconnect();
});
process.send!('ready');
