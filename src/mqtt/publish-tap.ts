import type { Duplex, Writable } from 'node:stream';
import { isPublish, MalformedPacketError, PublishReader } from '../core/mqtt-publish.ts';
import type { CutPayload } from '../core/payload-excerpt.ts';
import { LargePublish } from './large-publish.ts';

// The way of the bytes of one connection: PUBLISHes go to us, everything else to the MQTT client. The client makes half a dozen objects
// and calls of every packet and waits for a tick of the event loop between them; a bridge gets nothing but PUBLISHes, a hundred thousand a
// second (docs/decisions/0017-publishes-pass-the-mqtt-client-by.md).

export interface PublishTapOptions {
  /** MQTT 5. */
  readonly hasProperties: boolean;
  /**
   * One PUBLISH: `publish` says where it stands in `bytes`, until the call returns. False when there is no room: it is offered again after
   * `resume`, and nothing is read from the socket meanwhile.
   */
  readonly onPublish: (bytes: Buffer, publish: PublishReader) => boolean;
  /** A payload that is longer is cut while it comes in; without this nothing is. */
  readonly payloadBytesMax?: number | undefined;
  /** The broker breaks the protocol; the connection is being closed. */
  readonly onMalformed: (error: Error) => void;
}

/** What the client does not take at once is a few packets; a broker that sends more of them than this is none. */
const MAX_UNREAD_CONTROL_BYTES = 1_048_576;

/** Stands between the stream of a connection and the client that reads from it. */
export class PublishTap {
  readonly #stream: Duplex;
  readonly #options: PublishTapOptions;
  readonly #reader: PublishReader;
  #client: Writable | null = null;
  #readAtMs = 0;
  /** Chunks that were received and are not walked over yet; more than one only while a packet is incomplete. */
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  #neededBytes = 0;
  #isHeld = false;
  /** Which is too long to be collected, and is still coming in or waits for room. */
  #large: LargePublish | null = null;

  /** To be made before the client begins to read, which it does by `stream.pipe` (test/contract/mqtt-client-fake.test.ts). */
  constructor(stream: Duplex, options: PublishTapOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#reader = new PublishReader(options);
    const pipe = <T extends NodeJS.WritableStream>(client: T): T => {
      this.#client = client as unknown as Writable;
      stream.on('data', (chunk: Buffer) => this.#take(chunk));
      return client;
    };
    Object.assign(stream, { pipe });
  }

  /** When the PUBLISH that is being offered was read from the socket, or would have been had there been room; epoch ms. */
  get readAtMs(): number {
    return this.#readAtMs;
  }

  /** Of the PUBLISH that is being offered: set when only the beginning of its payload is there. */
  get cutPayload(): CutPayload | null {
    return this.#large === null ? null : this.#large.cut;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Goes on with the PUBLISH that there was no room for. */
  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#walk();
    if (!this.#isHeld) this.#stream.resume();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    if (this.#isHeld || this.#chunkBytes < this.#neededBytes) return;
    this.#walk();
  }

  #walk(): void {
    let bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#chunkBytes);
    this.#readAtMs = Date.now();
    let at = 0;
    try {
      if (this.#large !== null) bytes = this.#walkLarge(this.#large, bytes);
      if (this.#large === null) at = this.#walkPackets(bytes);
    } catch (error) {
      if (!(error instanceof MalformedPacketError)) throw error;
      this.#stream.destroy();
      this.#options.onMalformed(error);
      return;
    }
    const rest = bytes.length - at;
    this.#chunks = rest === 0 ? [] : [at === 0 ? bytes : bytes.subarray(at)];
    this.#chunkBytes = rest;
    this.#neededBytes = this.#isHeld || this.#large !== null ? 0 : this.#reader.neededBytes;
  }

  /** Returns what stands behind it, or nothing while it is not whole. */
  #walkLarge(large: LargePublish, bytes: Buffer): Buffer {
    // One that waits for room is whole already.
    const rest = large.isComplete ? bytes : bytes.subarray(large.take(bytes));
    if (!large.isComplete) return rest;
    const packet = large.packet();
    this.#reader.read(packet, 0);
    if (this.#options.onPublish(packet, this.#reader)) this.#large = null;
    else this.#hold();
    return rest;
  }

  #hold(): void {
    this.#isHeld = true;
    this.#stream.pause();
  }

  /** What is incomplete is collected, unless it is too long for that. Returns where what is collected begins. */
  #collectFrom(bytes: Buffer, at: number): number {
    const { payloadBytesMax = Number.POSITIVE_INFINITY, hasProperties } = this.#options;
    const packetBytes = this.#reader.neededBytes;
    if (!isPublish(bytes[at]!)) {
      if (packetBytes > MAX_UNREAD_CONTROL_BYTES) throw new MalformedPacketError(`${packetBytes} bytes that are no PUBLISH`);
      return at;
    }
    if (packetBytes <= payloadBytesMax) return at;
    this.#large = new LargePublish({ packetBytes, hasProperties, payloadBytesMax });
    return at + this.#large.take(bytes.subarray(at));
  }

  /** Returns where the first packet begins that has to wait. */
  #walkPackets(bytes: Buffer): number {
    const reader = this.#reader;
    let at = 0;
    for (;;) {
      const kind = reader.read(bytes, at);
      if (kind === 'incomplete') return this.#collectFrom(bytes, at);
      if (kind === 'other') this.#handOver(bytes.subarray(at, reader.end));
      else if (!this.#options.onPublish(bytes, reader)) {
        this.#hold();
        return at;
      }
      at = reader.end;
    }
  }

  /** Before anything behind it is looked at: a PUBLISH may follow CONNACK in the same chunk. */
  #handOver(packet: Buffer): void {
    this.#client!.write(packet);
    if (this.#client!.writableLength > MAX_UNREAD_CONTROL_BYTES) this.#stream.destroy();
  }
}
