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
  CORRUPT_BATCH: { canRetry: false, exitCode: 1, meaning: 'A record batch does not match its checksum or its own lengths.' },
  COMPRESSED_INPUT: {
    canRetry: false,
    exitCode: 1,
    meaning: 'A record batch is compressed, which this version does not read. Produce without compression.',
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
