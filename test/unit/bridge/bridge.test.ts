import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { Bridge, type BridgeOptions } from '../../../src/bridge/bridge.ts';
import { DeviceLimits } from '../../../src/bridge/device-limits.ts';
import { partitionForKey } from '../../../src/core/murmur2.ts';
import type { Reading } from '../../../src/core/reading.ts';
import { IngotError } from '../../../src/errors.ts';
import { BridgeEvents, isBalanced } from '../../../src/ops/bridge-events.ts';
import { configureLog } from '../../../src/ops/log.ts';
import { FakeDeliverySource } from '../../support/fake-delivery-source.ts';
import { HeldLane } from '../../support/held-lane.ts';
import { waitUntil } from '../../support/wait-until.ts';

configureLog({ level: 'silent', format: 'json' });

const PARTITIONS = 4;
const TOO_LONG = 1_000;

/** JSON in one buffer that is used again, as the Avro encoder does: a view that was kept too long shows. */
function jsonEncoder(): { encode(reading: Reading): Uint8Array } {
  const buffer = Buffer.alloc(4096);
  return { encode: (reading) => buffer.subarray(0, buffer.fill(0).write(JSON.stringify(reading))) };
}

interface Rig {
  readonly bridge: Bridge;
  readonly source: FakeDeliverySource;
  readonly lane: HeldLane;
  readonly events: BridgeEvents;
  readonly failures: unknown[];
}

const rigs: Rig[] = [];
afterEach(async () => {
  for (const { bridge, lane } of rigs.splice(0)) {
    lane.letGo();
    await bridge.stop(100);
  }
});

async function rig(options: Partial<BridgeOptions> = {}): Promise<Rig> {
  const [source, lane, events] = [new FakeDeliverySource(), new HeldLane(), new BridgeEvents()];
  const bridge = new Bridge({
    source,
    lane,
    encoder: jsonEncoder(),
    readingsTopic: 'readings',
    deadLettersTopic: 'mqtt.dlq',
    partitions: PARTITIONS,
    batch: { records: 10, bytes: 1_000_000, lingerMs: 1 },
    maxPayloadBytes: TOO_LONG,
    events,
    ...options,
  });
  const failures: unknown[] = [];
  await bridge.start((error) => failures.push(error));
  const made = { bridge, source, lane, events, failures };
  rigs.push(made);
  return made;
}

const message = (seq: number) => `{"ts":1795252383511,"seq":${seq},"temperature":20.5}`;
const sequences = (lane: HeldLane) => lane.records.map((record) => (JSON.parse(record.value.toString()) as Reading).sequence);

describe('acknowledgement', () => {
  it('comes after the log has the record, never before', async () => {
    const { source, lane, events } = await rig();
    lane.isHeld = true;
    source.deliver(message(1));
    source.deliver('no JSON');
    await waitUntil(() => lane.isSending, 'the send');
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.acknowledged).toBe(0);
    expect(events.ledger()).toMatchObject({ received: 2, produced: 0, deadLettered: 0, inFlight: 2 });
    lane.letGo();
    await waitUntil(() => source.acknowledged === 2, 'the acknowledgements');
    expect(events.ledger()).toEqual({ received: 2, produced: 1, deadLettered: 1, ignored: 0, shed: 0, inFlight: 0, unprotected: 0 });
  });

  it('does not come when the lane fails for good: the bridge ends and takes nothing more', async () => {
    const { bridge, source, lane, failures, events } = await rig();
    lane.isHeld = true;
    source.deliver(message(1));
    await waitUntil(() => lane.isSending, 'the send');
    lane.fail(new IngotError('LANE_CLOSED', 'closed'));
    await waitUntil(() => failures.length === 1, 'the failure');
    expect(source.isHeld).toBe(true);
    expect(await bridge.stop(100)).toBe(false);
    expect(source.acknowledged).toBe(0);
    expect(isBalanced(events.ledger())).toBe(true);
  });
});

