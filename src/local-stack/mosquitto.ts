import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { IngotError } from '../errors.ts';
import { type RunningChild, startChild } from './child.ts';
import { keptPorts, LOOPBACK } from './ports.ts';
import { requireMosquitto } from './required-program.ts';

// A real MQTT broker as a child, for the tests of delivery and for benchmarks.

export interface MosquittoOptions {
  readonly folder: string;
  /**
   * Whether sessions and messages survive a kill -9, but for what was acknowledged in the last moment: mosquitto then writes all of
   * them after every change, and acknowledges before it writes. It costs most of its throughput; without it they survive an orderly
   * stop only.
   */
  readonly isDurable: boolean;
  readonly onCrash?: ((error: IngotError) => void) | undefined;
}

export interface RunningMosquitto extends RunningChild {
  readonly url: string;
}

const READY_DEADLINE_MS = 15_000;
const STOP_DEADLINE_MS = 10_000;
const ANSWER_DEADLINE_MS = 1_000;

/** IngotError `COMPONENT_MISSING`, `COMPONENT_FAILED`. */
export async function startMosquitto({ folder, isDurable, onCrash }: MosquittoOptions): Promise<RunningMosquitto> {
  const program = requireMosquitto();
  mkdirSync(folder, { recursive: true });
  const { mqtt } = await keptPorts(join(folder, 'ports.json'), { mqtt: null });
  const settingsFile = join(folder, 'mosquitto.conf');
  writeFileSync(settingsFile, settings({ folder, port: mqtt, isDurable }));
  const child = await startChild({
    name: 'mosquitto',
    program,
    args: ['-c', settingsFile],
    workFolder: folder,
    logFile: join(folder, 'mosquitto.log'),
    isReady: () => acceptsConnections(mqtt),
    readyDeadlineMs: READY_DEADLINE_MS,
    stopDeadlineMs: STOP_DEADLINE_MS,
    onCrash,
  });
  return { ...child, url: `mqtt://${LOOPBACK}:${mqtt}` };
}

function settings({ folder, port, isDurable }: { readonly folder: string; readonly port: number; readonly isDurable: boolean }): string {
  return `listener ${port} ${LOOPBACK}
allow_anonymous true
# Started by root it would become the user mosquitto, who may not write into this folder.
user root
log_dest stdout
persistence true
persistence_location ${folder}/
${isDurable ? 'autosave_on_changes true\nautosave_interval 1' : 'autosave_interval 0'}
# The defaults drop everything above 1 000 messages while the bridge is away.
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
set_tcp_nodelay true
`;
}

function acceptsConnections(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, LOOPBACK);
  socket.setTimeout(ANSWER_DEADLINE_MS, () => resolve(false));
  socket.on('error', () => resolve(false));
  socket.on('connect', () => resolve(true));
  return promise.finally(() => socket.destroy());
}
