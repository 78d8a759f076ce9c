import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { IngotError } from '../errors.ts';
import { type RunningChild, startChild } from './child.ts';
import { ARCHIVE_DEADLINE_MS, classArchiveFlags } from './class-archive.ts';
import { runToEnd } from './one-shot.ts';
import { keptPorts, LOOPBACK } from './ports.ts';
import { requireJavaProgram, requirePart } from './required-program.ts';

// One Kafka node (KRaft: broker and controller in one process) in a folder of its own.

export interface KafkaOptions {
  /** Its data, settings, ports and log. The next start on it goes on where this one stops. */
  readonly folder: string;
  /** Tried at the first start; null takes any. */
  readonly preferredPort: number | null;
  /** Called as soon as it is known where it will listen. */
  readonly onAddress?: ((brokers: readonly string[]) => void) | undefined;
  /** How its JVM runs; `quick_start` when it is not said. */
  readonly jvm?: KafkaJvm;
  /** Write the classes into this file at the end, which then takes longer. */
  readonly makeClassArchive?: string | undefined;
  /** Settings to add to the node's own, which it is given, or to replace them: for a test that needs another Kafka. */
  readonly changeSettings?: ((own: KafkaSettings) => KafkaSettings) | undefined;
  /** Users to make when the folder is formatted: `SCRAM-SHA-256=[name=...,password=...]`. */
  readonly scramUsers?: readonly string[] | undefined;
  /** What the cluster agrees on when the folder is formatted, where that is not the newest: `transaction.version=1`. */
  readonly features?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onCrash?: ((error: IngotError) => void) | undefined;
}

/** `quick_start` for a demonstration and tests, `server` as a server in production runs, which is what a benchmark needs. */
export type KafkaJvm = 'quick_start' | 'server';

export type KafkaSettings = Readonly<Record<string, string | number | boolean>>;

export interface RunningKafka extends RunningChild {
  readonly brokers: readonly string[];
}

const LOG4J_FILE = fileURLToPath(new URL('kafka-log4j2.xml', import.meta.url));
/**
 * One node of this size needs no parallel collector. The first compiler alone makes the start shorter by a third, and the second one would
 * compete with the pipeline for the processors through the first minutes.
 */
const QUICK_START = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
/** What Kafka's own start script runs it with. */
const SERVER = ['-Xms1g', '-Xmx1g', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'];
const JVM_FLAGS: Readonly<Record<KafkaJvm, readonly string[]>> = { quick_start: ['-Xmx512m', ...QUICK_START], server: SERVER };
const READY_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 15_000;

/** Starts the node, formatting its folder at the first time. IngotError `COMPONENT_MISSING`, `COMPONENT_FAILED`. */
export async function startKafka(options: KafkaOptions): Promise<RunningKafka> {
  const { folder, preferredPort, onAddress, makeClassArchive, changeSettings, scramUsers = [], features = [], onCrash, signal } = options;
  const { jvm = 'quick_start' } = options;
  const java = requireJavaProgram();
  const classPath = join(requirePart('kafka'), '*');
  mkdirSync(folder, { recursive: true });
  const ports = await keptPorts(join(folder, 'ports.json'), { broker: preferredPort, controller: null });
  const brokers = [`${LOOPBACK}:${ports.broker}`];
  onAddress?.(brokers);
  const settingsFile = join(folder, 'server.properties');
  const own = ownSettings(join(folder, 'log'), ports);
  writeFileSync(settingsFile, propertiesText({ ...own, ...changeSettings?.(own) }));
  const javaArgs = ['-cp', classPath, `-Dlog4j2.configurationFile=${LOG4J_FILE}`];
  if (!existsSync(join(folder, 'log', 'meta.properties'))) {
    const clusterId = randomBytes(16).toString('base64url');
    await runToEnd('Formatting the folder of Kafka', java, [
      ...QUICK_START,
      ...classArchiveFlags('kafka'),
      ...javaArgs,
      'kafka.tools.StorageTool',
      'format',
      // In one word: one id in 64 begins with a hyphen, and would be taken for a flag.
      `--cluster-id=${clusterId}`,
      '-c',
      settingsFile,
      '--ignore-formatted',
      ...scramUsers.map((user) => `--add-scram=${user}`),
      ...features.map((feature) => `--feature=${feature}`),
    ]);
  }
  const child = await startChild({
    name: 'Kafka',
    program: java,
    args: [
      ...JVM_FLAGS[jvm],
      '-XX:+ExitOnOutOfMemoryError',
      ...classArchiveFlags('kafka', makeClassArchive),
      ...javaArgs,
      'kafka.Kafka',
      settingsFile,
    ],
    workFolder: folder,
    logFile: join(folder, 'kafka.log'),
    isReady: () => answersApiVersions(ports.broker),
    readyDeadlineMs: READY_DEADLINE_MS,
    stopDeadlineMs: makeClassArchive === undefined ? STOP_DEADLINE_MS : ARCHIVE_DEADLINE_MS,
    onCrash,
    signal,
  });
  return { ...child, brokers };
}

/** runtime.md "Kafka": what one node needs. */
function ownSettings(logFolder: string, ports: { readonly broker: number; readonly controller: number }): KafkaSettings {
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@${LOOPBACK}:${ports.controller}`,
    listeners: `PLAINTEXT://${LOOPBACK}:${ports.broker},CONTROLLER://${LOOPBACK}:${ports.controller}`,
    'advertised.listeners': `PLAINTEXT://${LOOPBACK}:${ports.broker}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    // A backslash would begin an escape in this format.
    'log.dirs': logFolder.replaceAll('\\', '/'),
    'auto.create.topics.enable': false,
    'num.partitions': 4,
    'default.replication.factor': 1,
    'min.insync.replicas': 1,
    'offsets.topic.num.partitions': 4,
    'offsets.topic.replication.factor': 1,
    'transaction.state.log.num.partitions': 4,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'share.coordinator.state.topic.num.partitions': 4,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    // Nobody else will join a moment later, as it is on a cluster that starts.
    'group.initial.rebalance.delay.ms': 0,
    // One node has nobody to hand its leaderships to.
    'controlled.shutdown.enable': false,
  };
}

function propertiesText(settings: KafkaSettings): string {
  return `${Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n')}\n`;
}

const ANSWER_DEADLINE_MS = 1_000;
/** ApiVersions v0 with correlation id 1 and no client id: what every client asks first. */
const API_VERSIONS_REQUEST = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff]);

/** Whether the broker serves requests. Kafka opens its listener only when it is ready, and a listener alone may be somebody else's. */
function answersApiVersions(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, LOOPBACK);
  socket.setTimeout(ANSWER_DEADLINE_MS, () => resolve(false));
  socket.on('error', () => resolve(false));
  socket.on('connect', () => socket.write(API_VERSIONS_REQUEST));
  // Length, the correlation id, and error code 0 are the first ten bytes; they come in one piece.
  socket.on('data', (answer) => resolve(answer.length >= 10 && answer.readInt32BE(4) === 1 && answer.readInt16BE(8) === 0));
  return promise.finally(() => socket.destroy());
}
