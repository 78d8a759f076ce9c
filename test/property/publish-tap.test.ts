import { Duplex, Writable } from 'node:stream';
import fc from 'fast-check';
import { generate, type IPublishPacket, type Packet } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { userPropertiesOf } from '../../src/core/user-properties.ts';
import { PublishTap } from '../../src/mqtt/publish-tap.ts';

// The tap against mqtt-packet: whatever packets are on the wire and however the bytes are cut, PUBLISHes come out as they went in, and the
// client gets everything else, in order.

/** A socket whose bytes the test hands in. */
class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
  receive(chunk: Buffer): void {
    this.emit('data', chunk);
  }
}

interface Taken {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly messageId: number;
  readonly userProperties: Record<string, string | readonly string[]>;
}

const asTaken = (packet: IPublishPacket): Taken => ({
  topic: packet.topic,
  payload: packet.payload.toString('hex' as never),
  qos: packet.qos,
  retain: packet.retain,
  messageId: packet.messageId ?? 0,
  userProperties: { ...(packet.properties?.userProperties as Record<string, string>) },
});

const name = fc.stringMatching(/^[a-z]{1,8}$/);
const publishPacket = fc
  .record({
    topic: fc.stringMatching(/^[a-zé/]{1,40}$/u),
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    qos: fc.constantFrom(0 as const, 1 as const),
    retain: fc.boolean(),
    dup: fc.boolean(),
    messageId: fc.integer({ min: 1, max: 65_535 }),
    userProperties: fc.dictionary(name, fc.oneof(fc.string({ maxLength: 200 }), fc.array(fc.string(), { minLength: 2, maxLength: 3 })), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
    contentType: fc.option(name, { nil: undefined }),
    messageExpiryInterval: fc.option(fc.nat(1e9), { nil: undefined }),
    correlationData: fc.option(fc.uint8Array({ maxLength: 9 }), { nil: undefined }),
    subscriptionIdentifier: fc.option(fc.integer({ min: 1, max: 2e6 }), { nil: undefined }),
  })
  .map(({ userProperties, contentType, messageExpiryInterval, correlationData, subscriptionIdentifier, messageId, qos, dup, ...rest }) => {
    const properties = {
      ...(Object.keys(userProperties).length === 0 ? {} : { userProperties }),
      ...(contentType === undefined ? {} : { contentType }),
      ...(messageExpiryInterval === undefined ? {} : { messageExpiryInterval }),
      ...(correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData) }),
      ...(subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }),
    };
    return { cmd: 'publish', qos, dup: qos === 1 && dup, ...rest, ...(qos === 1 ? { messageId } : {}), properties } as IPublishPacket;
  });
const otherPacket: fc.Arbitrary<Packet> = fc.constantFrom<Packet>(
  { cmd: 'pingresp' },
  { cmd: 'suback', messageId: 7, granted: [1] },
  { cmd: 'connack', returnCode: 0, reasonCode: 0, sessionPresent: true },
);

interface Story {
  readonly packets: readonly Packet[];
  readonly cuts: readonly number[];
  /** After how many PUBLISHes there is no room. */
  readonly room: number;
}

function replay({ packets, cuts, room }: Story, protocolVersion: 4 | 5): { taken: Taken[]; control: Buffer; isDestroyed: boolean } {
  const wire = new Wire();
  const taken: Taken[] = [];
  const control: Buffer[] = [];
  let left = room;
  const tap = new PublishTap(wire, {
    hasProperties: protocolVersion === 5,
    onPublish: (bytes, publish) => {
      if (left-- <= 0) return false;
      const properties = userPropertiesOf(bytes.subarray(publish.propertiesStart, publish.propertiesEnd));
      taken.push({
        topic: bytes.toString('utf8', publish.topicStart, publish.topicEnd),
        payload: bytes.toString('hex', publish.payloadStart, publish.end),
        qos: publish.qos,
        retain: publish.isRetained,
        messageId: publish.packetId,
        userProperties: Object.fromEntries([...properties].map(([key, values]) => [key, values.length === 1 ? values[0]! : values])),
      });
      return true;
    },
    onMalformed: () => {},
  });
  wire.pipe(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        control.push(Buffer.from(chunk));
        done();
      },
    }),
  );
  const bytes = Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion })));
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let i = 1; i < edges.length; i++) {
    wire.receive(bytes.subarray(edges[i - 1], edges[i]));
    while (tap.isHeld) {
      left = room;
      tap.resume();
    }
  }
  return { taken, control: Buffer.concat(control), isDestroyed: wire.destroyed };
}

