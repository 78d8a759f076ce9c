// Alerts to a broker that comes and goes: nothing is published before it is known what fires, nothing is lost by a lost connection, and
// what waits is bounded.

import { afterEach, expect, test } from 'vitest';
import type { Alert } from '../../../src/core/alert-record.ts';
import { RecordsEncoder } from '../../../src/core/record-batch.ts';
import { IngotError } from '../../../src/errors.ts';
import type { FetchLoop } from '../../../src/kafka/log-port.ts';
import { AlertNotices } from '../../../src/notices/alert-notices.ts';
import type { NoticeBroker, NoticeConnection } from '../../../src/notices/notices-ports.ts';
import { metricsRegistry } from '../../../src/ops/metrics.ts';
import type { ValueDecoder } from '../../../src/registry/value-decoder-port.ts';
import { MemoryLog } from '../../support/memory-log.ts';
import { waitUntil } from '../../support/wait-until.ts';

const TOPIC = 'telemetry.alerts';
const AT = { topic: TOPIC, partition: 0 };

class FakeBroker implements NoticeBroker {
  readonly retained = new Map<string, string>();
  readonly published: string[] = [];
  isAway = false;
  /** Acknowledgements that still come before the connection breaks. */
  breaksAfter = Number.POSITIVE_INFINITY;
  connections = 0;
  /** Of the retained messages, so many are looked at in one go. */
  shownMax = Number.POSITIVE_INFINITY;
  #drop: () => void = () => undefined;

  async connect(): Promise<NoticeConnection> {
    if (this.isAway) throw new Error('away');
    this.connections += 1;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    this.#drop = resolve;
    return {
      ended,
      retained: async () => {
        const messages = [...this.retained].slice(0, this.shownMax).map(([topic, payload]) => [topic, Buffer.from(payload)] as const);
        return { messages: new Map(messages), isWhole: messages.length === this.retained.size };
      },
      publish: async (topic, payload, { retain }) => {
        if (this.breaksAfter-- <= 0) {
          this.breaksAfter = Number.POSITIVE_INFINITY;
          resolve();
        }
        await Promise.race([ended.then(() => Promise.reject(new Error('lost'))), Promise.resolve()]);
        this.published.push(`${topic} ${payload === '' ? 'nothing' : (JSON.parse(payload) as Alert).transition}`);
        if (retain && payload === '') this.retained.delete(topic);
        else if (retain) this.retained.set(topic, payload);
      },
      close: async () => resolve(),
    };
  }

  drop(): void {
    this.#drop();
  }

  /** Transition numbers by topic. */
  get shown(): Record<string, number> {
    return Object.fromEntries([...this.retained].map(([topic, payload]) => [topic, (JSON.parse(payload) as Alert).transitionNumber]));
  }
}

const DECODER: ValueDecoder<Alert> = {
  decode: (buffer, start, end) => ({ kind: 'value', value: JSON.parse(buffer.toString('utf8', start, end)) as Alert }),
  load: () => Promise.resolve(),
};

let running: AlertNotices | undefined;
afterEach(async () => await running?.stop(1_000));

/** Damage at an offset of what is there before: each of these alerts is in a batch of its own then. */
type Damage = (log: MemoryLog, loop: FetchLoop) => FetchLoop;

async function begin(broker: FakeBroker, before: readonly Partial<Alert>[] = [], damage: Damage | null = null) {
  const log = new MemoryLog();
  log.createTopic({ name: TOPIC, partitions: 1, replicationFactor: 1, configs: {} });
  const client = log.client();
  const append = (alerts: readonly Partial<Alert>[]): void => {
    const encoder = new RecordsEncoder(1024);
    encoder.reset(0);
    for (const alert of alerts) encoder.add(null, Buffer.from(JSON.stringify(alert)), 0);
    if (alerts.length > 0) log.partition(AT).append({ ...AT, records: encoder.take(), count: encoder.count, baseTimestampMs: 0 }, null);
  };
  if (damage === null) append(before);
  else for (const alert of before) append([alert]);
  const maxBytesPerPartition = damage === null ? 10_000_000 : 1;
  const sound = client.fetchLoop({ name: 'test', maxWaitMs: 20, maxBytesPerPartition, isolation: 'committed' });
  const loop = damage?.(log, sound) ?? sound;
  const admin = client.admin();
  const notices = new AlertNotices({ prefix: 'alerts/', broker, topic: TOPIC, loop, admin, decoder: DECODER, onBroker: () => undefined });
  running = notices;
  await notices.start();
  return { append, notices };
}

