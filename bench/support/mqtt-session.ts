import { connectAsync } from 'mqtt';

// Kept sessions at the MQTT broker, by client id: what the devices publish waits in them for a bridge.

export const TOPIC_FILTER = 'devices/+/telemetry';

/** Begins a session that collects from now on. */
export async function beginSession(url: string, clientId: string): Promise<void> {
  const owner = await connectAsync(url, { clientId, clean: false, protocolVersion: 5, properties: { sessionExpiryInterval: 3_600 } });
  await owner.subscribeAsync(TOPIC_FILTER, { qos: 1 });
  await owner.endAsync();
}

/** Otherwise it goes on collecting what the next contender is given. */
export async function endSession(url: string, clientId: string): Promise<void> {
  const owner = await connectAsync(url, { clientId, clean: true, protocolVersion: 5 });
  await owner.endAsync();
}
