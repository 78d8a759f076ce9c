import { expect, it } from 'vitest';
import { parseDeviceTopic, telemetryTopic } from '../../src/core/device-topic.ts';

it('reads back what it wrote', () => {
  for (const deviceId of ['a', 'telemetry', 'devices', 'x.y:z_-1', '0'.repeat(128)]) {
    expect(parseDeviceTopic(telemetryTopic(deviceId))).toEqual({ ok: true, deviceId });
  }
});

it('takes a prefix and a suffix that overlap for no device', () => {
  expect(parseDeviceTopic('devices/telemetry')).toEqual({ ok: false, reason: 'invalid_topic' });
});
