import { connectAsync } from 'mqtt';

// What a broker keeps below a topic filter, as somebody sees it who subscribes now.

const QUIET_MS = 200;

/** Parsed JSON by topic. Empty while the broker is away. */
export async function retainedMessages(url: string, filter: string): Promise<Map<string, Record<string, unknown>>> {
  const found = new Map<string, Record<string, unknown>>();
  const client = await connectAsync(url, { reconnectPeriod: 0, connectTimeout: 5_000 }, false).catch(() => null);
  if (client === null) return found;
  const { promise: quiet, resolve } = Promise.withResolvers<void>();
  let timer = setTimeout(resolve, QUIET_MS);
  client.on('message', (topic, payload, { retain }) => {
    if (retain) found.set(topic, JSON.parse(payload.toString('utf8')) as Record<string, unknown>);
    clearTimeout(timer);
    timer = setTimeout(resolve, QUIET_MS);
  });
  client.on('close', resolve);
  await client.subscribeAsync(filter, { qos: 1 });
  await quiet;
  client.end(true);
  return found;
}
