import { type DeviceState, deviceDueMs } from './device-state.ts';
import type { FoldSettings } from './fold-settings.ts';
import { plainNumbers } from './plain-numbers.ts';

/** Below this many entries nothing is worth being dropped. */
const STALE_ENTRIES_MIN = 1_024;

/**
 * Which device has something due first: a binary heap of lower bounds. A device stands in it at or before its true due time; when it
 * comes to the top its true time is computed and it is put back or handled. So a reading, which almost always moves the due time
 * later, costs nothing here. `DeviceState.queuedDueMs` tells the valid entry of a device from older ones; those are dropped at the top,
 * and all at once when they are the greater part, because a device that is silent between its readings leaves one behind each time,
 * which would come to the top days later. Bound: twice the devices and a few.
 */
export class DueQueue {
  private keys = plainNumbers([]);
  private devices: DeviceState[] = [];
  /** Devices that stand in it. */
  private queued = 0;

  get size(): number {
    return this.keys.length;
  }

  /** Makes sure that the device comes up at dueMs or earlier. */
  ensure(device: DeviceState, dueMs: number): void {
    if (dueMs >= device.queuedDueMs) return;
    if (device.queuedDueMs === Number.POSITIVE_INFINITY) this.queued += 1;
    device.queuedDueMs = dueMs;
    if (this.keys.length >= 2 * this.queued + STALE_ENTRIES_MIN) this.dropStale();
    this.push(dueMs, device);
  }

  /** The key at the top, after dropping what is no longer valid; Infinity when empty. A lower bound of the next due time. */
  peekMs(): number {
    while (this.keys.length > 0 && !this.isValid(this.keys[0]!, this.devices[0]!)) this.pop();
    return this.keys[0] ?? Number.POSITIVE_INFINITY;
  }

  /** Takes the device at the top out; it must be put back with `ensure` unless it is forgotten. */
  take(): DeviceState | undefined {
    if (this.peekMs() === Number.POSITIVE_INFINITY) return undefined;
    const device = this.pop();
    device.queuedDueMs = Number.POSITIVE_INFINITY;
    this.queued -= 1;
    return device;
  }

  /**
   * When the first devices are due, up to `count` of them and not after `upToMs`, in order. Its cost is that of the devices which it names, and
   * of those whose bound had become too low.
   */
  firstDueMs(count: number, upToMs: number, settings: FoldSettings): number[] {
    const due: { readonly device: DeviceState; readonly dueMs: number }[] = [];
    for (let boundMs = this.peekMs(); boundMs <= upToMs && due.length < count; boundMs = this.peekMs()) {
      const device = this.take()!;
      const dueMs = deviceDueMs(device, settings);
      if (dueMs > boundMs) this.ensure(device, dueMs);
      else due.push({ device, dueMs });
    }
    for (const { device, dueMs } of due) this.ensure(device, dueMs);
    return due.map(({ dueMs }) => dueMs);
  }

  clear(): void {
    this.keys = plainNumbers([]);
    this.devices = [];
    this.queued = 0;
  }

  private dropStale(): void {
    const { keys, devices } = this;
    this.keys = plainNumbers([]);
    this.devices = [];
    const kept = new Set<DeviceState>();
    keys.forEach((key, at) => {
      const device = devices[at]!;
      if (!this.isValid(key, device) || kept.has(device)) return;
      kept.add(device);
      this.push(key, device);
    });
  }

  private isValid(key: number, device: DeviceState): boolean {
    return !device.forgotten && key === device.queuedDueMs;
  }

  private push(key: number, device: DeviceState): void {
    const { keys, devices } = this;
    let at = keys.length;
    keys.push(key);
    devices.push(device);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[at] = keys[parent]!;
      devices[at] = devices[parent]!;
      at = parent;
    }
    keys[at] = key;
    devices[at] = device;
  }

  private pop(): DeviceState {
    const { keys, devices } = this;
    const top = devices[0]!;
    const key = keys.pop()!;
    const device = devices.pop()!;
    const size = keys.length;
    if (size === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && keys[child + 1]! < keys[child]!) child += 1;
      if (keys[child]! >= key) break;
      keys[at] = keys[child]!;
      devices[at] = devices[child]!;
      at = child;
    }
    keys[at] = key;
    devices[at] = device;
    return top;
  }
}
