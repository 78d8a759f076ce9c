import type { CutPayload } from '../core/payload-excerpt.ts';
import type { TraceContext } from '../core/trace-context.ts';

// What the bridge asks of its source. A *delivery* is a message that the MQTT broker has sent and that is not acknowledged yet.

export interface Delivery {
  readonly topic: string;
  /** A view that is made when it is asked for. */
  readonly payload: Buffer;
  /** The payload without a view of its own: bytes[payloadStart, payloadEnd). */
  readonly bytes: Buffer;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** 0: the broker has forgotten it already, nothing protects it. */
  readonly qos: 0 | 1;
  /** True only for a retained message that was sent because we subscribed, not for a live one. */
  readonly retain: boolean;
  /** Epoch ms. */
  readonly receivedAt: number;
  /** Set when the payload was too long to be collected: then only its beginning is there. */
  readonly cutPayload: CutPayload | null;
  /** From the user properties of an MQTT 5 message; null when there is none, or none that is sound. Read when it is asked for. */
  readonly traceContext: TraceContext | null;
  /**
   * To be called once, when the log holds the record or the dead letter. The PUBACK goes out when those of all earlier deliveries
   * can, all that are ready in one write. After the connection was lost this only frees the place: the broker will send the message again.
   */
  ack(): void;
}

export interface DeliverySource {
  /**
   * Connects and subscribes; resolves when the broker has granted the subscriptions. `onDelivery` is called synchronously per message,
   * in the order of arrival; `onRest` when nothing more will be delivered for some milliseconds. Rejects with IngotError
   * `MQTT_UNREACHABLE`, `MQTT_REFUSED` or `MQTT_SUBSCRIPTION_REFUSED`.
   */
  start(onDelivery: (delivery: Delivery) => void, onRest?: () => void): Promise<void>;
  /** Takes no further delivery. What was taken can still be acknowledged. */
  hold(): void;
  /** Sends the PUBACKs that are ready and DISCONNECT, and reads until the broker closes. Never rejects, never hangs. */
  close(deadlineMs: number): Promise<void>;
}
