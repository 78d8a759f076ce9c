import { parseDeviceTopic } from '../core/device-topic.ts';
import { RecentTable } from '../core/recent-table.ts';

// Limits that the operator sets on devices; both are off by default, and then nothing of this file runs.

export interface DeviceLimitOptions {
  /** Messages per second and device; 0 is no limit. */
  readonly rateMax: number;
  /** Messages that a device may send at once after it was quiet. */
  readonly burst: number;
  /** Devices of one bridge within a day; 0 is no limit. */
  readonly devicesMax: number;
}

/** `shed`: too fast, counted and acknowledged. `device_limit`: one device too many, a dead letter. */
export type LimitVerdict = 'pass' | 'shed' | 'device_limit';

/** A device that was silent for one to two such spans gives its place to another one. */
export const DEVICE_PLACE_MS = 24 * 3_600_000;
/** Above this many topics the least recently used ones begin with a full bucket again. Who is too fast is among the recent ones. */
const MAX_BUCKETS = 65_536;
/** Above any topic of a device. What is longer shares one bucket: topics of 64 KiB, remembered one by one, would be gigabytes. */
const LONGEST_TOPIC = 256;

interface TokenBucket {
  tokens: number;
  filledAtMs: number;
}

/** Judges messages by their MQTT topic, in constant time and bounded memory. */
export class DeviceLimits {
  readonly #ratePerMs: number;
  readonly #burst: number;
  readonly #devicesMax: number;
  readonly #buckets: RecentTable<TokenBucket>;
  readonly #devices: RecentTable<true>;

  constructor({ rateMax, burst, devicesMax }: DeviceLimitOptions) {
    this.#ratePerMs = rateMax / 1000;
    this.#burst = burst;
    this.#devicesMax = devicesMax;
    // A bucket that was not used for as long as it takes to fill says no more than a new one.
    this.#buckets = new RecentTable({ spanMs: Math.max(1_000, burst / (rateMax / 1000)), maxKeys: MAX_BUCKETS });
    this.#devices = new RecentTable({ spanMs: DEVICE_PLACE_MS, maxKeys: Math.max(1, devicesMax) });
  }

  /** `nowMs` is when the message was received, epoch ms. */
  judge(mqttTopic: string, nowMs: number): LimitVerdict {
    if (this.#ratePerMs > 0 && !this.#takeToken(mqttTopic, nowMs)) return 'shed';
    if (this.#devicesMax > 0 && !this.#hasPlace(mqttTopic, nowMs)) return 'device_limit';
    return 'pass';
  }

  #takeToken(mqttTopic: string, nowMs: number): boolean {
    const key = mqttTopic.length > LONGEST_TOPIC ? '' : mqttTopic;
    const bucket = this.#buckets.use(key, nowMs);
    if (bucket === undefined) {
      this.#buckets.add(key, { tokens: this.#burst - 1, filledAtMs: nowMs }, nowMs);
      return true;
    }
    // A clock that was set back fills nothing, and counts from there.
    const filled = bucket.tokens + Math.max(0, nowMs - bucket.filledAtMs) * this.#ratePerMs;
    bucket.tokens = Math.min(this.#burst, filled);
    bucket.filledAtMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #hasPlace(mqttTopic: string, nowMs: number): boolean {
    if (this.#devices.use(mqttTopic, nowMs) !== undefined) return true;
    // What names no device takes no device's place; it becomes a dead letter anyhow.
    if (!parseDeviceTopic(mqttTopic).ok) return true;
    if (this.#devices.size >= this.#devicesMax) return false;
    this.#devices.add(mqttTopic, true, nowMs);
    return true;
  }
}

/** Null when no limit is set. */
export function deviceLimits(options: DeviceLimitOptions): DeviceLimits | null {
  return options.rateMax > 0 || options.devicesMax > 0 ? new DeviceLimits(options) : null;
}