const raised = (deviceId: string, transitionNumber = 1): Partial<Alert> => ({
  deviceId,
  ruleId: 'hot',
  state: 'FIRING',
  transition: transitionNumber === 1 ? 'RAISED' : 'ESCALATED',
  transitionNumber,
});
const resolved = (deviceId: string): Partial<Alert> => ({
  ...raised(deviceId),
  state: 'RESOLVED',
  transition: 'RESOLVED',
  transitionNumber: 2,
});

test('what has fired and ended before the start is not told; what fires is', async () => {
  const broker = new FakeBroker();
  broker.retained.set('alerts/d9/hot', JSON.stringify({ ...raised('d9'), record: { partition: 0, offset: 0 } }));
  await begin(broker, [raised('d1'), raised('d2'), resolved('d1'), raised('d2', 2)]);
  await waitUntil(() => broker.published.length === 2, 'the reconciliation', 20_000);
  expect(broker.published).toEqual(['alerts/d9/hot nothing', 'alerts/d2/hot ESCALATED']);
});

test('more retained messages than are looked at in one go are taken away in several', async () => {
  const broker = new FakeBroker();
  broker.shownMax = 3;
  for (let n = 0; n < 8; n++)
    broker.retained.set(`alerts/old${n}/hot`, JSON.stringify({ ...raised(`old${n}`), record: { partition: 0, offset: 0 } }));
  await begin(broker, [raised('d1')]);
  await waitUntil(() => Object.keys(broker.shown).length === 1, 'the last one', 20_000);
  expect(broker.shown).toEqual({ 'alerts/d1/hot': 1 });
});

test('when nothing of what is looked at may be taken away, it is told, and not looked at for ever', async () => {
  const broker = new FakeBroker();
  broker.shownMax = 2;
  // The topic no longer goes back to where they are from.
  for (let n = 0; n < 5; n++)
    broker.retained.set(`alerts/old${n}/hot`, JSON.stringify({ ...raised(`old${n}`), record: { partition: 0, offset: -1 } }));
  const { append } = await begin(broker, [raised('d1')]);
  await waitUntil(() => broker.published.length === 1, 'the one that fires', 20_000);
  append([raised('d2')]);
  await waitUntil(() => broker.published.length === 2, 'the next one', 20_000);
  expect(broker.published).toEqual(['alerts/d1/hot RAISED', 'alerts/d2/hot RAISED']);
});

/** What the loop says of a batch that it cannot unpack. */
const refusing =
  (code: 'CORRUPT_BATCH' | 'COMPRESSED_INPUT', details: Record<string, unknown>): Damage =>
  (_log, loop) => ({
    open: (at, offset) => {
      const cursor = loop.open(at, offset);
      const next = async () => {
        const fetched = await cursor.next();
        if (fetched.fetchOffset === DAMAGED_OFFSET) throw new IngotError(code, 'it cannot be read', { details });
        return fetched;
      };
      return { next, close: () => cursor.close() };
    },
    close: () => loop.close(),
  });
const DAMAGED_OFFSET = 1;

const damaging: Damage = (log, loop) => {
  log.partition(AT).damage(DAMAGED_OFFSET);
  return loop;
};
const damages: [string, Damage][] = [
  ['does not match its checksum', damaging],
  ['cannot be unpacked', refusing('CORRUPT_BATCH', { nextOffset: DAMAGED_OFFSET + 1 })],
  ['unpacks to too much', refusing('COMPRESSED_INPUT', { nextOffset: DAMAGED_OFFSET + 1 })],
  ['claims to go on beyond the end', refusing('CORRUPT_BATCH', { nextOffset: 1_000_000 })],
  ['does not say where it ends', refusing('CORRUPT_BATCH', {})],
];

