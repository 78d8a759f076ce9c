import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectAsync } from 'mqtt';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import type { LogAdmin } from '../../src/kafka/log-port.ts';
import { topicNames, topicSpecs } from '../../src/kafka/topics.ts';
import type { Surroundings, Usage } from './contender.ts';

// Drains a backlog of messages at QoS 1 from mosquitto into Kafka with acks=all as Avro, once per contender, in one run: compare the
// ratios, not the numbers. See README.md beside this file.
//
//   node bench/bridge/drain.ts STACK.json [--messages 200000] [--only ours,naive] [--cpu-prof FOLDER]

const PARTITIONS = 4;
const DEVICES = 1_000;
const DRAIN_DEADLINE_MS = 300_000;

const stack = JSON.parse(await readFile(process.argv[2]!, 'utf8')) as { kafkaBrokers: string[]; registryUrl: string };
const option = (name: string, byDefault: string) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? byDefault : process.argv[at + 1]!;
};
const messages = Number(option('messages', '200000'));
const profileFolder = option('cpu-prof', '');

interface Result {
  readonly contender: string;
  readonly cpuMicrosPerMessage: number;
  readonly messagesPerSecond: number;
  readonly maxRssMegabytes: number;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** A mosquitto of our own that keeps every queued message. */
async function startMosquitto(): Promise<{ url: string; stop(): Promise<void> }> {
  const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'ingot-bench-'))];
  const config = join(folder, 'mosquitto.conf');
  await writeFile(
    config,
    `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\npersistence false\n`,
  );
  const child = spawn('mosquitto', ['-c', config], { stdio: 'ignore' });
  const url = `mqtt://127.0.0.1:${port}`;
  await (await connectAsync(url)).endAsync();
  return {
    url,
    stop: async () => {
      child.kill();
      await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

/** About 130 bytes, as the native dialect has them. */
function payload(seq: number): string {
  const temperature = (20 + (seq % 100) / 10).toFixed(2);
  return `{"ts":${1_795_252_383_511 + seq},"seq":${seq},"temperature":${temperature},"humidity":44.${seq % 10},"battery":87.5,"status":"ok","rssi":-${60 + (seq % 30)},"note":"bench"}`;
}

async function fillSession(url: string, clientId: string, topicFilter: string): Promise<void> {
  const session = { protocolVersion: 5, properties: { sessionExpiryInterval: 3600 } } as const;
  const owner = await connectAsync(url, { clientId, clean: false, ...session });
  await owner.subscribeAsync(topicFilter, { qos: 1 });
  await owner.endAsync();
  const publisher = await connectAsync(url, { protocolVersion: 4 });
  const inFlight = new Set<Promise<unknown>>();
  for (let seq = 0; seq < messages; seq++) {
    const sent = publisher.publishAsync(`devices/d${seq % DEVICES}/telemetry`, payload(seq), { qos: 1 });
    inFlight.add(sent);
    sent.finally(() => inFlight.delete(sent));
    if (inFlight.size >= 2_000) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  await publisher.endAsync();
}

async function recordsIn(admin: LogAdmin, topic: string): Promise<number> {
  const watermarks = await admin.watermarks(topic);
  return watermarks.reduce((total, { logStartOffset, highWatermark }) => total + highWatermark - logStartOffset, 0);
}

async function drain(contender: string, mqttUrl: string, round: number): Promise<Result> {
  const clientId = `bench-${contender}-${round}`;
  const prefix = `bench-${contender}-${Date.now().toString(36)}.`;
  const topicFilter = 'devices/+/telemetry';
  const log = createKafkaLog({ brokers: stack.kafkaBrokers, clientId: 'bench' });
  const admin = log.admin();
  await admin.createTopics(topicSpecs({ prefix, partitions: PARTITIONS, replication: 1 }).slice(0, 2));
  await fillSession(mqttUrl, clientId, topicFilter);
  const surroundings: Surroundings = {
    mqttUrl,
    clientId,
    topicFilter,
    kafkaBrokers: stack.kafkaBrokers,
    registryUrl: stack.registryUrl,
    prefix,
    partitions: PARTITIONS,
  };
  const profiled = profileFolder === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  const child = fork(fileURLToPath(new URL('contender-process.ts', import.meta.url)), [contender, JSON.stringify(surroundings)], {
    execArgv: ['--disable-warning=TimeoutNegativeWarning', ...profiled],
  });
  const topic = topicNames(prefix).readings;
  const deadlineAt = performance.now() + DRAIN_DEADLINE_MS;
  let firstSeenAt = 0;
  let records = 0;
  let atFirst = 0;
  while (records < messages) {
    records = await recordsIn(admin, topic);
    if (firstSeenAt === 0 && records > 0) {
      // What comes before is loading, connecting and warming up.
      child.send('begin');
      [firstSeenAt, atFirst] = [performance.now(), records];
    }
    if (performance.now() > deadlineAt || child.exitCode !== null) throw new Error(`${contender}: ${records} of ${messages} records`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const seconds = (performance.now() - firstSeenAt) / 1000;
  child.send('end');
  const [usage] = (await once(child, 'message')) as [Usage];
  await once(child, 'exit');
  await log.close();
  return {
    contender,
    cpuMicrosPerMessage: Math.round((usage.cpuMs * 10_000) / (messages - atFirst)) / 10,
    messagesPerSecond: Math.round((messages - atFirst) / seconds),
    maxRssMegabytes: Math.round(usage.maxRssMegabytes),
  };
}

const mosquitto = await startMosquitto();
const results: Result[] = [];
try {
  for (const [round, contender] of option('only', 'ours,naive').split(',').entries())
    results.push(await drain(contender, mosquitto.url, round));
} finally {
  await mosquitto.stop();
}
console.table(results);
const [first, second] = results;
if (first !== undefined && second !== undefined) {
  const cpuRatio = (second.cpuMicrosPerMessage / first.cpuMicrosPerMessage).toFixed(1);
  const speedRatio = (first.messagesPerSecond / second.messagesPerSecond).toFixed(1);
  console.log(
    `${first.contender} against ${second.contender}: ${cpuRatio} times less CPU per message, ${speedRatio} times the messages per second`,
  );
}
