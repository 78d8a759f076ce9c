import { messageOfCode } from './kafkajs-internals.ts';

// What the errors of brokers and of the client library mean to us. The library's are often wrapped: the protocol's error code may stand anywhere along `cause`.

/** Error codes of the Kafka protocol that something depends on. */
export const KAFKA_ERROR = {
  none: 0,
  offsetOutOfRange: 1,
  corruptMessage: 2,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  requestTimedOut: 7,
  replicaNotAvailable: 9,
  messageTooLarge: 10,
  networkException: 13,
  coordinatorLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  recordListTooLarge: 18,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  inconsistentGroupProtocol: 23,
  invalidSessionTimeout: 26,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  clusterAuthorizationFailed: 31,
  duplicateSequenceNumber: 46,
  invalidProducerEpoch: 47,
  concurrentTransactions: 51,
  operationNotAttempted: 55,
  storageError: 56,
  saslAuthenticationFailed: 58,
  fencedLeaderEpoch: 74,
  unknownLeaderEpoch: 75,
  producerFenced: 90,
} as const;

const MAX_CAUSES = 10;

/** What a broker has answered for a partition or a transaction. */
export class KafkaAnswerError extends Error {
  readonly code: number;

  constructor(code: number, what: string) {
    super(`${what}: ${messageOfCode(code)} (${code})`);
    this.name = 'KafkaAnswerError';
    this.code = code;
  }
}

/** A partition of which an answer says nothing. */
export class UnansweredError extends Error {
  readonly retriable = false;

  constructor({ topic, partition }: { readonly topic: string; readonly partition: number }) {
    super(`Kafka did not say what became of the records for ${topic}-${partition}`);
    this.name = 'UnansweredError';
  }
}

/** A partition of which the metadata say nothing (yet). */
export class UnknownLeaderError extends Error {
  constructor({ topic, partition }: { readonly topic: string; readonly partition: number }) {
    super(`no leader is known for ${topic}-${partition}`);
    this.name = 'UnknownLeaderError';
  }
}

/**
 * Codes after which a Produce request is sent again, with the same sequence numbers. Those that Kafka's own client takes for retriable: the
 * leader has moved or is about to, its replicas are behind, its disk or its transaction coordinator is not ready, the bytes were damaged.
 */
const REPEATED_PRODUCE_CODES: readonly number[] = [
  KAFKA_ERROR.corruptMessage,
  KAFKA_ERROR.unknownTopicOrPartition,
  KAFKA_ERROR.leaderNotAvailable,
  KAFKA_ERROR.notLeader,
  KAFKA_ERROR.requestTimedOut,
  KAFKA_ERROR.replicaNotAvailable,
  KAFKA_ERROR.networkException,
  KAFKA_ERROR.coordinatorLoading,
  KAFKA_ERROR.coordinatorNotAvailable,
  KAFKA_ERROR.notCoordinator,
  KAFKA_ERROR.notEnoughReplicas,
  KAFKA_ERROR.notEnoughReplicasAfterAppend,
  KAFKA_ERROR.concurrentTransactions,
  KAFKA_ERROR.storageError,
  KAFKA_ERROR.fencedLeaderEpoch,
  KAFKA_ERROR.unknownLeaderEpoch,
];

/** Errors of a program, not of the network or the broker. */
const ERRORS_OF_CODE: readonly string[] = ['RangeError', 'ReferenceError', 'SyntaxError', 'TypeError'];

/** Whether it makes sense to send the same again: what was answered may pass, or the connection was lost. */
export function mayPass(error: unknown): boolean {
  if (error instanceof KafkaAnswerError) return REPEATED_PRODUCE_CODES.includes(error.code);
  // The library says of each of its errors whether it may pass.
  const { name, retriable } = error as { name?: string; retriable?: boolean };
  return retriable !== false && !ERRORS_OF_CODE.includes(name ?? '');
}

/** The error and its causes, outermost first. */
function* withCauses(error: unknown): Generator<object> {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && typeof current === 'object' && current !== null; depth++) {
    yield current;
    current = (current as { cause?: unknown }).cause;
  }
}

/** Whether the error, or one that caused it, carries one of these protocol error codes. */
export function hasKafkaCode(error: unknown, codes: readonly number[]): boolean {
  for (const one of withCauses(error)) {
    const { code } = one as { code?: unknown };
    if (typeof code === 'number' && codes.includes(code)) return true;
  }
  return false;
}

/**
 * Another producer with our transactional id was there, or our own transaction expired. 47 is what Kafka answers to the request
 * versions that the library speaks; newer versions of the protocol say 90.
 */
export function isFencedError(error: unknown): boolean {
  return hasKafkaCode(error, [KAFKA_ERROR.invalidProducerEpoch, KAFKA_ERROR.producerFenced]);
}

/** The broker refuses a batch for its size. */
export function isTooLargeCode(code: number): boolean {
  return code === KAFKA_ERROR.messageTooLarge || code === KAFKA_ERROR.recordListTooLarge;
}

/** Login or rights: asking again changes nothing. The library's own errors of SASL carry no code. */
export function isRefusedError(error: unknown): boolean {
  const { topicAuthorizationFailed, groupAuthorizationFailed, clusterAuthorizationFailed, saslAuthenticationFailed } = KAFKA_ERROR;
  const codes = [topicAuthorizationFailed, groupAuthorizationFailed, clusterAuthorizationFailed, saslAuthenticationFailed];
  return (
    hasKafkaCode(error, codes) ||
    [...withCauses(error)].some((one) => (one as { name?: unknown }).name === 'KafkaJSSASLAuthenticationError')
  );
}

/** The library gave up to connect, for a reason that may pass: the broker is restarting. */
export function isOutage(error: unknown): boolean {
  const { name, cause } = error as { name?: string; cause?: unknown };
  return name === 'KafkaJSNumberOfRetriesExceeded' && cause instanceof Error && mayPass(cause);
}

export function isUnknownTopicError(error: unknown): boolean {
  return hasKafkaCode(error, [KAFKA_ERROR.unknownTopicOrPartition]);
}

/** The coordinator is starting or moving; it will be there in a moment. */
export function isCoordinatorMovingError(error: unknown): boolean {
  return hasKafkaCode(error, [KAFKA_ERROR.coordinatorLoading, KAFKA_ERROR.coordinatorNotAvailable, KAFKA_ERROR.notCoordinator]);
}

/** The group will not have us, however often we ask. */
export function isFinalGroupError(error: unknown): boolean {
  return hasKafkaCode(error, [
    KAFKA_ERROR.inconsistentGroupProtocol,
    KAFKA_ERROR.invalidSessionTimeout,
    KAFKA_ERROR.topicAuthorizationFailed,
    KAFKA_ERROR.groupAuthorizationFailed,
    KAFKA_ERROR.clusterAuthorizationFailed,
  ]);
}

/** One line for a log: the messages along the causes, without repetition. */
export function errorText(error: unknown): string {
  const texts: string[] = [];
  for (const one of withCauses(error)) {
    const { message } = one as { message?: unknown };
    if (typeof message === 'string' && message !== '' && !texts.includes(message)) texts.push(message);
  }
  return texts.length === 0 ? String(error) : texts.join(' <- ');
}
