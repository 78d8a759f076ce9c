import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { generate } from 'mqtt-packet';

// What every contender has to drain: messages at QoS 1, published while its session is away. Written to the socket without a client, so that
// the benchmark does not spend most of its time here.

const UNACKNOWLEDGED_MAX = 10_000;
const CHUNK = 200;
const PUBACK_BYTES = 4;
const PACKET_IDS = 60_000;

/** About 130 bytes, as the native dialect has them. */
function payload(seq: number): string {
  const temperature = (20 + (seq % 100) / 10).toFixed(2);
  return `{"ts":${1_795_252_383_511 + seq},"seq":${seq},"temperature":${temperature},"humidity":44.${seq % 10},"battery":87.5,"status":"ok","rssi":-${60 + (seq % 30)},"note":"bench"}`;
}

/** Resolves when the broker has acknowledged everything. The seq of a message is unique. */
export async function publishBacklog(url: string, { messages, devices }: { messages: number; devices: number }): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.write(generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId: `bench-${process.pid}` }));
  const [connack] = (await once(socket, 'data')) as [Buffer];
  if (connack[0] !== 0x20 || connack[3] !== 0) throw new Error('the MQTT broker refuses the publisher');
  let acknowledgedBytes = 0;
  let wake = (): void => {};
  socket.on('data', (chunk: Buffer) => {
    acknowledgedBytes += chunk.length;
    wake();
  });
  for (let sent = 0; sent < messages; ) {
    const upTo = Math.min(messages, sent + CHUNK);
    const packets: Buffer[] = [];
    for (; sent < upTo; sent++) packets.push(publishPacket(sent, devices));
    socket.write(Buffer.concat(packets));
    while (sent - acknowledgedBytes / PUBACK_BYTES > (sent < messages ? UNACKNOWLEDGED_MAX : 0))
      await answered(socket, (on) => (wake = on));
  }
  socket.end(generate({ cmd: 'disconnect' }));
  await once(socket, 'close');
}

function publishPacket(seq: number, devices: number): Buffer {
  return generate({
    cmd: 'publish',
    topic: `devices/d${seq % devices}/telemetry`,
    payload: payload(seq),
    qos: 1,
    messageId: 1 + (seq % PACKET_IDS),
    dup: false,
    retain: false,
  });
}

function answered(socket: Socket, onWake: (wake: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new Error('the MQTT broker closed the connection of the publisher'));
    socket.once('close', onClose);
    onWake(() => {
      socket.off('close', onClose);
      resolve();
    });
  });
}