describe.each([4, 5] as const)('MQTT protocol level %i', (protocolVersion) => {
  it('takes the PUBLISHes out, however the bytes are cut and whenever there is no room', () => {
    const story = fc.record({
      packets: fc.array(fc.oneof({ weight: 4, arbitrary: publishPacket }, otherPacket), { maxLength: 30 }),
      cuts: fc.array(fc.nat(), { maxLength: 12 }),
      room: fc.integer({ min: 1, max: 5 }),
    });
    fc.assert(
      fc.property(story, (given) => {
        const { taken, control, isDestroyed } = replay(given, protocolVersion);
        const published = given.packets.filter((packet): packet is IPublishPacket => packet.cmd === 'publish').map(asTaken);
        expect(taken).toEqual(protocolVersion === 5 ? published : published.map((packet) => ({ ...packet, userProperties: {} })));
        const others = given.packets.filter((packet) => packet.cmd !== 'publish');
        expect(control).toEqual(Buffer.concat(others.map((packet) => generate(packet, { protocolVersion }))));
        expect(isDestroyed).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  it('survives any bytes: what it takes lies within them', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 }), (chunks) => {
        const wire = new Wire();
        wire.on('error', () => {});
        new PublishTap(wire, {
          hasProperties: protocolVersion === 5,
          onPublish: (bytes, publish) => {
            const { topicStart, topicEnd, propertiesStart, propertiesEnd, payloadStart, end } = publish;
            const order = [0, topicStart, topicEnd, propertiesStart, propertiesEnd, payloadStart, end, bytes.length];
            expect(order).toEqual([...order].sort((a, b) => a - b));
            userPropertiesOf(bytes.subarray(propertiesStart, propertiesEnd));
            return true;
          },
          onMalformed: () => {},
        });
        wire.pipe(new Writable({ write: (_chunk, _encoding, done) => done() }));
        for (const chunk of chunks) if (!wire.destroyed) wire.receive(Buffer.from(chunk));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('what no broker may send', () => {
  const malformed: readonly [string, readonly number[]][] = [
    ['QoS 2, which was not asked for', [0x34, 5, 0, 1, 0x61, 0, 1]],
    ['QoS 3', [0x36, 5, 0, 1, 0x61, 0, 1]],
    ['packet id 0', [0x32, 5, 0, 1, 0x61, 0, 0]],
    ['a topic beyond the packet', [0x32, 5, 0, 9, 0x61, 0, 1, 0x30, 0]],
    ['at QoS 0 a topic beyond the packet', [0x30, 3, 0, 9, 0x61]],
    ['properties beyond the packet', [0x32, 6, 0, 1, 0x61, 0, 1, 4, 0x30, 0, 0, 0]],
    ['a length of five bytes', [0x30, 0xff, 0xff, 0xff, 0xff, 1]],
    ['an empty PUBLISH', [0x30, 0]],
  ];
  const both = malformed.flatMap(([what, bytes]) => [5, 4].map((level) => [what, level, bytes] as const));
  it.each(both.filter(([what, level]) => level === 5 || !what.startsWith('properties')))(
    'closes the connection: %s, at protocol level %i',
    (_what, level, bytes) => {
      const wire = new Wire();
      const errors: string[] = [];
      new PublishTap(wire, { hasProperties: level === 5, onPublish: () => true, onMalformed: (error) => errors.push(error.message) });
      wire.pipe(new Writable({ write: (_chunk, _encoding, done) => done() }));
      wire.receive(Buffer.from(bytes));
      expect([wire.destroyed, errors.length]).toEqual([true, 1]);
    },
  );
});