test.each(damages)(
  'a batch that %s is left out, not what lies behind it, nor a message that it may be about',
  async (_how, damage) => {
    const broker = new FakeBroker();
    const leave = (deviceId: string, offset: number) =>
      broker.retained.set(`alerts/${deviceId}/hot`, JSON.stringify({ ...raised(deviceId), record: { partition: 0, offset } }));
    leave('d2', DAMAGED_OFFSET);
    leave('d4', 3);
    const before = [raised('d1'), raised('d2'), raised('d3'), raised('d4'), resolved('d4')];
    const { append } = await begin(broker, before, damage);
    await waitUntil(() => broker.published.length === 3, 'the reconciliation', 20_000);
    append([raised('d5')]);
    await waitUntil(() => broker.published.length === 4, 'what comes later', 20_000);
    const told = ['alerts/d4/hot nothing', 'alerts/d1/hot RAISED', 'alerts/d3/hot RAISED', 'alerts/d5/hot RAISED'];
    expect(broker.published).toEqual(told);
    expect(broker.shown).toEqual({ 'alerts/d1/hot': 1, 'alerts/d2/hot': 1, 'alerts/d3/hot': 1, 'alerts/d5/hot': 1 });
  },
  30_000,
);

test('then each transition is told in its order, and a stop tells what waits', async () => {
  const broker = new FakeBroker();
  const { append, notices } = await begin(broker);
  await waitUntil(() => broker.connections === 1, 'the connection', 20_000);
  append([raised('d1'), raised('d1', 2), resolved('d1'), raised('d2')]);
  await waitUntil(() => broker.published.length === 5, 'the transitions', 20_000);
  await notices.stop(5_000);
  expect(broker.published).toEqual([
    'alerts/d1/hot RAISED',
    'alerts/d1/hot ESCALATED',
    'alerts/d1/hot RESOLVED',
    'alerts/d1/hot nothing',
    'alerts/d2/hot RAISED',
  ]);
  expect(broker.shown).toEqual({ 'alerts/d2/hot': 1 });
});

test('what was under way when the connection was lost is told again', async () => {
  const broker = new FakeBroker();
  const { append } = await begin(broker);
  await waitUntil(() => broker.connections === 1, 'the connection', 20_000);
  broker.breaksAfter = 2;
  append([raised('d1'), resolved('d1'), raised('d2')]);
  await waitUntil(() => broker.connections === 2 && 'alerts/d2/hot' in broker.shown, 'the second connection', 20_000);
  await waitUntil(() => broker.published.filter((text) => text === 'alerts/d1/hot RESOLVED').length > 0, 'the end of the first', 20_000);
  await waitUntil(() => JSON.stringify(broker.shown) === '{"alerts/d2/hot":1}', 'the right messages', 20_000);
});

test('a broker that lost everything gets it back', async () => {
  const broker = new FakeBroker();
  await begin(broker, [raised('d1')]);
  await waitUntil(() => broker.retained.size === 1, 'the message', 20_000);
  broker.retained.clear();
  broker.drop();
  await waitUntil(() => broker.retained.size === 1, 'the message again', 20_000);
  expect(broker.connections).toBe(2);
});

test('when more waits than may, the newest states are told instead', async () => {
  const broker = new FakeBroker();
  const { append } = await begin(broker);
  await waitUntil(() => broker.connections === 1, 'the connection', 20_000);
  broker.isAway = true;
  broker.drop();
  for (let round = 0; round < 12; round++) append(Array.from({ length: 1_000 }, (_, index) => raised('d1', 1 + round * 1_000 + index)));
  append([raised('d2')]);
  await waitUntil(async () => (await metricsRegistry.metrics()).includes('ingot_alert_notices_firing 2'), 'all of them read', 20_000);
  expect(broker.published).toEqual([]);
  broker.isAway = false;
  await waitUntil(() => broker.shown['alerts/d1/hot'] === 12_000 && broker.shown['alerts/d2/hot'] === 1, 'the newest states', 20_000);
  expect(broker.published.length).toBeLessThan(10_000);
});
