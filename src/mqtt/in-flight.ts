import type { Duplex } from 'node:stream';
import { PubackQueue } from '../core/puback-queue.ts';
import type { Delivery } from './delivery-port.ts';

/** As much of a PUBLISH packet as is needed here. */
export interface PublishPacket {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly messageId?: number | undefined;
}

export interface InFlightLimits {
  readonly maxMessages: number;
  /** Bytes of payload. */
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
    return this.#messages >= this.#limits.maxMessages || this.#bytes >= this.#limits.maxBytes;
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
  take(packet: PublishPacket, receivedAt: number): Delivery {
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const ticket = packet.qos === 0 ? NO_TICKET : this.#queue.push(packet.messageId!);
    this.#messages++;
    this.#bytes += payload.length;
    return new MqttDelivery(this, packet, { payload, receivedAt, ticket });
  }

  /** Called by a delivery, once. */
  acknowledge(ticket: number, payloadBytes: number): void {
    this.#messages--;
    this.#bytes -= payloadBytes;
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

class MqttDelivery implements Delivery {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1;
  readonly retain: boolean;
  readonly receivedAt: number;
  readonly #inFlight: InFlight;
  readonly #ticket: number;
  #isAcknowledged = false;

  constructor(inFlight: InFlight, packet: PublishPacket, taken: { payload: Buffer; receivedAt: number; ticket: number }) {
    this.topic = packet.topic;
    this.payload = taken.payload;
    this.qos = packet.qos === 0 ? 0 : 1;
    this.retain = packet.retain;
    this.receivedAt = taken.receivedAt;
    this.#inFlight = inFlight;
    this.#ticket = taken.ticket;
  }

  ack(): void {
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = true;
    this.#inFlight.acknowledge(this.#ticket, this.payload.length);
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
