// PUBLISH as it stands on the wire (MQTT 3.1.1 section 3.3, MQTT 5 section 3.3), found in a buffer without an object or a copy per packet.
// Other packets are only measured: they are few, and the MQTT client knows what to do with them.

/** What stands at a position of a buffer. */
export type PacketKind = 'incomplete' | 'publish' | 'other';

/** Bytes that no MQTT broker may send. The connection has to be closed (MQTT-4.13.1-1). */
export class MalformedPacketError extends Error {
  constructor(what: string) {
    super(`the MQTT broker sent ${what}`);
    this.name = 'MalformedPacketError';
  }
}

const PUBLISH_TYPE = 3;

/** Whether a packet with this first byte is a PUBLISH. */
export function isPublish(firstByte: number): boolean {
  return firstByte >>> 4 === PUBLISH_TYPE;
}

const LENGTH_BYTES_MAX = 4;
const QOS_2_ADVICE = ', which nobody subscribes to here: another client may have left its session under our client id';

/**
 * Reads one packet after the other: after `read` the fields tell where it ends, and of a PUBLISH where its parts stand. QoS 2 counts as
 * malformed, because it is never subscribed to (MQTT-3.8.4-8).
 */
export class PublishReader {
  /** Behind the packet; of a PUBLISH the end of its payload. */
  end = 0;
  /** Of an incomplete packet: so many bytes from its first are needed to tell more. */
  neededBytes = 0;
  qos: 0 | 1 = 0;
  isRetained = false;
  /** 0 at QoS 0. */
  packetId = 0;
  topicStart = 0;
  topicEnd = 0;
  /** The properties of MQTT 5 without their length; empty in 3.1.1. */
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;

  readonly #hasProperties: boolean;
  #value = 0;

  constructor({ hasProperties }: { readonly hasProperties: boolean }) {
    this.#hasProperties = hasProperties;
  }

  /** The packet that begins at `at`. Throws MalformedPacketError. */
  read(bytes: Uint8Array, at: number): PacketKind {
    const available = bytes.length - at;
    if (available < 2) return this.#incomplete(2);
    const bodyStart = this.#readNumber(bytes, at + 1, bytes.length);
    if (bodyStart === -1) return this.#incomplete(available + 1);
    const end = bodyStart + this.#value;
    if (end > bytes.length) return this.#incomplete(end - at);
    this.end = end;
    const first = bytes[at]!;
    if (!isPublish(first)) return 'other';
    this.#readPublish(bytes, first, bodyStart);
    return 'publish';
  }

  #incomplete(neededBytes: number): PacketKind {
    this.neededBytes = neededBytes;
    return 'incomplete';
  }

  #readPublish(bytes: Uint8Array, first: number, bodyStart: number): void {
    const { end } = this;
    const qos = (first >>> 1) & 3;
    if (qos > 1) throw new MalformedPacketError(`a PUBLISH at QoS ${qos}${qos === 2 ? QOS_2_ADVICE : ''}`);
    this.qos = qos === 0 ? 0 : 1;
    this.isRetained = (first & 1) === 1;
    this.topicStart = bodyStart + 2;
    this.topicEnd = this.topicStart + ((bytes[bodyStart]! << 8) | bytes[bodyStart + 1]!);
    let at = this.topicEnd;
    this.packetId = 0;
    if (qos === 1) {
      this.packetId = (bytes[at]! << 8) | bytes[at + 1]!;
      at += 2;
    }
    // Also refuses lengths that were read beyond the packet: whatever they say, they lead beyond its end.
    if (!(bodyStart + 2 <= end && at <= end)) throw new MalformedPacketError('a PUBLISH whose topic does not fit');
    if (qos === 1 && this.packetId === 0) throw new MalformedPacketError('a PUBLISH with the packet id 0');
    this.propertiesStart = at;
    this.propertiesEnd = at;
    if (this.#hasProperties) {
      this.propertiesStart = this.#readNumber(bytes, at, end);
      this.propertiesEnd = this.propertiesStart + this.#value;
      if (this.propertiesStart === -1 || this.propertiesEnd > end) throw new MalformedPacketError('a PUBLISH whose properties do not fit');
    }
    this.payloadStart = this.propertiesEnd;
  }

  /** A variable byte integer (MQTT5 1.5.5) into `#value`; the position behind it, or -1 when it does not end before `end`. */
  #readNumber(bytes: Uint8Array, start: number, end: number): number {
    let value = 0;
    for (let i = 0; i < LENGTH_BYTES_MAX; i++) {
      if (start + i >= end) return -1;
      const byte = bytes[start + i]!;
      value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) {
        this.#value = value;
        return start + i + 1;
      }
    }
    throw new MalformedPacketError('a length of more than four bytes');
  }
}
