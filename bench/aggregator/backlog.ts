import { identityOf } from '../../src/core/identity.ts';
import { partitionForKey } from '../../src/core/murmur2.ts';
import type { Reading } from '../../src/core/reading.ts';
import { RecordsEncoder } from '../../src/core/record-batch.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import type { AvroEncoder } from '../../src/registry/avro-codec.ts';

// The backlog that every contender works off: wide readings with three metrics, one second of event time per record and device, 1 % out of order.

export interface BacklogOptions {
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
  readonly devices: number;
  /** Event time of the first reading, epoch ms. */
  readonly startMs: number;
}

const RECORDS_PER_BATCH = 2_000;
const OUT_OF_ORDER_EVERY = 100;
const OUT_OF_ORDER_BY_MS = 3_000;

export async function writeBacklog(log: LogClient, encoder: AvroEncoder<Reading>, options: BacklogOptions): Promise<void> {
  const { topic, partitions, records, devices, startMs } = options;
  const lane = log.produceLane({ name: 'backlog', acks: 'all' });
  const encoders = Array.from({ length: partitions }, () => new RecordsEncoder(1 << 20));
  const keys = Array.from({ length: devices }, (_, device) => Buffer.from(`device-${device}`));
  const routes = keys.map((key) => partitionForKey(key, partitions));
  for (const each of encoders) each.reset(startMs);
  for (let n = 0; n < records; n += 1) {
    const device = n % devices;
    const into = encoders[routes[device]!]!;
    into.add(keys[device]!, encoder.encode(readingOf(n, device, options)), startMs);
    const isLast = n === records - 1;
    if (into.count < RECORDS_PER_BATCH && !isLast) continue;
    const full = encoders.map((each, partition) => ({ each, partition })).filter(({ each }) => (isLast ? each.count > 0 : each === into));
    await lane.send(
      full.map(({ each, partition }) => ({ topic, partition, records: each.take(), count: each.count, baseTimestampMs: startMs })),
    );
    for (const { each } of full) each.reset(startMs);
  }
  await lane.close(10_000);
}

export function readingOf(n: number, device: number, { devices, startMs }: Pick<BacklogOptions, 'devices' | 'startMs'>): Reading {
  const round = Math.floor(n / devices);
  const eventTime = startMs + round * 1_000 - (n % OUT_OF_ORDER_EVERY === 0 ? OUT_OF_ORDER_BY_MS : 0);
  return {
    deviceId: `device-${device}`,
    eventTime,
    receivedAt: eventTime + 20,
    eventTimeSource: 'DEVICE',
    identity: identityOf(`devices/device-${device}/telemetry`, Buffer.from(String(round))),
    sequence: round,
    messageId: null,
    aggregatable: true,
    status: null,
    // A slow wave that crosses the threshold of 100 now and then.
    temperature: 60 + 42 * Math.sin(round / 300 + device),
    humidity: 40 + 10 * Math.cos(round / 200 + device),
    pressure: null,
    battery: 100 - (round % 100),
    voltage: null,
    current: null,
    power: null,
    co2: null,
    illuminance: null,
    metrics: {},
    attributes: {},
  };
}
