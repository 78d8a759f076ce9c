import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKafkaLog } from '../../src/kafka/kafka-log.ts';
import { topicSpecs } from '../../src/kafka/topics.ts';
import { KafkaProxy } from '../support/kafka-proxy.ts';
import { readTopic } from '../support/read-topic.ts';
import { freshName, stack } from '../support/stack.ts';
import { encodedRecords } from '../support/written-records.ts';

// A Kafka that listens on IPv6 only, to be found as `[::1]:port`, and that names itself by an IPv6 address in its answers. The real one is behind
// two proxies: one that changes its answers, and one that listens on ::1 with the same port.

const IPV4 = '127.0.0.1';
/** ::1, in as many characters. */
const IPV6 = '0:0:0::01';

let proxy: KafkaProxy;
let listener: Server;
let connections = 0;
const sockets = new Set<Socket>();

beforeAll(async () => {
  proxy = await KafkaProxy.start({
    broker: stack().kafkaBrokers[0]!,
    onResponse: ({ frame }) => {
      for (let at = frame.indexOf(IPV4); at >= 0; at = frame.indexOf(IPV4, at)) frame.write(IPV6, at);
      return 'pass';
    },
  });
  const port = Number(proxy.address.split(':')[1]);
  listener = createServer((client) => {
    connections += 1;
    const broker = connect(port, IPV4);
    for (const socket of [client, broker]) sockets.add(socket.on('error', () => {}));
    client.pipe(broker).pipe(client);
  });
  listener.listen(port, '::1');
  await once(listener, 'listening');
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  listener.close();
  await proxy.close();
});

it('is reached by its address in brackets, and by the one that it names', async () => {
  const { port } = listener.address() as AddressInfo;
  const log = createKafkaLog({ brokers: [`[::1]:${port}`], clientId: freshName('ipv6') });
  try {
    const prefix = `${freshName('ipv6')}.`;
    await log.admin().createTopics(topicSpecs({ prefix, partitions: 1, replication: 1 }));
    const lane = log.produceLane({ name: 'test', acks: 'all' });
    const records = [{ key: 'd1', value: Buffer.from('one') }];
    for (const record of encodedRecords(`${prefix}readings`, 1, records)) await lane.send([record]);
    expect((await readTopic(log, `${prefix}readings`)).map(({ value }) => value?.toString())).toEqual(['one']);
    // The first one of each part asks who is there, the next ones go where the answer says.
    expect(connections).toBeGreaterThan(3);
  } finally {
    await log.close();
  }
});
