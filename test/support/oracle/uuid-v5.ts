// Name-based UUIDs (RFC 9562, section 5.5) with node:crypto, and the two that an alert carries.

import { createHash } from 'node:crypto';

const ALERT_NAMESPACE = '6f1d3c52-8a0e-5b7c-9f44-2d1e6c0a7b38';

/** The UUIDv5 of a name in a namespace, in lower case with hyphens. */
export function uuidV5(namespace: string, name: string): string {
  const digest = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name, 'utf8')
    .digest();
  digest[6] = (digest[6]! & 0x0f) | 0x50;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString('hex', 0, 16);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

export function alertIdOf(of: { ruleId: string; deviceId: string; metric: string; partition: number; offset: number }): string {
  return uuidV5(ALERT_NAMESPACE, [of.ruleId, of.deviceId, of.metric, of.partition, of.offset].join('\n'));
}

export function fingerprintOf(of: { ruleId: string; deviceId: string; metric: string }): string {
  return uuidV5(ALERT_NAMESPACE, [of.ruleId, of.deviceId, of.metric].join('\n'));
}