describe('batches', () => {
  it('go out one at a time and in order; what comes meanwhile waits in full batches', async () => {
    const { source, lane } = await rig();
    lane.isHeld = true;
    for (let seq = 1; seq <= 35; seq++) source.deliver(message(seq));
    await waitUntil(() => lane.isSending, 'the first send');
    expect(lane.sends).toBe(1);
    lane.letGo();
    await waitUntil(() => source.acknowledged === 35, 'all acknowledgements');
    expect(lane.batchSizes).toEqual([10, 10, 10, 5]);
    expect(sequences(lane)).toEqual(Array.from({ length: 35 }, (_, i) => i + 1));
  });

  it('go out when they hold enough bytes', async () => {
    const { source, lane } = await rig({ batch: { records: 1_000, bytes: 2_000, lingerMs: 10_000 } });
    for (let seq = 1; seq <= 10; seq++) source.deliver(message(seq));
    await waitUntil(() => lane.sends === 1, 'a send');
    expect(lane.batchSizes[0]).toBeLessThan(10);
  });

  it('have a partition per device, its id as key, and the time of arrival', async () => {
    const { source, lane } = await rig();
    for (const device of ['d1', 'd2', 'd3', 'pump-7'])
      source.deliver(message(1), { topic: `devices/${device}/telemetry`, receivedAt: 1_795_252_384_000 });
    await waitUntil(() => lane.records.length === 4, 'the records');
    for (const record of lane.records) {
      expect(record).toMatchObject({ topic: 'readings', timestampMs: 1_795_252_384_000, headers: {} });
      expect(record.partition).toBe(partitionForKey(Buffer.from(record.key!), PARTITIONS));
      expect((JSON.parse(record.value.toString()) as Reading).deviceId).toBe(record.key);
    }
  });

  it('do not linger when the source says that nothing more comes for now', async () => {
    const { source, lane } = await rig({ batch: { records: 1_000, bytes: 1_000_000, lingerMs: 60_000 } });
    source.rest();
    source.deliver(message(1));
    source.deliver(message(2));
    source.rest();
    await waitUntil(() => source.acknowledged === 2, 'the acknowledgements');
    expect(sequences(lane)).toEqual([1, 2]);
  });
});

describe('limits on devices', () => {
  it('acknowledge what is too fast, and count it as shed', async () => {
    const { source, lane, events } = await rig({ limits: new DeviceLimits({ rateMax: 1, burst: 3, devicesMax: 0 }) });
    for (let seq = 1; seq <= 10; seq++) source.deliver(message(seq));
    source.deliver(message(11), { topic: 'devices/d2/telemetry' });
    await waitUntil(() => source.acknowledged === 11, 'the acknowledgements');
    expect(sequences(lane)).toEqual([1, 2, 3, 11]);
    expect(events.ledger()).toEqual({ received: 11, produced: 4, deadLettered: 0, ignored: 0, shed: 7, inFlight: 0, unprotected: 0 });
    expect(isBalanced(events.ledger())).toBe(true);
  });

  it('make dead letters of the readings of one device too many', async () => {
    const { source, lane, events } = await rig({ limits: new DeviceLimits({ rateMax: 0, burst: 1, devicesMax: 1 }) });
    source.deliver(message(1));
    source.deliver(message(2), { topic: 'devices/d2/telemetry' });
    source.deliver(message(3));
    await waitUntil(() => source.acknowledged === 3, 'the acknowledgements');
    const letters = lane.records.filter((record) => record.topic === 'mqtt.dlq');
    expect(letters).toMatchObject([{ key: 'd2', value: Buffer.from(message(2)), headers: { 'failure-reason': 'device_limit' } }]);
    expect(events.ledger()).toEqual({ received: 3, produced: 2, deadLettered: 1, ignored: 0, shed: 0, inFlight: 0, unprotected: 0 });
  });
});

