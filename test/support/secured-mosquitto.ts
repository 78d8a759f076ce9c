import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { startChild } from '../../src/local-stack/child.ts';
import { freePort } from '../../src/local-stack/ports.ts';
import { requireMosquitto } from '../../src/local-stack/required-program.ts';
import type { Certificates } from './certificates.ts';

// A mosquitto of its own with a listener that asks for a password and one that asks for a certificate, both with TLS.

const run = promisify(execFile);

export interface SecuredMosquitto {
  /** TLS and a password, under the name in the certificate. */
  readonly passwordUrl: string;
  /** The same listener under an address that is not in the certificate. */
  readonly passwordUrlByAddress: string;
  /** TLS and a password by WebSockets. */
  readonly webSocketUrl: string;
  /** TLS with a client certificate. */
  readonly certificateUrl: string;
  /** Gives the user another password; connections are cut, sessions are kept. */
  changePassword(password: string): Promise<void>;
  stop(): Promise<void>;
}

export interface SecuredMosquittoOptions {
  readonly folder: string;
  readonly certificates: Certificates;
  readonly username: string;
  readonly password: string;
}

const READY_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 5_000;

export async function startSecuredMosquitto({
  folder,
  certificates,
  username,
  password,
}: SecuredMosquittoOptions): Promise<SecuredMosquitto> {
  const program = requireMosquitto();
  const workFolder = join(folder, 'mosquitto');
  mkdirSync(workFolder, { recursive: true });
  const passwords = join(workFolder, 'passwords');
  const setPassword = (text: string) => run(passwordProgram(program), ['-c', '-b', passwords, username, text]);
  await setPassword(password);
  const ports = { password: await freePort(), certificate: await freePort(), webSocket: await freePort() };
  const settingsFile = join(workFolder, 'mosquitto.conf');
  writeFileSync(settingsFile, settings({ ports, certificates, passwords, workFolder }));
  const start = () =>
    startChild({
      name: 'mosquitto',
      program,
      args: ['-c', settingsFile],
      workFolder,
      logFile: join(workFolder, 'mosquitto.log'),
      isReady: () => acceptsConnections(ports.password),
      readyDeadlineMs: READY_DEADLINE_MS,
      stopDeadlineMs: STOP_DEADLINE_MS,
    });
  let child = await start();
  return {
    passwordUrl: `mqtts://localhost:${ports.password}`,
    passwordUrlByAddress: `mqtts://127.0.0.1:${ports.password}`,
    webSocketUrl: `wss://localhost:${ports.webSocket}`,
    certificateUrl: `mqtts://localhost:${ports.certificate}`,
    changePassword: async (text) => {
      await setPassword(text);
      await child.stop();
      child = await start();
    },
    stop: () => child.stop(),
  };
}

interface SettingsOf {
  readonly ports: { readonly password: number; readonly certificate: number; readonly webSocket: number };
  readonly certificates: Certificates;
  readonly passwords: string;
  readonly workFolder: string;
}

function settings({ ports, certificates: { ca, server }, passwords, workFolder }: SettingsOf): string {
  const tls = `certfile ${server.cert}\nkeyfile ${server.key}\n`;
  const withPassword = `allow_anonymous false\npassword_file ${passwords}\n${tls}`;
  return `per_listener_settings true
# Started by root it would become the user mosquitto, who may not read these files.
user root
log_dest stdout
# Sessions outlive a change of the password.
persistence true
persistence_location ${workFolder}/

listener ${ports.password} 127.0.0.1
${withPassword}
listener ${ports.webSocket} 127.0.0.1
protocol websockets
${withPassword}
listener ${ports.certificate} 127.0.0.1
cafile ${ca}
require_certificate true
use_identity_as_username true
${tls}`;
}

/** It comes with mosquitto: beside it or, on Debian, in the folder for users. */
function passwordProgram(mosquitto: string): string {
  return dirname(mosquitto).endsWith('/sbin') ? 'mosquitto_passwd' : join(dirname(mosquitto), 'mosquitto_passwd');
}

function acceptsConnections(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => resolve(false));
  socket.on('connect', () => resolve(true));
  return promise.finally(() => socket.destroy());
}
