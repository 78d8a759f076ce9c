import { setTimeout as sleep } from 'node:timers/promises';
import { partitionForKey } from '../../src/core/murmur2.ts';
import type { Reading } from '../../src/core/reading.ts';
import { RecordsEncoder } from '../../src/core/record-batch.ts';
import type { LogClient } from '../../src/kafka/log-port.ts';
import type { AvroEncoder } from '../../src/registry/avro-codec.ts';
import { readingOf } from '../aggregator/backlog.ts';

const PACE_MS = 20;

/** Writes readings of now at a steady rate, device after device, until it is stopped. */
export function writeLiveReadings(
  log: LogClient,
  encoder: AvroEncoder<Reading>,
  at: { topic: string; partitions: number; devices: number; ratePerSecond: number },
): { stop(): Promise<void> } {
  const { topic, partitions, devices, ratePerSecond } = at;
  const lane = log.produceLane({ name: 'live', acks: 'all' });
  const encoders = Array.from({ length: partitions }, () => new RecordsEncoder());
  let isStopped = false;
  let written = 0;

  function add(nowMs: number): void {
    const device = written % devices;
    const key = Buffer.from(`device-${device}`);
    const reading = readingOf(written, device, { devices, startMs: nowMs });
    encoders[partitionForKey(key, partitions)]!.add(
      key,
      encoder.encode({ ...reading, identity: 0, eventTime: nowMs, receivedAt: nowMs }),
      nowMs,
    );
    written += 1;
  }

  const writing = (async () => {
    const startedAtMs = performance.now();
    while (!isStopped) {
      const nowMs = Date.now();
      for (const each of encoders) each.reset(nowMs);
      const due = Math.floor(((performance.now() - startedAtMs) * ratePerSecond) / 1000);
      while (written < due) add(nowMs);
      const batches = encoders.map((each, partition) => ({
        topic,
        partition,
        records: each.take(),
        count: each.count,
        baseTimestampMs: nowMs,
      }));
      await lane.send(batches.filter(({ count }) => count > 0));
      await sleep(PACE_MS);
    }
    await lane.close(10_000);
  })();
  writing.catch(() => undefined); // It is awaited at the stop.
  return {
    async stop() {
      isStopped = true;
      await writing;
    },
  };
}
