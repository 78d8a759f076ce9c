// What the client library's errors mean to us. They are often wrapped: the protocol's error code may stand anywhere along `cause`.

/** Error codes of the Kafka protocol that something depends on. */
export const KAFKA_ERROR = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  messageTooLarge: 10,
  coordinatorLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  recordListTooLarge: 18,
  inconsistentGroupProtocol: 23,
  invalidSessionTimeout: 26,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  clusterAuthorizationFailed: 31,
  invalidProducerEpoch: 47,
  saslAuthenticationFailed: 58,
  producerFenced: 90,
} as const;

const MAX_CAUSES = 10;

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

/** The broker refused a batch for its size. */
export function isTooLargeError(error: unknown): boolean {
  return hasKafkaCode(error, [KAFKA_ERROR.messageTooLarge, KAFKA_ERROR.recordListTooLarge]);
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
