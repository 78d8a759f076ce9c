// What the doctor asks of the stages, and what they tell.

/** A finding of the table of topics against the broker. */
export interface TopicDifference {
  readonly topic: string;
  readonly kind: 'missing' | 'wrong' | 'different';
  readonly what: string;
}

/** What an MQTT broker says about itself, as seen by a client that asks for what the bridge asks for. */
export interface BrokerFacts {
  readonly protocolVersion: 4 | 5;
  /** From the first packet to CONNACK, TCP and TLS included. */
  readonly connectMs: number;
  /** From SUBSCRIBE to SUBACK. */
  readonly latencyMs: number;
  /** What the broker grants of the session expiry that was asked for; null in MQTT 3.1.1, which has none. */
  readonly sessionExpirySeconds: number | null;
  readonly askedSessionExpirySeconds: number;
  /** CONNACK of MQTT 5; what the broker did not say is null, and then there is no limit. */
  readonly maximumPacketBytes: number | null;
  readonly receiveMaximum: number | null;
  readonly maximumQos: number | null;
  readonly isWildcardAvailable: boolean;
  readonly isSharedAvailable: boolean;
  readonly isRetainAvailable: boolean;
  /** Per topic filter: the quality of service granted, or why it was refused; null when it was not tried. */
  readonly subscriptions: ReadonlyMap<string, number | string | null>;
  /** Topics below `$SYS/` and their values; empty when the broker has none or does not let us read them. */
  readonly system: ReadonlyMap<string, string>;
}

/** What became of messages for a session whose client was away. */
export interface QueueFacts {
  /** Acknowledged by the broker. */
  readonly published: number;
  /** Delivered when the client was back. */
  readonly kept: number;
  /** Why it could not be tried; null when it was. */
  readonly refusal: string | null;
}

/** How a schema of ours stands to the registry. */
export interface SchemaStanding {
  readonly subject: string;
  readonly file: string;
  readonly isRegistered: boolean;
  /** Whether a role does not start without it. */
  readonly isNeededToStart: boolean;
  /** Why it cannot follow what is there; empty when it can. */
  readonly incompatibility: string;
}
