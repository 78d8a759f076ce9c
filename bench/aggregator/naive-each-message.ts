import { Kafka, logLevel } from 'kafkajs';
import { foldNaively, type NaiveOutput } from './naive-fold.ts';

// What one would write in an hour with the two libraries, message by message, as the first example in the README has it. Nothing survives a crash. Kept as a yardstick.

const [brokers, prefix] = [process.env['KAFKA_BROKERS']!, process.env['KAFKA_TOPIC_PREFIX']!];
const kafka = new Kafka({ clientId: 'naive', brokers: brokers.split(','), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: `${prefix}naive-message-${process.pid}` });
const producer = kafka.producer();
let consumed = 0;

await consumer.connect();
await producer.connect();
await consumer.subscribe({ topic: `${prefix}readings`, fromBeginning: true });
const REPORT_INTERVAL_MS = 20;
setInterval(() => process.send?.({ consumed }), REPORT_INTERVAL_MS).unref();
await consumer.run({
  partitionsConsumedConcurrently: 4,
  eachMessage: async ({ message }) => {
    const out: NaiveOutput[] = [];
    await foldNaively(message.value!, out);
    if (out.length > 0) await producer.send({ topic: `${prefix}naive-out`, messages: out });
    consumed += 1;
  },
});
process.send?.('ready');
