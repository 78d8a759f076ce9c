import type { BridgeRejectReason } from '../../src/core/outcome.ts';

// Messages of every kind that the bridge must refuse, each with the reason that it must give. A `#name#` inside tells which one it is, in
// whatever form it reaches the dead letters.

export interface PoisonMessage {
  readonly reason: BridgeRejectReason;
  readonly topic: string;
  readonly payload: string | Buffer;
}

type MakePoison = (of: { readonly device: string; readonly name: string }) => {
  readonly payload: string | Buffer;
  readonly topic?: string;
};

const ofText =
  (text: string): MakePoison =>
  ({ name }) => ({ payload: text.replace('NAME', `#${name}#`) });
const deep = `${'{"a":'.repeat(12)}"NAME"${'}'.repeat(12)}`;
const bottomless = `${'['.repeat(20_000)}"NAME"`;
const manyKeys = `{"note":"NAME",${Array.from({ length: 80 }, (_, key) => `"k${key}":${key}`).join(',')}}`;

const telemetryOf = (id: string): string => `devices/${id}/telemetry`;
const longIdOf = (device: string): string => device.padEnd(129, 'x');
/** With U+202E, which turns the direction of what a person reads. */
const turnedIdOf = (device: string): string => `${device}\u202e1`;

const KINDS: readonly (readonly [BridgeRejectReason, MakePoison])[] = [
  ['payload_too_large', ({ name }) => ({ payload: `{"note":"#${name}#","filler":"${'x'.repeat(70_000)}"}` })],
  ['invalid_utf8', ({ name }) => ({ payload: Buffer.from(`{"note":"#${name}#\u00ff\u00fe","temperature":1}`, 'latin1') })],
  ['invalid_json', ofText('{"note":"NAME","temperature":21,}')],
  ['invalid_json', ofText('{"note":"NAME","temperature":NaN}')],
  ['invalid_json', ofText('temperature=21 NAME')],
  ['json_too_deep', ofText(deep)],
  ['json_too_deep', ofText(bottomless)],
  ['json_too_many_keys', ofText(manyKeys)],
  ['not_an_object', ofText('["NAME",21]')],
  ['not_an_object', ofText('"NAME"')],
  ['invalid_topic', ({ device, name }) => ({ topic: `devices/${device}/telemetry/more`, payload: `{"note":"#${name}#","temperature":1}` })],
  [
    'invalid_device_id',
    ({ device, name }) => ({ topic: `devices/${device} x/telemetry`, payload: `{"note":"#${name}#","temperature":1}` }),
  ],
  ['invalid_device_id', ({ device, name }) => ({ topic: telemetryOf(longIdOf(device)), payload: `{"note":"#${name}#","temperature":1}` })],
  [
    'invalid_device_id',
    ({ device, name }) => ({ topic: telemetryOf(turnedIdOf(device)), payload: `{"note":"#${name}#","temperature":1}` }),
  ],
  ['device_id_mismatch', ofText('{"note":"NAME","deviceId":"somebody-else","temperature":1}')],
  ['invalid_timestamp', ofText('{"note":"NAME","ts":1795252383,"temperature":1}')],
  ['invalid_timestamp', ofText('{"note":"NAME","ts":-1,"temperature":1}')],
  ['invalid_timestamp', ofText('{"note":"NAME","ts":"2026-11-21T10:00:00Z","temperature":1}')],
  ['invalid_timestamp', ofText('{"note":"NAME","ts":null,"temperature":1}')],
  ['invalid_timestamp', ofText('{"note":"NAME","ts":1795252383511000,"temperature":1}')],
  ['invalid_timestamp', ofText('{"note":"NAME","ts":1795252383511000000,"temperature":1}')],
  ['invalid_sequence', ofText('{"note":"NAME","seq":1.5,"temperature":1}')],
  ['invalid_sequence', ofText('{"note":"NAME","seq":12345678901234567890,"temperature":1}')],
  ['invalid_field', ofText('{"note":"NAME","status":5,"temperature":1}')],
  ['invalid_field', ofText('{"note":"NAME","metrics":[1],"temperature":1}')],
  ['invalid_field', ofText('{"note":"NAME","aggregatable":"yes","temperature":1}')],
  ['invalid_metric', ofText('{"note":"NAME","temperature":"12.5"}')],
  ['invalid_metric', ofText('{"note":"NAME","temperature":"20,5"}')],
  ['invalid_metric', ofText('{"note":"NAME","temperature":null}')],
  ['invalid_metric', ofText('{"note":"NAME","temperature":true}')],
  ['invalid_metric', ofText('{"note":"NAME","temperature":1,"metrics":{"temperature":2}}')],
  ['invalid_metric', ofText('{"note":"NAME","vibration":1e999}')],
  ['invalid_metric', ofText('{"note":"NAME","__proto__":5}')],
  ['metric_out_of_range', ofText('{"note":"NAME","temperature":1e6}')],
  ['metric_out_of_range', ofText('{"note":"NAME","vibration":1e300}')],
  ['no_metrics', ofText('{"note":"NAME"}')],
];

export const POISON_KINDS = KINDS.length;

/** The topics that `poisonMessage` uses for a device. */
export function poisonTopics(device: string): string[] {
  const ids = [device, `${device} x`, longIdOf(device), turnedIdOf(device)];
  return [...ids.map(telemetryOf), `devices/${device}/telemetry/more`];
}

/** The nth message in the round of all kinds. */
export function poisonMessage(nth: number, of: { readonly device: string; readonly name: string }): PoisonMessage {
  const [reason, make] = KINDS[nth % KINDS.length]!;
  const { payload, topic = `devices/${of.device}/telemetry` } = make(of);
  return { reason, topic, payload };
}
