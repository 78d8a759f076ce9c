import { createHash } from 'node:crypto';
import { MalformedPacketError } from '../core/mqtt-publish.ts';
import { type CutPayload, EXCERPT_BYTES } from '../core/payload-excerpt.ts';

// A PUBLISH may have 256 MiB. One that is too long to be a reading is not collected: its beginning is kept, the rest goes into a hash and is
// let go. So it costs no memory, and is a dead letter like any other. (MQTT 5 knows a Maximum Packet Size, which is not announced: a broker
// drops what is longer without a word, MQTT-3.1.2-25, and nobody would learn of it.)

/** More properties than this are left out: only a trace is ever taken of them. */
const PROPERTIES_BYTES_MAX = 65_536;

export interface LargePublishOptions {
  /** Of the whole packet, its header included. */
  readonly packetBytes: number;
  /** MQTT 5. */
  readonly hasProperties: boolean;
  /** Longer payloads are cut. */
  readonly payloadBytesMax: number;
}

/** One packet, from its first byte on. */
export class LargePublish {
  readonly #options: LargePublishOptions;
  #leftBytes: number;
  #head: Buffer | null = null;
  /** What has come while the head is not whole. */
  #collected: Buffer = Buffer.alloc(0);
  #kept: Buffer[] = [];
  #keepsProperties = false;
  #propertiesBytes = 0;
  #propertiesLeft = 0;
  #payloadBytes = 0;
  #payloadKeepLeft = 0;
  #hash: ReturnType<typeof createHash> | null = null;
  #cut: CutPayload | null = null;

  constructor(options: LargePublishOptions) {
    this.#options = options;
    this.#leftBytes = options.packetBytes;
  }

  get isComplete(): boolean {
    return this.#leftBytes === 0;
  }

  /** Takes what belongs to this packet; returns how many bytes that were. Throws MalformedPacketError. */
  take(chunk: Buffer): number {
    const mine = chunk.subarray(0, this.#leftBytes);
    this.#leftBytes -= mine.length;
    if (this.#head === null) this.#takeHead(mine);
    else this.#takeBody(mine);
    if (this.isComplete) this.#finish();
    return mine.length;
  }

  /** What is known of the payload when it was cut; null when it is whole. To be asked when the packet is complete. */
  get cut(): CutPayload | null {
    return this.#cut;
  }

  /** A packet with the same head and what was kept of the rest. To be asked when it is complete. */
  packet(): Buffer {
    const head = this.#head!;
    const lengthEnd = endOfNumber(head, 1, head.length);
    const propertiesLength = this.#options.hasProperties ? encodeNumber(this.#keepsProperties ? this.#propertiesBytes : 0) : [];
    const body = Buffer.concat([head.subarray(lengthEnd), Buffer.from(propertiesLength), ...this.#kept]);
    return Buffer.concat([head.subarray(0, 1), Buffer.from(encodeNumber(body.length)), body]);
  }

  #takeHead(bytes: Buffer): void {
    this.#collected = this.#collected.length === 0 ? bytes : Buffer.concat([this.#collected, bytes]);
    const headEnd = this.#readHead(this.#collected);
    if (headEnd === null) return;
    const rest = this.#collected.subarray(headEnd);
    this.#collected = Buffer.alloc(0);
    this.#takeBody(rest);
  }

  /** Where properties or payload begin; null when the head is not whole yet. */
  #readHead(bytes: Buffer): number | null {
    const { packetBytes, hasProperties, payloadBytesMax } = this.#options;
    const bodyStart = endOfNumber(bytes, 1, bytes.length);
    if (bytes.length < bodyStart + 2) return null;
    const isQos1 = ((bytes[0]! >>> 1) & 3) !== 0;
    const fixedEnd = bodyStart + 2 + bytes.readUInt16BE(bodyStart) + (isQos1 ? 2 : 0);
    if (fixedEnd > packetBytes) throw new MalformedPacketError('a PUBLISH whose topic does not fit');
    if (bytes.length < fixedEnd) return null;
    let headEnd = fixedEnd;
    if (hasProperties) {
      headEnd = endOfNumber(bytes, fixedEnd, bytes.length);
      if (headEnd === -1) return null;
      this.#propertiesBytes = decodeNumber(bytes, fixedEnd);
    }
    this.#payloadBytes = packetBytes - headEnd - this.#propertiesBytes;
    if (this.#payloadBytes < 0) throw new MalformedPacketError('a PUBLISH whose properties do not fit');
    this.#keepsProperties = this.#propertiesBytes <= PROPERTIES_BYTES_MAX;
    this.#propertiesLeft = this.#propertiesBytes;
    const isCut = this.#payloadBytes > Math.max(payloadBytesMax, EXCERPT_BYTES);
    this.#payloadKeepLeft = isCut ? EXCERPT_BYTES : this.#payloadBytes;
    if (isCut) this.#hash = createHash('sha256');
    // A copy: nothing of the chunk is to stay in memory.
    this.#head = Buffer.from(bytes.subarray(0, fixedEnd));
    return headEnd;
  }

  #takeBody(bytes: Buffer): void {
    const ofProperties = bytes.subarray(0, this.#propertiesLeft);
    this.#propertiesLeft -= ofProperties.length;
    if (this.#keepsProperties && ofProperties.length > 0) this.#kept.push(Buffer.from(ofProperties));
    const ofPayload = bytes.subarray(ofProperties.length);
    this.#hash?.update(ofPayload);
    const keep = ofPayload.subarray(0, this.#payloadKeepLeft);
    this.#payloadKeepLeft -= keep.length;
    if (keep.length > 0) this.#kept.push(Buffer.from(keep));
  }

  #finish(): void {
    if (this.#head === null) throw new MalformedPacketError('a PUBLISH without an end to its head');
    if (this.#hash !== null) this.#cut = { payloadBytes: this.#payloadBytes, sha256: this.#hash.digest('hex') };
  }
}

/** Behind a variable byte integer (MQTT5 1.5.5); -1 when it does not end before `end`. */
function endOfNumber(bytes: Buffer, start: number, end: number): number {
  for (let at = start; at < Math.min(end, start + 4); at++) if (bytes[at]! < 0x80) return at + 1;
  if (end >= start + 4) throw new MalformedPacketError('a length of more than four bytes');
  return -1;
}

function decodeNumber(bytes: Buffer, start: number): number {
  let value = 0;
  for (let at = start, shift = 0; ; at++, shift += 7) {
    value |= (bytes[at]! & 0x7f) << shift;
    if (bytes[at]! < 0x80) return value;
  }
}

function encodeNumber(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}
