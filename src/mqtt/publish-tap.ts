import type { Duplex, Writable } from 'node:stream';
import { MalformedPacketError, PublishReader } from '../core/mqtt-publish.ts';

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
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#chunkBytes);
    this.#readAtMs = Date.now();
    let at = 0;
    try {
      at = this.#walkPackets(bytes);
    } catch (error) {
      if (!(error instanceof MalformedPacketError)) throw error;
      this.#stream.destroy();
      this.#options.onMalformed(error);
      return;
    }
    const rest = bytes.length - at;
    this.#chunks = rest === 0 ? [] : [at === 0 ? bytes : bytes.subarray(at)];
    this.#chunkBytes = rest;
    this.#neededBytes = this.#isHeld ? 0 : this.#reader.neededBytes;
  }

  /** Returns where the first packet begins that has to wait. */
  #walkPackets(bytes: Buffer): number {
    const reader = this.#reader;
    let at = 0;
    for (;;) {
      const kind = reader.read(bytes, at);
      if (kind === 'incomplete') return at;
      if (kind === 'other') this.#handOver(bytes.subarray(at, reader.end));
      else if (!this.#options.onPublish(bytes, reader)) {
        this.#isHeld = true;
        this.#stream.pause();
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
