import type { ConnectionOptions } from 'node:tls';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { IngotError } from '../errors.ts';
import type { NoticeBroker, NoticeConnection, RetainedMessages } from '../notices/notices-ports.ts';
import { networkFailure } from './broker-refusal.ts';

// Retained messages at an MQTT broker. The client's own reconnecting is off: it would send again what was under way, in the middle of
// what a new connection begins with.

export interface NoticeBrokerOptions {
  readonly url: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'>;
  readonly clientId: string;
  /** For tests. */
  readonly retainedLimits?: RetainedLimits;
}

const CONNECT_DEADLINE_MS = 10_000;
const ACKNOWLEDGE_DEADLINE_MS = 20_000;
/** MQTT does not say which retained message is the last one. */
const QUIET_MS = 500;
/** Of what the broker keeps, so much is looked at in one go. */
export interface RetainedLimits {
  readonly messagesMax: number;
  readonly bytesMax: number;
  /** Of a longer payload nothing is kept: none of ours is so long. */
  readonly payloadBytesMax: number;
}
const RETAINED_LIMITS: RetainedLimits = { messagesMax: 100_000, bytesMax: 128 * 1024 ** 2, payloadBytesMax: 128 * 1024 };

export function noticeBroker(options: NoticeBrokerOptions): NoticeBroker {
  return { connect: () => open(options) };
}

async function open({ url, clientId, username, password, tls, retainedLimits }: NoticeBrokerOptions): Promise<NoticeConnection> {
  const settings: IClientOptions = {
    clientId,
    clean: true,
    protocolVersion: 4,
    reconnectPeriod: 0,
    connectTimeout: CONNECT_DEADLINE_MS,
    log: () => {},
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls as Pick<IClientOptions, 'ca' | 'cert' | 'key'> | undefined),
  };
  const client = connect(url, settings);
  const { promise: connected, resolve, reject } = Promise.withResolvers<void>();
  let lastError: Error | undefined;
  client.on('error', (error) => {
    lastError = error;
  });
  client.once('connect', () => resolve());
  client.once('close', () => reject(unreachable(url, lastError)));
  const timer = setTimeout(() => reject(unreachable(url, lastError)), CONNECT_DEADLINE_MS);
  try {
    await connected;
  } catch (error) {
    client.end(true);
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return connectionOf(client, retainedLimits ?? RETAINED_LIMITS);
}

function connectionOf(client: MqttClient, limits: RetainedLimits): NoticeConnection {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  client.once('close', () => resolve());
  const lost = ended.then(() => Promise.reject(new Error('the connection to the MQTT broker was lost')));
  lost.catch(() => undefined);
  /** The client answers nothing for what it had under way when the connection was lost. */
  const answered = async <T>(answer: Promise<T>): Promise<T> => {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error('the MQTT broker did not acknowledge')), ACKNOWLEDGE_DEADLINE_MS);
    try {
      return await Promise.race([answer, lost, late]);
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    ended,
    retained: (filter) => answered(retainedOf(client, filter, limits)),
    publish: async (topic, payload, { retain }) => void (await answered(client.publishAsync(topic, payload, { qos: 1, retain }))),
    async close(deadlineMs) {
      const timer = setTimeout(() => client.end(true), deadlineMs);
      client.end();
      await ended;
      clearTimeout(timer);
    },
  };
}

async function retainedOf(client: MqttClient, filter: string, limits: RetainedLimits): Promise<RetainedMessages> {
  const found = new Map<string, Buffer>();
  let [bytes, isWhole] = [0, true];
  const quiet = Promise.withResolvers<void>();
  const keep = (topic: string, payload: Buffer): void => {
    const kept = payload.length > limits.payloadBytesMax ? Buffer.alloc(0) : payload;
    if (found.size >= limits.messagesMax || bytes + topic.length + kept.length > limits.bytesMax) {
      isWhole = false;
      // What is still to come is not looked at: nothing is worth waiting for.
      quiet.resolve();
    } else {
      found.set(topic, kept);
      bytes += topic.length + kept.length;
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const restart = (): void => {
    clearTimeout(timer);
    timer = setTimeout(quiet.resolve, QUIET_MS);
  };
  const onMessage = (topic: string, payload: Buffer, packet: { retain: boolean }): void => {
    // What somebody publishes now is not what the broker had kept: whoever does so all the time must not keep us waiting.
    if (!packet.retain) return;
    keep(topic, payload);
    restart();
  };
  client.on('message', onMessage);
  try {
    await client.subscribeAsync(filter, { qos: 1 });
    restart();
    await quiet.promise;
    await client.unsubscribeAsync(filter);
  } finally {
    clearTimeout(timer);
    client.off('message', onMessage);
  }
  return { messages: found, isWhole };
}

function unreachable(url: string, cause: Error | undefined): IngotError {
  const { protocol, host } = new URL(url);
  const message = `the MQTT broker at ${protocol}//${host} did not accept a connection: ${networkFailure(cause)}. Check MQTT_URL.`;
  return new IngotError('MQTT_UNREACHABLE', message, { cause });
}