describe('dead letters', () => {
  it('are the original bytes with the cause in headers', async () => {
    const { source, lane } = await rig();
    source.deliver(Buffer.from([0x7b, 0xff, 0x7d]), { receivedAt: 1_795_252_384_000 });
    await waitUntil(() => source.acknowledged === 1, 'the acknowledgement');
    expect(lane.records).toEqual([
      {
        topic: 'mqtt.dlq',
        partition: partitionForKey(Buffer.from('d1'), PARTITIONS),
        key: 'd1',
        value: Buffer.from([0x7b, 0xff, 0x7d]),
        timestampMs: 1_795_252_384_000,
        headers: {
          'original-topic': 'devices/d1/telemetry',
          'failure-reason': 'invalid_utf8',
          'failure-stage': 'bridge',
          'failure-detail': 'the payload is not UTF-8',
          timestamp: '1795252384000',
          attempt: '1',
        },
      },
    ]);
  });

  it('have no key when the topic names no device', async () => {
    const { source, lane } = await rig();
    source.deliver('{}', { topic: 'devices/a/b/telemetry' });
    await waitUntil(() => source.acknowledged === 1, 'the acknowledgement');
    expect(lane.records[0]).toMatchObject({ key: null, partition: partitionForKey(Buffer.from('devices/a/b/telemetry'), PARTITIONS) });
  });

  it('keep the first 4 KiB and a hash of what is too large', async () => {
    const { source, lane } = await rig();
    const payload = Buffer.alloc(10_000, 'x');
    source.deliver(payload);
    await waitUntil(() => source.acknowledged === 1, 'the acknowledgement');
    expect(lane.records[0]!.value).toEqual(payload.subarray(0, 4096));
    expect(lane.records[0]!.headers).toMatchObject({
      'failure-reason': 'payload_too_large',
      'payload-bytes': '10000',
      'payload-sha256': createHash('sha256').update(payload).digest('hex'),
    });
  });

  it.each([
    ['decoded', {}],
    ['transcoded', { transcoder: { transcode: () => Buffer.from('{}'), ignoredFields: 0 } }],
  ])('are made of what is one byte longer than allowed, and not of what is as long (%s)', async (_way, options) => {
    const { source, lane } = await rig(options);
    source.deliver(message(1).padEnd(TOO_LONG));
    source.deliver(message(2).padEnd(TOO_LONG + 1));
    await waitUntil(() => source.acknowledged === 2, 'both acknowledgements');
    expect(lane.records.map(({ topic }) => topic).sort()).toEqual(['mqtt.dlq', 'readings']);
  });

  it('do not stop the stream: what comes behind them goes on', async () => {
    const { source, lane } = await rig();
    for (let seq = 1; seq <= 30; seq++) source.deliver(seq % 3 === 0 ? '{' : message(seq));
    await waitUntil(() => source.acknowledged === 30, 'all acknowledgements');
    expect(lane.records.filter((record) => record.topic === 'mqtt.dlq').length).toBe(10);
  });
});

