import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { IngotError } from '../errors.ts';
import { type RunningChild, startChild } from './child.ts';
import { ARCHIVE_DEADLINE_MS, classArchiveFlags } from './class-archive.ts';
import { keptPorts, LOOPBACK } from './ports.ts';
import { requireJavaProgram, requirePart } from './required-program.ts';

// The schema registry: Apicurio with its Confluent API. Its schemas live in Kafka, so its folder only holds its port and its log.

export interface RegistryOptions {
  readonly folder: string;
  readonly kafkaBrokers: readonly string[];
  /** Tried at the first start; null takes any. */
  readonly preferredPort: number | null;
  /** Write the classes into this file at the end, which then takes longer. */
  readonly makeClassArchive?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onCrash?: ((error: IngotError) => void) | undefined;
}

export interface RunningRegistry extends RunningChild {
  /** Base URL of the Confluent API v7. */
  readonly url: string;
}

/** The start is what a user waits for: the first compiler and the simple collector make it shorter by a third. */
const QUICK_START = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
const READY_DEADLINE_MS = 180_000;
const STOP_DEADLINE_MS = 10_000;
const ANSWER_DEADLINE_MS = 2_000;

/** Starts the registry; Kafka must be up. IngotError `COMPONENT_MISSING`, `COMPONENT_FAILED`. */
export async function startRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  const { folder, kafkaBrokers, preferredPort, makeClassArchive, onCrash, signal } = options;
  const java = requireJavaProgram();
  const jar = join(requirePart('registry'), 'apicurio-registry-app-3.0.9-runner.jar');
  mkdirSync(folder, { recursive: true });
  const { http } = await keptPorts(join(folder, 'ports.json'), { http: preferredPort });
  const address = `http://${LOOPBACK}:${http}`;
  const child = await startChild({
    name: 'The schema registry',
    program: java,
    args: ['-Xmx384m', ...QUICK_START, ...classArchiveFlags('registry', makeClassArchive), `-Dingot.folder=${folder}`, '-jar', jar],
    environment: {
      QUARKUS_HTTP_HOST: LOOPBACK,
      QUARKUS_HTTP_PORT: String(http),
      QUARKUS_CONSOLE_COLOR: 'false',
      APICURIO_STORAGE_KIND: 'kafkasql',
      APICURIO_KAFKASQL_BOOTSTRAP_SERVERS: kafkaBrokers.join(','),
    },
    workFolder: folder,
    logFile: join(folder, 'registry.log'),
    // It answers before it has read its schemas back from Kafka: as if there were none, to whoever asks for one or registers one.
    isReady: async () => (await fetch(`${address}/health/ready`, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) })).ok,
    readyDeadlineMs: READY_DEADLINE_MS,
    stopDeadlineMs: makeClassArchive === undefined ? STOP_DEADLINE_MS : ARCHIVE_DEADLINE_MS,
    onCrash,
    signal,
  });
  return { ...child, url: `${address}/apis/ccompat/v7` };
}
