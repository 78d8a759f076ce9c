import type { Duplex } from 'node:stream';
import type { PublishReader } from '../core/mqtt-publish.ts';
import type { CutPayload } from '../core/payload-excerpt.ts';
import { PubackQueue } from '../core/puback-queue.ts';
import { type TraceContext, traceContextIn } from '../core/trace-context.ts';
import type { Delivery } from './delivery-port.ts';

/** A PUBLISH in the bytes that it came in, which are kept for as long as it is in flight. */
export interface PublishPacket {
  readonly bytes: Buffer;
  /** Where it stands in them; only looked at until `take` returns. */
  readonly publish: PublishReader;
  readonly topic: string;
  /** Epoch ms. */
  readonly receivedAt: number;
  readonly cutPayload: CutPayload | null;
}

export interface InFlightLimits {
  readonly maxMessages: number;
  /** Bytes of topic, properties and payload: all that is kept of a message. */
  readonly maxBytes: number;
}

const NO_TICKET = -1;
/** What a broker that sends but does not read may leave in our socket's buffer: 262 144 PUBACKs. */
const MAX_UNREAD_PUBACK_BYTES = 1_048_576;

/**
 * The deliveries that are not acknowledged yet, their limits, and the PUBACKs. A PUBACK is written to the stream that its message
 * came in on, and to no other: packet ids are used again, and on the next connection the same id may belong to another message.
 * (The client's own `_sendPacket` keeps packets while it is disconnected and sends them on the next connection.)
 */
export class InFlight {
  readonly #limits: InFlightLimits;
  readonly #onRoom: () => void;
  readonly #queue: PubackQueue;
  #stream: Duplex | null = null;
  #messages = 0;
  #bytes = 0;
  #isReleaseScheduled = false;

  /** `onRoom` is called whenever deliveries were acknowledged and the limits allow more. */
  constructor(limits: InFlightLimits, onRoom: () => void) {
    this.#limits = limits;
    this.#onRoom = onRoom;
    this.#queue = new PubackQueue(limits.maxMessages);
  }

  get isFull(): boolean {
    const { maxMessages, maxBytes } = this.#limits;
    // What was acknowledged out of order (a retained message, one that was shed) still waits for the PUBACKs before it.
    return this.#messages >= maxMessages || this.#bytes >= maxBytes || this.#queue.size >= maxMessages;
  }

  /** Deliveries taken and not acknowledged, those of earlier connections included. */
  get messages(): number {
    return this.#messages;
  }

  /** From now on PUBLISHes come in on this stream; what came in on an earlier one is forgotten. */
  open(stream: Duplex): void {
    this.#queue.forget();
    this.#stream = stream;
  }

  /** The connection is gone. Its deliveries keep their places until they are acknowledged, but no PUBACK is sent for them. */
  forget(): void {
    this.#queue.forget();
    this.#stream = null;
  }

  /** Must not be called while `isFull`. */
  take(packet: PublishPacket): Delivery {
    const { publish } = packet;
    const ticket = publish.qos === 0 ? NO_TICKET : this.#queue.push(publish.packetId);
    this.#messages++;
    this.#bytes += heldBytesOf(publish);
    return new MqttDelivery(this, packet, ticket);
  }

  /** Called by a delivery, once. */
  acknowledge(ticket: number, bytes: number): void {
    this.#messages--;
    this.#bytes -= bytes;
    if (ticket !== NO_TICKET) this.#queue.complete(ticket);
    if (this.#isReleaseScheduled) return;
    // A batch acknowledges its deliveries one after the other; the microtask runs after the last of them, so they share one write.
    this.#isReleaseScheduled = true;
    queueMicrotask(() => this.release());
  }

  /** Writes the PUBACKs that may go, in one write. */
  release(): void {
    this.#isReleaseScheduled = false;
    const packetIds = this.#queue.release();
    const stream = this.#stream;
    if (packetIds.length > 0 && stream?.writable) {
      stream.write(encodePubacks(packetIds));
      if (stream.writableLength > MAX_UNREAD_PUBACK_BYTES) stream.destroy();
    }
    if (!this.isFull) this.#onRoom();
  }
}

function heldBytesOf({ topicStart, topicEnd, propertiesStart, end }: PublishReader): number {
  return topicEnd - topicStart + (end - propertiesStart);
}

class MqttDelivery implements Delivery {
  readonly topic: string;
  readonly bytes: Buffer;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  readonly receivedAt: number;
  readonly cutPayload: CutPayload | null;
  readonly #inFlight: InFlight;
  readonly #ticket: number;
  readonly #heldBytes: number;
  readonly #propertiesStart: number;
  readonly #propertiesEnd: number;
  #isAcknowledged = false;

  constructor(inFlight: InFlight, packet: PublishPacket, ticket: number) {
    const { publish } = packet;
    this.topic = packet.topic;
    this.bytes = packet.bytes;
    this.payloadStart = publish.payloadStart;
    this.payloadEnd = publish.end;
    this.qos = publish.qos;
    this.retain = publish.isRetained;
    this.receivedAt = packet.receivedAt;
    this.cutPayload = packet.cutPayload;
    this.#inFlight = inFlight;
    this.#ticket = ticket;
    this.#heldBytes = heldBytesOf(publish);
    this.#propertiesStart = publish.propertiesStart;
    this.#propertiesEnd = publish.propertiesEnd;
  }

  get payload(): Buffer {
    return this.bytes.subarray(this.payloadStart, this.payloadEnd);
  }

  get traceContext(): TraceContext | null {
    if (this.#propertiesStart === this.#propertiesEnd) return null;
    return traceContextIn(this.bytes.subarray(this.#propertiesStart, this.#propertiesEnd));
  }

  ack(): void {
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = true;
    this.#inFlight.acknowledge(this.#ticket, this.#heldBytes);
  }
}

const PUBACK_BYTES = 4;
const PUBACK_TYPE = 0x40;

/** PUBACK with reason 0x00 Success, which MQTT 5 lets go without saying (MQTT5 3.4.2.1): the same four bytes in 3.1.1. */
export function encodePubacks(packetIds: readonly number[]): Buffer {
  const packets = Buffer.allocUnsafe(packetIds.length * PUBACK_BYTES);
  let position = 0;
  for (const packetId of packetIds) {
    packets[position] = PUBACK_TYPE;
    packets[position + 1] = 2;
    packets[position + 2] = packetId >>> 8;
    packets[position + 3] = packetId & 0xff;
    position += PUBACK_BYTES;
  }
  return packets;
}