describe('a record that Kafka finds too large', () => {
  it('is found among others, which are all produced once and in order, and becomes a dead letter', async () => {
    const large = `{"ts":1795252383511,"seq":50,"metrics":{${Array.from({ length: 50 }, (_, i) => `"${'m'.repeat(80)}${i}":${i}`).join(',')}}}`;
    const { source, lane, events } = await rig({
      batch: { records: 100, bytes: 1_000_000, lingerMs: 1 },
      maxPayloadBytes: 65_536,
      encoder: growingEncoder(),
    });
    lane.maxBytesOfTopic.set('readings', 4_000);
    for (let seq = 1; seq <= 100; seq++) source.deliver(seq === 50 ? large : message(seq), { topic: `devices/d${seq % 5}/telemetry` });
    await waitUntil(() => source.acknowledged === 100, 'all acknowledgements');
    const readings = lane.records.filter((record) => record.topic === 'readings');
    for (const device of ['d0', 'd1', 'd2', 'd3', 'd4']) {
      const seen = readings
        .filter((record) => record.key === device)
        .map((record) => (JSON.parse(record.value.toString()) as Reading).sequence!);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      expect(seen.length).toBe(device === 'd0' ? 19 : 20);
    }
    const letters = lane.records.filter((record) => record.topic === 'mqtt.dlq');
    expect(letters).toMatchObject([{ key: 'd0', value: Buffer.from(large), headers: { 'failure-reason': 'record_too_large' } }]);
    expect(events.ledger()).toMatchObject({ received: 100, produced: 99, deadLettered: 1, inFlight: 0 });
  });

  it('does not make readings of other partitions count twice, which nobody could know again', async () => {
    const large = `{"metrics":{${Array.from({ length: 50 }, (_, i) => `"${'m'.repeat(80)}${i}":${i}`).join(',')}}}`;
    const batch = { records: 21, bytes: 1_000_000, lingerMs: 60_000 };
    const { source, lane } = await rig({ batch, maxPayloadBytes: 65_536, encoder: growingEncoder() });
    lane.maxBytesOfTopic.set('readings', 4_000);
    const devices = Array.from({ length: 20 }, (_, index) => `d${index}`);
    for (const device of devices) source.deliver('{"temperature":20}', { topic: `devices/${device}/telemetry` });
    source.deliver(large, { topic: 'devices/d0/telemetry' });
    await waitUntil(() => source.acknowledged === 21, 'all acknowledgements');
    const keys = lane.records.filter(({ topic }) => topic === 'readings').map(({ key }) => key);
    expect(keys.sort()).toEqual(devices.sort());
  });

  it('becomes an excerpt when even its dead letter is too large', async () => {
    const { source, lane, events } = await rig({ maxPayloadBytes: 65_536, encoder: growingEncoder() });
    lane.maxBytesOfTopic.set('mqtt.dlq', 5_000);
    source.deliver(`{"note":"${'x'.repeat(20_000)}"}`);
    await waitUntil(() => source.acknowledged === 1, 'the acknowledgement');
    expect(lane.records[0]!.value.length).toBe(4096);
    expect(lane.records[0]!.headers).toMatchObject({ 'failure-reason': 'no_metrics', 'payload-bytes': '20011' });
    expect(events.ledger().deadLettered).toBe(1);
  });

  it('is withheld when no dead letter can be written, also at the end', async () => {
    const { bridge, source, lane, events } = await rig();
    lane.maxBytesOfTopic.set('mqtt.dlq', 10);
    source.deliver('no JSON');
    await waitUntil(() => lane.sends >= 2, 'the attempts');
    expect(await bridge.stop(50)).toBe(false);
    expect(source.acknowledged).toBe(0);
    expect(source.isClosed).toBe(true);
    expect(events.ledger()).toMatchObject({ received: 1, deadLettered: 0, inFlight: 1 });
  });
});

describe('what is not taken', () => {
  it('is a retained message: acknowledged, counted, not produced', async () => {
    const { source, lane, events } = await rig();
    expect(source.deliver(message(1), { retain: true }).isAcknowledged).toBe(true);
    expect(events.ledger()).toMatchObject({ received: 1, ignored: 1, inFlight: 0 });
    expect(lane.sends).toBe(0);
  });
});

describe('stopping', () => {
  it('produces and acknowledges what was taken, at once', async () => {
    const { bridge, source, lane } = await rig({ batch: { records: 1_000, bytes: 1_000_000, lingerMs: 60_000 } });
    for (let seq = 1; seq <= 5; seq++) source.deliver(message(seq));
    expect(await bridge.stop(1_000)).toBe(true);
    expect(source.isHeld && source.isClosed).toBe(true);
    expect([source.acknowledged, lane.records.length]).toEqual([5, 5]);
  });

  it('ends at the deadline when Kafka does not answer; nothing is acknowledged', async () => {
    const { bridge, source, lane } = await rig();
    lane.isHeld = true;
    source.deliver(message(1));
    await waitUntil(() => lane.isSending, 'the send');
    expect(await bridge.stop(50)).toBe(false);
    expect([source.acknowledged, source.isClosed]).toEqual([0, true]);
  });
});

it('counts QoS 0 as unprotected and fields that are left out', async () => {
  const { source, events } = await rig();
  source.deliver('{"temperature":1,"note":"x","more":[1]}', { qos: 0 });
  await waitUntil(() => source.acknowledged === 1, 'the acknowledgement');
  expect([events.ledger().unprotected, events.ignoredFields]).toEqual([1, 2]);
});

function growingEncoder(): { encode(reading: Reading): Uint8Array } {
  return { encode: (reading) => Buffer.from(JSON.stringify(reading)) };
}
