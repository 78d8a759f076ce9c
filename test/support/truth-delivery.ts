import { payloadOf } from '../../simulators/reading.ts';
import type { TruthReading } from '../../simulators/truth-file.ts';
import type { LogDump } from './topic-dump.ts';

// I9: what the devices sent against what the bridge wrote. mosquitto's PUBACK to a device says that the message is its own
// from then on, so every acknowledged reading must be in `readings` or in `mqtt.dlq`.

export interface Delivery {
  readonly sent: number;
  readonly acked: number;
  /** Records of the devices in `readings`. */
  readonly inKafka: number;
  readonly deadLettered: number;
  /** Records beyond the first of each message. */
  readonly duplicates: number;
  /** Acknowledged, and nowhere to be found. */
  readonly lost: readonly string[];
  /** In `readings`, though nobody has sent that. */
  readonly invented: readonly string[];
}

export function deliveryOf(truth: readonly TruthReading[], dump: LogDump): Delivery {
  const devices = new Set(truth.map(({ device }) => device));
  const sent = new Map(truth.map((reading) => [payloadKey(reading.device, payloadOf(reading)), reading]));
  const inKafka = dump.partitions
    .flatMap(({ readings }) => readings)
    .flatMap(({ reading }) => (reading !== null && devices.has(reading.deviceId) ? [reading] : []))
    .map(({ deviceId, eventTime, sequence, metrics, temperature, humidity, battery, voltage }) => {
      const common = Object.entries({ temperature, humidity, battery, voltage }).filter(([, value]) => value !== null);
      return payloadKey(deviceId, JSON.stringify({ ts: eventTime, seq: sequence, ...Object.fromEntries(common), ...metrics }));
    });
  const deadLettered = dump.partitions
    .flatMap(({ bridgeDeadLetters }) => bridgeDeadLetters)
    .filter(({ key }) => key !== null && devices.has(key))
    .map(({ key, value }) => payloadKey(key!, value.toString('utf8')));
  const written = new Set([...inKafka, ...deadLettered]);
  return {
    sent: truth.length,
    acked: truth.filter(({ acked }) => acked).length,
    inKafka: inKafka.length,
    deadLettered: deadLettered.length,
    duplicates: inKafka.length + deadLettered.length - written.size,
    lost: [...sent].filter(([key, { acked }]) => acked && !written.has(key)).map(([key]) => key),
    invented: inKafka.filter((key) => !sent.has(key)),
  };
}

function payloadKey(device: string, payload: string): string {
  return `${device} ${payload}`;
}
