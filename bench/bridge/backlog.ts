import { connectAsync } from 'mqtt';

// What every contender has to drain: messages at QoS 1, published while its session is away.

const IN_FLIGHT_MAX = 2_000;

/** About 130 bytes, as the native dialect has them. */
function payload(seq: number): string {
  const temperature = (20 + (seq % 100) / 10).toFixed(2);
  return `{"ts":${1_795_252_383_511 + seq},"seq":${seq},"temperature":${temperature},"humidity":44.${seq % 10},"battery":87.5,"status":"ok","rssi":-${60 + (seq % 30)},"note":"bench"}`;
}

/** Resolves when the broker has acknowledged everything. */
export async function publishBacklog(url: string, { messages, devices }: { messages: number; devices: number }): Promise<void> {
  const publisher = await connectAsync(url, { protocolVersion: 4 });
  const inFlight = new Set<Promise<unknown>>();
  for (let seq = 0; seq < messages; seq += 1) {
    const sent = publisher.publishAsync(`devices/d${seq % devices}/telemetry`, payload(seq), { qos: 1 });
    inFlight.add(sent);
    void sent.finally(() => inFlight.delete(sent));
    if (inFlight.size >= IN_FLIGHT_MAX) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  await publisher.endAsync();
}
