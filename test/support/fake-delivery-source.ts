import type { Delivery, DeliverySource } from '../../src/mqtt/delivery-port.ts';

interface FakeDelivery extends Delivery {
  isAcknowledged: boolean;
}

/** A source whose messages a test hands in, and whose acknowledgements it can look at. */
export class FakeDeliverySource implements DeliverySource {
  readonly deliveries: FakeDelivery[] = [];
  isHeld = false;
  isClosed = false;
  #onDelivery: (delivery: Delivery) => void = () => {};
  #onRest: () => void = () => {};

  async start(onDelivery: (delivery: Delivery) => void, onRest: () => void = () => {}): Promise<void> {
    this.#onDelivery = onDelivery;
    this.#onRest = onRest;
  }

  /** Says that nothing more comes for now. */
  rest(): void {
    this.#onRest();
  }

  hold(): void {
    this.isHeld = true;
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  get acknowledged(): number {
    return this.deliveries.filter((delivery) => delivery.isAcknowledged).length;
  }

  deliver(payload: string | Buffer, more: Partial<Omit<Delivery, 'payload' | 'ack'>> = {}): FakeDelivery {
    const bytes = Buffer.from(payload as string);
    const delivery: FakeDelivery = {
      topic: more.topic ?? 'devices/d1/telemetry',
      payload: bytes,
      bytes,
      payloadStart: 0,
      payloadEnd: bytes.length,
      qos: more.qos ?? 1,
      retain: more.retain ?? false,
      receivedAt: more.receivedAt ?? 1_795_252_383_999,
      cutPayload: more.cutPayload ?? null,
      traceContext: more.traceContext ?? null,
      isAcknowledged: false,
      ack() {
        if (this.isAcknowledged) throw new Error('acknowledged twice');
        this.isAcknowledged = true;
      },
    };
    this.deliveries.push(delivery);
    this.#onDelivery(delivery);
    return delivery;
  }
}
