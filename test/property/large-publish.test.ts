import { createHash } from 'node:crypto';
import { Duplex, Writable } from 'node:stream';
import fc from 'fast-check';
import { generate, type IPublishPacket } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { MalformedPacketError, PublishReader } from '../../src/core/mqtt-publish.ts';
import { EXCERPT_BYTES } from '../../src/core/payload-excerpt.ts';
import { userPropertiesOf } from '../../src/core/user-properties.ts';
import { LargePublish } from '../../src/mqtt/large-publish.ts';
import { PublishTap } from '../../src/mqtt/publish-tap.ts';

// A PUBLISH that is too long to be collected comes out with its head, the beginning of its payload and the hash of the whole, however its bytes
// are cut; what stands before and behind it comes out as always.

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const payloadOf = (length: number) => Buffer.from(Uint8Array.from({ length }, (_, n) => (n * 31 + (n >>> 8)) & 0xff));

interface Large {
  readonly topic: string;
  readonly payloadBytes: number;
  readonly userPropertyBytes: number;
  readonly qos: 0 | 1;
  readonly messageId: number;
}

function packetOf({ topic, payloadBytes, userPropertyBytes, qos, messageId }: Large): IPublishPacket {
  // A property is at most 65 535 bytes, so that what is longer is many.
  const values = Array.from({ length: Math.ceil(userPropertyBytes / 1_000) }, () => 'v'.repeat(1_000));
  const properties = values.length === 0 ? {} : { userProperties: { key: values } };
  const id = qos === 1 ? { messageId } : {};
  return { cmd: 'publish', topic, payload: payloadOf(payloadBytes), qos, dup: false, retain: false, ...id, properties };
}

const large = fc.record({
  topic: fc.stringMatching(/^[a-z/]{1,300}$/),
  payloadBytes: fc.oneof(fc.nat(200), fc.integer({ min: EXCERPT_BYTES - 2, max: 40_000 })),
  userPropertyBytes: fc.constantFrom(0, 3_000, 60_000, 70_000, 140_000),
  qos: fc.constantFrom(0 as const, 1 as const),
  messageId: fc.integer({ min: 1, max: 65_535 }),
});
const LIMIT = 10_000;

describe.each([4, 5] as const)('MQTT protocol level %i', (protocolVersion) => {
  it('keeps the head, the beginning and the hash, however the bytes are cut', () => {
    const story = fc.record({ of: large, cuts: fc.array(fc.nat(), { maxLength: 8 }), headCuts: fc.array(fc.nat(320), { maxLength: 6 }) });
    fc.assert(
      fc.property(story, ({ of, cuts, headCuts }) => {
        const packet = packetOf(of);
        const bytes = generate(packet, { protocolVersion });
        const publish = new LargePublish({ packetBytes: bytes.length, hasProperties: protocolVersion === 5, payloadBytesMax: LIMIT });
        const edges = [...new Set([...cuts, ...headCuts].map((cut) => cut % bytes.length))].sort((a, b) => a - b);
        // The first bytes are there: they said how long the packet is.
        for (const [start, end] of pairs([0, ...edges.filter((edge) => edge > 5), bytes.length])) publish.take(bytes.subarray(start, end));
        expect(publish.isComplete).toBe(true);
        const reader = new PublishReader({ hasProperties: protocolVersion === 5 });
        const kept = publish.packet();
        expect(reader.read(kept, 0)).toBe('publish');
        expect(reader.end).toBe(kept.length);
        expect(kept.toString('utf8', reader.topicStart, reader.topicEnd)).toBe(of.topic);
        expect([reader.qos, reader.packetId]).toEqual([of.qos, of.qos === 1 ? of.messageId : 0]);
        const payload = packet.payload as Buffer;
        const isCut = payload.length > LIMIT;
        expect(kept.subarray(reader.payloadStart).equals(isCut ? payload.subarray(0, EXCERPT_BYTES) : payload)).toBe(true);
        expect(publish.cut).toEqual(isCut ? { payloadBytes: payload.length, sha256: sha256(payload) } : null);
        const properties = userPropertiesOf(kept.subarray(reader.propertiesStart, reader.propertiesEnd));
        const isKept = protocolVersion === 5 && of.userPropertyBytes > 0 && of.userPropertyBytes < 65_000;
        expect(properties.get('key')?.length ?? 0).toBe(isKept ? of.userPropertyBytes / 1_000 : 0);
      }),
      { numRuns: 50 },
    );
  });

  it('comes between others, waits for room, and nothing of it stays', () => {
    const small = (messageId: number) => packetOf({ topic: 'a', payloadBytes: 5, userPropertyBytes: 0, qos: 1, messageId });
    const payloadBytes = 3_000_000;
    const packets = [small(1), packetOf({ topic: 'b', payloadBytes, userPropertyBytes: 0, qos: 1, messageId: 2 }), small(3)];
    const bytes = Buffer.concat(packets.map((packet) => generate(packet, { protocolVersion })));
    const wire = new Wire();
    const taken: [number, number, number][] = [];
    let refusals = 0;
    const tap: PublishTap = new PublishTap(wire, {
      hasProperties: protocolVersion === 5,
      payloadBytesMax: 65_536,
      onPublish: (at, publish) => {
        // Each is offered twice.
        if (refusals++ % 2 === 0) return false;
        taken.push([publish.packetId, publish.end - publish.payloadStart, tap.cutPayload?.payloadBytes ?? 0]);
        expect(at.length).toBeLessThan(200_000);
        return true;
      },
      onMalformed: (error) => expect(error).toBeNull(),
    });
    wire.pipe(new Writable({ write: (_chunk, _encoding, done) => done() }));
    for (let start = 0; start < bytes.length; start += 65_536) {
      wire.receive(bytes.subarray(start, start + 65_536));
      while (tap.isHeld) tap.resume();
    }
    expect(taken).toEqual([
      [1, 5, 0],
      [2, EXCERPT_BYTES, payloadBytes],
      [3, 5, 0],
    ]);
  });
});

it('a topic or properties that lead beyond the packet are malformed', () => {
  const take = (bytes: readonly number[], packetBytes: number) =>
    new LargePublish({ packetBytes, hasProperties: true, payloadBytesMax: 16 }).take(Buffer.from(bytes));
  // 300 000 bytes follow, says the header; 65 535 of topic would fit, but not in 1 000.
  expect(() => take([0x32, 0xe0, 0xa7, 0x12, 0xff, 0xff], 1_000)).toThrow(MalformedPacketError);
  expect(() => take([0x32, 0xe0, 0xa7, 0x12, 0, 1, 0x61, 0, 1, 0xff, 0xff, 0xff, 0x7f], 300_004)).toThrow(MalformedPacketError);
});

it('a long packet that is no PUBLISH closes the connection before it is collected', () => {
  const wire = new Wire();
  const errors: string[] = [];
  new PublishTap(wire, {
    hasProperties: true,
    payloadBytesMax: 65_536,
    onPublish: () => true,
    onMalformed: ({ message }) => errors.push(message),
  });
  wire.pipe(new Writable({ write: (_chunk, _encoding, done) => done() }));
  wire.receive(Buffer.from([0x90, 0xff, 0xff, 0xff, 0x7f, 0]));
  expect([wire.destroyed, errors]).toEqual([true, ['the MQTT broker sent 268435460 bytes that are no PUBLISH']]);
});

function pairs(edges: readonly number[]): [number, number][] {
  return edges.slice(1).map((end, n) => [edges[n]!, end]);
}

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
