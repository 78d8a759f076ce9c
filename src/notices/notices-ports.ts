// What the alert notices ask of the outside: a broker that keeps retained messages, and a decoder of alerts.

export interface NoticeBroker {
  /** One try. IngotErrors `MQTT_UNREACHABLE`, `MQTT_REFUSED`. */
  connect(): Promise<NoticeConnection>;
}

/** What a broker keeps, as far as it was looked at: somebody else may have left any number of messages of any length there. */
export interface RetainedMessages {
  /** Payloads by topic. One that is longer than any of ours is empty. */
  readonly messages: ReadonlyMap<string, Buffer>;
  /** False when there were more than are looked at in one go. */
  readonly isWhole: boolean;
}

/** A connection that is not repaired: once lost it is of no use, and everything that waits on it rejects. */
export interface NoticeConnection {
  /** Resolves when the connection has ended, by whomever. */
  readonly ended: Promise<void>;
  /** The retained messages of the filter; those that come within a moment after the last one. */
  retained(filter: string): Promise<RetainedMessages>;
  /** QoS 1; resolves when the broker has acknowledged. An empty payload with `retain` takes the retained message away. */
  publish(topic: string, payload: string, options: { retain: boolean }): Promise<void>;
  close(deadlineMs: number): Promise<void>;
}

/** Where a transition stands in the alerts topic. */
export interface AlertPlace {
  readonly partition: number;
  readonly offset: number;
}
