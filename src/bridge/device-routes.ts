import { partitionForKey } from '../core/murmur2.ts';

/** The Kafka key of a device and where it lies. */
export interface DeviceRoute {
  readonly key: Uint8Array;
  readonly partition: number;
}

/** Above this many devices the table is begun anew: a flood of ids costs time, not memory. */
const MAX_ROUTES = 65_536;

/** Remembers key bytes and partition per device, which is cheaper than to compute them for every message. */
export class DeviceRoutes {
  readonly #partitions: number;
  readonly #routes = new Map<string, DeviceRoute>();

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  of(deviceId: string): DeviceRoute {
    const known = this.#routes.get(deviceId);
    if (known !== undefined) return known;
    if (this.#routes.size >= MAX_ROUTES) this.#routes.clear();
    const key = Buffer.from(deviceId);
    const route = { key, partition: partitionForKey(key, this.#partitions) };
    this.#routes.set(deviceId, route);
    return route;
  }
}
