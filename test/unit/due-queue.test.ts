import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeviceState } from '../../src/core/device-state.ts';
import { DueQueue } from '../../src/core/due-queue.ts';

const DAY_MS = 86_400_000;

test('devices that are silent between their readings leave nothing behind each time', () => {
  const queue = new DueQueue();
  const devices = Array.from({ length: 100 }, (_, index) => new DeviceState(`d${index}`));
  const steady = new DeviceState('steady');
  for (let cycle = 0; cycle < 1_000; cycle++) {
    const dueMs = cycle * 300_000;
    // A reading opens a window, which is closed by silence; then nothing is due for days but to be forgotten.
    for (const device of devices) queue.ensure(device, dueMs);
    while (queue.peekMs() <= dueMs) {
      const device = queue.take()!;
      queue.ensure(device, device === steady ? dueMs + 300_000 : dueMs + 7 * DAY_MS);
    }
    queue.ensure(steady, dueMs + 300_000);
  }
  expect(queue.size).toBeLessThan(2_000);
});

test('gives the devices in the order of their latest due times, however often those changed', () => {
  const step = fc.record({ device: fc.nat({ max: 9 }), dueMs: fc.nat({ max: 1_000 }), isTaking: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 3_000, size: 'max' }), (steps) => {
      const queue = new DueQueue();
      const devices = Array.from({ length: 10 }, (_, index) => new DeviceState(`d${index}`));
      const due = new Map<DeviceState, number>();
      for (const { device: index, dueMs, isTaking } of steps) {
        const device = devices[index]!;
        if (isTaking) {
          const earliest = Math.min(Number.POSITIVE_INFINITY, ...due.values());
          if (queue.peekMs() !== earliest) throw new Error(`${queue.peekMs()} is at the top, not ${earliest}`);
          const taken = queue.take();
          if (taken !== undefined && due.get(taken) !== earliest) throw new Error(`${taken.deviceId} came before its time`);
          if (taken !== undefined) due.delete(taken);
        }
        queue.ensure(device, dueMs);
        due.set(device, Math.min(dueMs, due.get(device) ?? Number.POSITIVE_INFINITY));
      }
    }),
    { numRuns: 10 },
  );
});
