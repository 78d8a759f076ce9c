// One way to bring messages from MQTT to Kafka, as the benchmark sees it.

export interface Surroundings {
  readonly mqttUrl: string;
  /** Of the session that holds the backlog. */
  readonly clientId: string;
  readonly topicFilter: string;
  readonly kafkaBrokers: readonly string[];
  readonly registryUrl: string;
  /** Topics and subjects begin with it. */
  readonly prefix: string;
  readonly partitions: number;
}

export interface Contender {
  /** Connects everything and begins to drain the session. */
  start(surroundings: Surroundings): Promise<void>;
  stop(): Promise<void>;
}

/** What a contender's process says at the end. */
export interface Usage {
  /** User and system time since the first records were seen in Kafka. */
  readonly cpuMs: number;
  readonly maxRssMegabytes: number;
}
