// One catalogue of errors. docs/errors.md is generated from it and checked for freshness.

interface ErrorKind {
  /** Whether the same call can succeed later without anybody changing anything. */
  readonly canRetry: boolean;
  /** What it means and the next thing to try, one sentence each. */
  readonly meaning: string;
  /** The exit code of the CLI when this error ends it. */
  readonly exitCode: 1 | 2 | 3 | 4;
}

export const ERROR_KINDS = {
  // kafka
  LANE_CLOSED: {
    canRetry: false,
    exitCode: 1,
    meaning: 'The producer was closed while a call was in flight. The call may be repeated on a new lane.',
  },
  LANE_BUSY: { canRetry: false, exitCode: 1, meaning: 'A second call was made while one was in flight: a bug in the caller.' },
  RECORD_TOO_LARGE: {
    canRetry: false,
    exitCode: 1,
    meaning: 'A record is larger than the topic accepts (max.message.bytes). It goes to the dead letters.',
  },
  CURSOR_CLOSED: { canRetry: false, exitCode: 1, meaning: 'The partition was given up while a fetch was in flight.' },
  OFFSET_OUT_OF_RANGE: {
    canRetry: false,
    exitCode: 1,
    meaning: 'The log no longer holds the offset asked for, and still did not after 30 s of retries.',
  },
  TOPIC_MISSING: { canRetry: false, exitCode: 2, meaning: "A topic does not exist. Create it with 'ingot topics create'." },
  TOPIC_MISCONFIGURED: {
    canRetry: false,
    exitCode: 2,
    meaning: "A topic's settings or partition count are not what Ingot needs. See 'ingot topics describe'.",
  },
  KAFKA_UNREACHABLE: { canRetry: true, exitCode: 3, meaning: 'No Kafka broker answered. Check KAFKA_BROKERS.' },
  KAFKA_REFUSED: {
    canRetry: false,
    exitCode: 3,
    meaning:
      'Kafka refused the login or a request, or its certificate is not trusted. Check KAFKA_SASL_*, KAFKA_SSL_* and what this user may do.',
  },
  CORRUPT_BATCH: {
    canRetry: false,
    exitCode: 1,
    meaning: 'A record batch does not match its checksum or its own lengths, or cannot be unpacked.',
  },
  COMPRESSED_INPUT: {
    canRetry: false,
    exitCode: 1,
    meaning: 'A record batch is compressed and unpacks to more than is read of one batch, 64 MiB. Produce smaller batches.',
  },
  // cli and configuration
  RECORD_GONE: {
    canRetry: false,
    exitCode: 1,
    meaning: "There is no record at this offset: retention deleted it, or it was never there. See 'ingot dlq list'.",
  },
  USAGE: { canRetry: false, exitCode: 2, meaning: "The command line was not understood. See 'ingot COMMAND --help'." },
  CONFIG_INVALID: {
    canRetry: false,
    exitCode: 2,
    meaning: "A setting has a value that is not allowed; nothing was started. See 'ingot config check' and docs/configuration.md.",
  },
  PORT_IN_USE: {
    canRetry: false,
    exitCode: 2,
    meaning: 'Another process listens on the HTTP address. Stop it, or choose another with HTTP_PORT (0 takes a free one).',
  },
  INSTANCE_LOCKED: {
    canRetry: false,
    exitCode: 2,
    meaning: 'Another process of the same role uses this data folder. Stop it, or give this one another DATA_FOLDER or INSTANCE_ID.',
  },
  // aggregator
  STATE_UNREADABLE: {
    canRetry: false,
    exitCode: 1,
    meaning: 'A record of the state topic is damaged or from another version of Ingot. Run the version that wrote it.',
  },
  STATE_LOST: {
    canRetry: false,
    exitCode: 1,
    meaning:
      "The state of a partition is gone while its outputs or offsets are there. Going on would count readings twice: see 'ingot rebuild-state'.",
  },
  PARTITION_TAKEN_OVER: {
    canRetry: true,
    exitCode: 1,
    meaning: 'Another aggregator took the partition while this one was beginning with it. This one goes on with what the group gives it.',
  },
  STATE_OF_OTHER_GROUP: {
    canRetry: false,
    exitCode: 2,
    meaning: 'The state topic belongs to another consumer group. Use its KAFKA_GROUP_ID, or another KAFKA_TOPIC_PREFIX.',
  },
  PARTITIONS_CHANGED: {
    canRetry: false,
    exitCode: 2,
    meaning:
      'The partition count of the readings topic is not what it was, so devices have moved. Use new topics (another KAFKA_TOPIC_PREFIX).',
  },
  AGGREGATOR_RUNNING: {
    canRetry: false,
    exitCode: 2,
    meaning: "A state cannot be rebuilt while it is being used. Stop every 'ingot aggregate' of this group.",
  },
  LOG_REPLACED: {
    canRetry: false,
    exitCode: 1,
    meaning: 'The readings log is not the one that the state was made from: it was deleted and created anew. Use a new KAFKA_TOPIC_PREFIX.',
  },
  LOG_TRUNCATED: {
    canRetry: false,
    exitCode: 1,
    meaning: 'Readings were deleted by retention before they were folded. --accept-loss goes on after the gap and notes it in the journal.',
  },
  RESTORE_TIMEOUT: {
    canRetry: true,
    exitCode: 1,
    meaning: 'The state of a partition could not be read to its end in time; it is tried again.',
  },
  APPEND_TIME_AHEAD: {
    canRetry: false,
    exitCode: 1,
    meaning: "A reading's append time is more than an hour ahead of this machine's clock. Correct the broker's or this machine's clock.",
  },
  ILLEGAL_TRANSITION: {
    canRetry: false,
    exitCode: 1,
    meaning: 'A partition task was asked for a step that its state does not allow: a bug.',
  },
  // bridge
  MQTT_UNREACHABLE: { canRetry: true, exitCode: 3, meaning: 'No MQTT broker answered. Check MQTT_URL.' },
  MQTT_REFUSED: {
    canRetry: false,
    exitCode: 3,
    meaning:
      'The MQTT broker refused the connection, or its certificate is not trusted. Check MQTT_USERNAME, MQTT_PASSWORD, MQTT_TLS_* and MQTT_CLIENT_ID.',
  },
  MQTT_SUBSCRIPTION_REFUSED: {
    canRetry: false,
    exitCode: 2,
    meaning: "The MQTT broker refused a subscription. Check MQTT_TOPICS and the broker's access list.",
  },
  // registry
  REGISTRY_UNREACHABLE: {
    canRetry: true,
    exitCode: 3,
    meaning: 'The Schema Registry did not answer, or not as a registry does. Check SCHEMA_REGISTRY_URL, its path included.',
  },
  REGISTRY_REFUSED: {
    canRetry: false,
    exitCode: 3,
    meaning:
      'The Schema Registry refused a request, or its certificate is not trusted. Check SCHEMA_REGISTRY_AUTH, SCHEMA_REGISTRY_CA_FILE and what this user may do.',
  },
  SCHEMA_INCOMPATIBLE: {
    canRetry: false,
    exitCode: 4,
    meaning: 'A schema of this version cannot follow what the registry holds, so nothing is produced. The message names the fields.',
  },
  SCHEMA_NOT_REGISTERED: {
    canRetry: false,
    exitCode: 4,
    meaning:
      "A schema is not in the registry and may not be added on the fly. Run 'ingot schemas register', or set SCHEMA_AUTO_REGISTER=true.",
  },
  SCHEMA_UNKNOWN: {
    canRetry: true,
    exitCode: 3,
    meaning:
      'The registry has no schema with the id in front of a record. It is asked again for SCHEMA_UNKNOWN_PATIENCE, as it may be starting; then the record is undecodable.',
  },
  // kafka, continued
  TRANSACTION_IN_DOUBT: {
    canRetry: true,
    exitCode: 1,
    meaning:
      'A transaction call failed, so its outcome is unknown. A new transaction lane fences, and what was committed is read from the log.',
  },
  MEMBERSHIP_UNCONFIRMED: {
    canRetry: true,
    exitCode: 1,
    meaning: 'The consumer group did not confirm our membership in time. Nothing is lost: the partition waits.',
  },
  MEMBERSHIP_ENDED: {
    canRetry: false,
    exitCode: 1,
    meaning: 'The consumer group refused this member for good, for example for want of rights. See the cause in the message.',
  },
  OFFSETS_NOT_COMMITTED: {
    canRetry: true,
    exitCode: 1,
    meaning: "The group's offsets could not be committed just now. They are for lag tools only; the position is in the state topic.",
  },
  TOPIC_NOT_CREATED: {
    canRetry: false,
    exitCode: 1,
    meaning: 'Kafka refused to create a topic. The message has its reason; look at KAFKA_REPLICATION and the rights of this user.',
  },
  // replay
  REPLAY_FENCED: {
    canRetry: false,
    exitCode: 1,
    meaning:
      'Another replay took the partition over, so this one stopped. Nothing is lost or doubled: start it again when the other has ended.',
  },
  REPLAY_TIMEOUT: {
    canRetry: true,
    exitCode: 1,
    meaning: 'Kafka gave nothing new for a minute, or a transaction that somebody left open hides the marks of the replay. Try again.',
  },
  // sql
  DATABASE_UNREACHABLE: {
    canRetry: true,
    exitCode: 3,
    meaning:
      'The database does not answer, is out of resources, or gave up a transaction. Check DATABASE_URL; the sink waits and tries again.',
  },
  DATABASE_REFUSED: {
    canRetry: false,
    exitCode: 3,
    meaning:
      'The database refused a statement or the login, or its certificate is not trusted. Check DATABASE_URL and the rights of its user.',
  },
  ROW_REFUSED: {
    canRetry: false,
    exitCode: 1,
    meaning: 'The database cannot store a row as it is. The sink puts it into the table rejected_rows and goes on.',
  },
  DATABASE_NEWER: {
    canRetry: false,
    exitCode: 2,
    meaning: 'The tables were made by a later version of Ingot. Run that version, or use another database.',
  },
  // local stack
  COMPONENT_MISSING: {
    canRetry: false,
    exitCode: 2,
    meaning: "A program of the local stack is not installed. 'npm start' brings it, or names the command that does.",
  },
  COMPONENT_FAILED: {
    canRetry: true,
    exitCode: 3,
    meaning: 'A program of the local stack did not start, or ended by itself. The message has the end of its log.',
  },
  DATA_FOLDER_IN_USE: {
    canRetry: false,
    exitCode: 2,
    meaning: "Another 'ingot up' runs on this data folder. Stop it, or use --ephemeral or another DATA_FOLDER.",
  },
  DATABASE_IN_USE: {
    canRetry: false,
    exitCode: 2,
    meaning: 'Another process has the embedded database of this data folder open. Stop it, or use DATABASE_URL or another DATA_FOLDER.',
  },
  DATA_FOLDER_UNUSABLE: {
    canRetry: false,
    exitCode: 2,
    meaning: 'The data folder cannot be written, or its disk is nearly full. Free some space, or use another DATA_FOLDER.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/** An error with a code from the catalogue. `message` says what, where, and the next thing to try. */
export class IngotError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'IngotError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get canRetry(): boolean {
    return ERROR_KINDS[this.code].canRetry;
  }

  get exitCode(): number {
    return ERROR_KINDS[this.code].exitCode;
  }
}
