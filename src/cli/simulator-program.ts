import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/settings-table.ts';
import { mqttAddress } from './roles/connect-mqtt.ts';

// The simulators are a program of their own, started with the Node that runs us: nothing here imports them, so the truth that they
// compute shares no code with the pipeline.

const PROGRAM = fileURLToPath(new URL('../../simulators/main.ts', import.meta.url));

export interface SimulatorProgramOptions {
  /** `run` or `verify` and its flags: see docs/SIMULATOR.md. */
  readonly args: readonly string[];
  /** For `run`: which MQTT broker, and as whom. Passed in the environment, so that no password shows in the process list. */
  readonly mqtt?: Config['mqtt'];
  /** Of stdin, stdout and stderr. */
  readonly stdio: readonly ['ignore' | 'pipe', 'inherit' | 'pipe', 'inherit' | 'pipe'];
  /** Aborted: the program sends nothing more, waits for its acknowledgements, says goodbye and ends. */
  readonly signal: AbortSignal;
}

export interface SimulatorProgram {
  readonly child: ChildProcess;
  /** Resolves with the exit code, 128 + n when signal n ended it. Rejects when it could not be started. */
  readonly ended: Promise<number>;
}

export function startSimulatorProgram({ args, mqtt, stdio, signal }: SimulatorProgramOptions): SimulatorProgram {
  const withChannel: StdioOptions = [...stdio, 'ipc'];
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: withChannel, env: environmentFor(mqtt) });
  // A message and no signal: Ctrl-C on a terminal has reached the program already, and a second signal would end it at once.
  const askToStop = () => {
    if (child.connected) child.send('stop', () => {});
  };
  signal.addEventListener('abort', askToStop, { once: true });
  if (signal.aborted) askToStop();
  const ended = once(child, 'close').then(
    ([code, killedBy]) => {
      signal.removeEventListener('abort', askToStop);
      return (code as number | null) ?? 128 + constants.signals[killedBy as NodeJS.Signals];
    },
    (error: unknown) => {
      signal.removeEventListener('abort', askToStop);
      throw error;
    },
  );
  return { child, ended };
}

function environmentFor(mqtt: Config['mqtt'] | undefined): NodeJS.ProcessEnv {
  if (mqtt === undefined) return process.env;
  const { url, username, password } = mqttAddress({ mqtt });
  const { MQTT_USERNAME: _username, MQTT_PASSWORD: _password, ...rest } = process.env;
  const files = { MQTT_TLS_CA_FILE: mqtt.caFile, MQTT_TLS_CERT_FILE: mqtt.certFile, MQTT_TLS_KEY_FILE: mqtt.keyFile };
  return {
    ...rest,
    MQTT_URL: url,
    ...(username === undefined ? {} : { MQTT_USERNAME: username }),
    ...(password === undefined ? {} : { MQTT_PASSWORD: password }),
    ...Object.fromEntries(Object.entries(files).filter(([, path]) => path !== null)),
  };
}
