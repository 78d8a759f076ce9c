import type { ConnectionOptions } from 'node:tls';
import { connect, type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt';
import { type TlsSettingNames, tlsAdvice } from '../core/tls-failure.ts';
import { IngotError } from '../errors.ts';
import { networkFailure, refused } from './broker-refusal.ts';

// A connection to the MQTT broker for a few questions: it is not made again when it is lost.

export interface BrokerAddress {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> | undefined;
  /** For CONNACK. */
  readonly deadlineMs: number;
}

export interface BriefSession {
  readonly protocolVersion: 4 | 5;
  readonly clientId: string;
  /** Begin a new session; otherwise go on with the one that is there. */
  readonly clean: boolean;
  /** How long the broker is asked to keep the session (MQTT 5). */
  readonly sessionExpirySeconds: number;
  /** Called before the connection is made, for messages that come at once. */
  readonly onMessage?: (topic: string, payload: Buffer) => void;
}

const TLS_SETTINGS: TlsSettingNames = {
  address: 'MQTT_URL',
  ca: 'MQTT_TLS_CA_FILE',
  certificate: 'MQTT_TLS_CERT_FILE and MQTT_TLS_KEY_FILE',
};
const END_DEADLINE_MS = 1_000;

/** Rejects with IngotError `MQTT_UNREACHABLE`, or `MQTT_REFUSED` with the `reasonCode` of CONNACK in its details. */
export async function connectBriefly(
  address: BrokerAddress,
  session: BriefSession,
): Promise<{ readonly client: MqttClient; readonly connack: IConnackPacket }> {
  const client = connect(address.url, clientOptions(address, session));
  if (session.onMessage !== undefined) client.on('message', session.onMessage);
  try {
    return { client, connack: await connected(client, address) };
  } catch (error) {
    client.end(true);
    throw error;
  }
}

/** Disconnects and waits for it, but not for ever. `keepsSession` false ends the session of MQTT 5 at once (MQTT5 3.14.2.2.2). */
export async function endBriefly(client: MqttClient, keepsSession: boolean): Promise<void> {
  const { promise: expired, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, END_DEADLINE_MS);
  const isMqtt5 = client.options.protocolVersion === 5;
  const ended = client.endAsync(false, isMqtt5 && !keepsSession ? { properties: { sessionExpiryInterval: 0 } } : {});
  await Promise.race([ended.catch(() => undefined), expired]);
  clearTimeout(timer);
  client.end(true);
}

function clientOptions(address: BrokerAddress, session: BriefSession): IClientOptions {
  const { username, password, tls, deadlineMs } = address;
  const { protocolVersion, clientId, clean, sessionExpirySeconds } = session;
  return {
    protocolVersion,
    clientId,
    clean,
    reconnectPeriod: 0,
    connectTimeout: deadlineMs,
    log: () => {},
    ...(tls as Pick<IClientOptions, 'ca' | 'cert' | 'key'> | undefined),
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: sessionExpirySeconds } } : {}),
  };
}

async function connected(client: MqttClient, { url, deadlineMs }: BrokerAddress): Promise<IConnackPacket> {
  const { protocol, host } = new URL(url);
  const where = `the MQTT broker at ${protocol}//${host}`;
  const { promise, resolve, reject } = Promise.withResolvers<IConnackPacket>();
  const unreachable = (why: string, cause?: unknown) =>
    reject(new IngotError('MQTT_UNREACHABLE', `${where} accepts no connection: ${why}. Check MQTT_URL.`, { cause }));
  const timer = setTimeout(() => unreachable(`no answer within ${deadlineMs} ms`), deadlineMs);
  client.on('connect', resolve);
  client.on('error', (error) => {
    const { code } = error as Error & { code?: unknown };
    const advice = tlsAdvice(error.message, TLS_SETTINGS);
    if (advice !== null) reject(new IngotError('MQTT_REFUSED', `${where}: ${error.message}. ${advice}.`, { cause: error }));
    // A number is a reason of CONNACK; network errors have a text.
    else if (typeof code === 'number') reject(refused(where, error, code));
    else unreachable(networkFailure(error), error);
  });
  client.on('close', () => unreachable('it closed the connection'));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
