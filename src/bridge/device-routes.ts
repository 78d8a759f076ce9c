import { parseDeviceTopic } from '../core/device-topic.ts';
import { identitySeed } from '../core/identity.ts';
import { partitionForKey } from '../core/murmur2.ts';
import type { ReadingOrigin } from './reading-port.ts';

/** The Kafka key of a device and where it lies. */
export interface DeviceRoute extends ReadingOrigin {
  readonly partition: number;
}

/** Above this many topics the table is begun anew: a flood of ids costs time, not memory. */
const MAX_ROUTES = 65_536;

/** Remembers by MQTT topic what follows from it, which is cheaper than to compute it for every message. */
export class DeviceRoutes {
  readonly #partitions: number;
  readonly #routes = new Map<string, DeviceRoute>();

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  /** Null when the topic names no device. */
  of(mqttTopic: string): DeviceRoute | null {
    const known = this.#routes.get(mqttTopic);
    if (known !== undefined) return known;
    if (this.#routes.size >= MAX_ROUTES) this.#routes.clear();
    const route = this.#routeOf(mqttTopic);
    // A topic that names no device may have 64 KiB, and so many of those are gigabytes.
    if (route !== null) this.#routes.set(mqttTopic, route);
    return route;
  }

  #routeOf(mqttTopic: string): DeviceRoute | null {
    const topic = parseDeviceTopic(mqttTopic);
    if (!topic.ok) return null;
    const key = Buffer.from(topic.deviceId);
    return { key, partition: partitionForKey(key, this.#partitions), identitySeed: identitySeed(mqttTopic) };
  }
}
