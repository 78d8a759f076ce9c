import { Kafka, logLevel } from 'kafkajs';
import { foldNaively, type NaiveOutput } from './naive-fold.ts';

// What one would write in an hour with the two libraries, batch by batch. Nothing survives a crash. Kept as a yardstick.

const [brokers, prefix] = [process.env['KAFKA_BROKERS']!, process.env['KAFKA_TOPIC_PREFIX']!];
const kafka = new Kafka({ clientId: 'naive', brokers: brokers.split(','), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: `${prefix}naive-batch-${process.pid}` });
const producer = kafka.producer();
let consumed = 0;

await consumer.connect();
await producer.connect();
await consumer.subscribe({ topic: `${prefix}readings`, fromBeginning: true });
await consumer.run({
  partitionsConsumedConcurrently: 4,
  eachBatch: async ({ batch, heartbeat }) => {
    const out: NaiveOutput[] = [];
    for (const message of batch.messages) {
      await foldNaively(message.value!, out);
      consumed += 1;
    }
    if (out.length > 0) await producer.send({ topic: `${prefix}naive-out`, messages: out });
    await heartbeat();
    process.send?.({ consumed });
  },
});
process.send?.('ready');
