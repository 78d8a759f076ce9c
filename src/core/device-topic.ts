// Where devices speak: devices/<id>/telemetry. The segment is the identity of the device, because the broker's access list ties
// it to the user; what the payload says about it is only compared.

import { DEVICE_ID_PATTERN } from './reading.ts';

const PREFIX = 'devices/';
const SUFFIX = '/telemetry';

export type DeviceTopic =
  | { readonly ok: true; readonly deviceId: string }
  | { readonly ok: false; readonly reason: 'invalid_topic' | 'invalid_device_id' };

/** The device of a topic, or why there is none. */
export function parseDeviceTopic(topic: string): DeviceTopic {
  if (!topic.startsWith(PREFIX) || !topic.endsWith(SUFFIX) || topic.length < PREFIX.length + SUFFIX.length) {
    return { ok: false, reason: 'invalid_topic' };
  }
  const deviceId = topic.slice(PREFIX.length, topic.length - SUFFIX.length);
  if (deviceId.includes('/')) return { ok: false, reason: 'invalid_topic' };
  return DEVICE_ID_PATTERN.test(deviceId) ? { ok: true, deviceId } : { ok: false, reason: 'invalid_device_id' };
}

/** The topic on which a device publishes its telemetry. */
export function telemetryTopic(deviceId: string): string {
  return PREFIX + deviceId + SUFFIX;
}
