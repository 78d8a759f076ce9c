import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import { KAFKA_API, KafkaProxy } from './kafka-proxy.ts';
import { stack } from './stack.ts';

/** The Kafka of the test run behind a proxy that lets each acknowledgement of a produce request wait. It ends with the test. */
export async function slowKafka(latencyMs: number): Promise<KafkaProxy> {
  const proxy = await KafkaProxy.start({ broker: stack().kafkaBrokers[0]! });
  onTestFinished(() => proxy.close());
  proxy.onResponse = ({ apiKey }) => (apiKey === KAFKA_API.produce ? sleep(latencyMs, 'pass' as const) : 'pass');
  return proxy;
}
