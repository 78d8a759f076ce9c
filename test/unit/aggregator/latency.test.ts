import { expect, test, vi } from 'vitest';
import { aggregatorLedger } from '../../../src/ops/aggregator-events.ts';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import type { RecordStep } from '../../support/oracle/fold-steps.ts';
import { partitionOfKey } from '../../support/oracle/murmur2.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

test('the latency is that of readings that come from devices, not of those that lay among the dead letters', () =>
  playScene({}, async (world, clock) => {
    const deviceId = Array.from({ length: 100 }, (_, index) => `d${index}`).find((id) => partitionOfKey(id, world.partitions) === 0)!;
    const record = (second: number, headers: Record<string, string>): RecordStep => {
      const appendTime = START_MS + 1_000 * second;
      return { kind: 'record', offset: 0, appendTime, key: deviceId, reading: plainReading({ deviceId, eventTime: appendTime }), headers };
    };
    world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    world.append([record(0, { 'first-append-time': String(START_MS - 3_600_000), 'replay-identity': '7' })], 1);
    await clock.advance(1_000);
    expect(aggregatorLedger()).toMatchObject({ consumed: 1, latencyMs: null });
    world.append([record(1, {})], 1);
    await clock.advance(1_000);
    expect(aggregatorLedger().latencyMs).not.toBeNull();
  }));
