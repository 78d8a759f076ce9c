import { expect, test } from 'vitest';
import { telemetryScope } from '../../src/core/telemetry-filter.ts';

test.each([
  ['devices/+/telemetry', 'telemetry'],
  ['devices/boiler-7/telemetry', 'telemetry'],
  ['$share/ingot/devices/+/telemetry', 'telemetry'],
  ['$queue/devices/+/telemetry', 'telemetry'],
  ['#', 'wider'],
  ['devices/#', 'wider'],
  ['devices/+/#', 'wider'],
  ['devices/+/telemetry/#', 'wider'],
  ['$share/ingot/#', 'wider'],
  ['+/+/telemetry', 'wider'],
  ['+/boiler-7/telemetry', 'wider'],
  ['devices/+/+', 'wider'],
  ['sensors/+/telemetry', 'never'],
  ['devices/+/telemetry/raw', 'never'],
  ['devices/+/+/+/#', 'never'],
  ['devices/telemetry', 'never'],
  ['devices/a b/telemetry', 'never'],
  ['/devices/+/telemetry', 'never'],
  ['Devices/+/telemetry', 'never'],
  ['$share/ingot', 'never'],
  ['$SYS/#', 'never'],
  ['devices/#/telemetry', 'malformed'],
  ['devices/+x/telemetry', 'malformed'],
  ['devices/x#', 'malformed'],
  ['$share/a+b/devices/+/telemetry', 'malformed'],
])('%s: %s', (filter, scope) => {
  expect(telemetryScope(filter)).toBe(scope);
});
