import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { DeviceRoutes } from '../../../src/bridge/device-routes.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const MEBIBYTE = 1024 ** 2;

it('gives equal topics one route, and topics without a device none', () => {
  const routes = new DeviceRoutes(6);
  const route = routes.of('devices/d1/telemetry');
  expect(Buffer.from(route!.key).toString()).toBe('d1');
  expect(routes.of('devices/d1/telemetry')).toBe(route);
  expect(routes.of('devices/d1/status')).toBeNull();
});

it('does not remember long topics that name no device', () => {
  const routes = new DeviceRoutes(6);
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 2_000; i++) routes.of(Buffer.from(`devices/${'x'.repeat(60_000)}${i}/telemetry`).toString('utf8'));
  collectGarbage();
  expect((process.memoryUsage().heapUsed - before) / MEBIBYTE).toBeLessThan(20);
  expect(routes.of('devices/d1/telemetry')).not.toBeNull();
});
