import { SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import { Kafka, logLevel } from 'kafkajs';

// What one would write in an hour with the two libraries, batched: decode, window in a Map, produce what closed. No state, no transactions, no duplicates,
// nothing survives a crash. Kept as the yardstick.

const [brokers, registryUrl, prefix] = [
  process.env['KAFKA_BROKERS']!,
  process.env['SCHEMA_REGISTRY_URL']!,
  process.env['KAFKA_TOPIC_PREFIX']!,
];
const WINDOW_MS = 60_000;
const GRACE_MS = 10_000;

interface Row {
  count: number;
  min: number;
  max: number;
  sum: number;
}
const registry = new SchemaRegistry({ host: registryUrl });
const kafka = new Kafka({ clientId: 'naive', brokers: brokers.split(','), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: `${prefix}naive-batch-${process.pid}` });
const producer = kafka.producer();
const windows = new Map<string, Row>();
const newest = new Map<string, number>();
const firing = new Set<string>();
let consumed = 0;

function close(deviceId: string, before: number, out: { key: string; value: string }[]): void {
  for (const metric of ['temperature', 'humidity', 'battery']) {
    const key = `${deviceId} ${metric} ${before}`;
    const row = windows.get(key);
    if (row === undefined) continue;
    out.push({ key: deviceId, value: JSON.stringify({ deviceId, metric, windowStart: before, ...row }) });
    windows.delete(key);
  }
}

await consumer.connect();
await producer.connect();
await consumer.subscribe({ topic: `${prefix}readings`, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: 4,
  eachBatch: async ({ batch, heartbeat }) => {
    const out: { key: string; value: string }[] = [];
    for (const message of batch.messages) {
      const reading = (await registry.decode(message.value!)) as { deviceId: string; eventTime: number } & Record<string, number | null>;
      const { deviceId, eventTime } = reading;
      const start = eventTime - (eventTime % WINDOW_MS);
      for (const metric of ['temperature', 'humidity', 'battery']) {
        const value = reading[metric];
        if (typeof value !== 'number') continue;
        const key = `${deviceId} ${metric} ${start}`;
        const row = windows.get(key);
        if (row === undefined) windows.set(key, { count: 1, min: value, max: value, sum: value });
        else {
          row.count += 1;
          row.sum += value;
          if (value < row.min) row.min = value;
          if (value > row.max) row.max = value;
        }
      }
      const before = newest.get(deviceId) ?? eventTime;
      if (eventTime > before || !newest.has(deviceId)) {
        newest.set(deviceId, eventTime);
        const passed = Math.floor((eventTime - GRACE_MS) / WINDOW_MS) * WINDOW_MS - WINDOW_MS;
        if (passed >= 0 && Math.floor((before - GRACE_MS) / WINDOW_MS) * WINDOW_MS - WINDOW_MS !== passed) close(deviceId, passed, out);
      }
      const temperature = reading['temperature'] ?? 0;
      if (temperature > 100 !== firing.has(deviceId)) {
        if (temperature > 100) firing.add(deviceId);
        else firing.delete(deviceId);
        out.push({ key: deviceId, value: JSON.stringify({ deviceId, eventTime, temperature, firing: temperature > 100 }) });
      }
      consumed += 1;
    }
    if (out.length > 0) await producer.send({ topic: `${prefix}naive-out`, messages: out });
    await heartbeat();
    process.send?.({ consumed });
  },
});
process.send?.('ready');
