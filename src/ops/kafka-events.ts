import { Counter } from 'prom-client';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// What there is to see of the log's clients: one function per event, log line and metric together.

const produceRetries = new Counter({
  name: `${METRIC_PREFIX}kafka_produce_retries_total`,
  help: 'Sends that failed and were repeated with a fresh producer; their records may be appended twice.',
  registers: [metricsRegistry],
});

const transactionFailures = new Counter({
  name: `${METRIC_PREFIX}kafka_transaction_failures_total`,
  help: 'Transactional calls that failed, by the call; the outcome of a commit is then read from the log.',
  labelNames: ['call', 'fenced'] as const,
  registers: [metricsRegistry],
});

const fetchFailures = new Counter({
  name: `${METRIC_PREFIX}kafka_fetch_failures_total`,
  help: 'Fetches that failed and were repeated.',
  registers: [metricsRegistry],
});

const rebalances = new Counter({
  name: `${METRIC_PREFIX}kafka_group_joins_total`,
  help: 'Assignments that the consumer group gave us.',
  registers: [metricsRegistry],
});

/** An outage is told at attempts 1, 2, 4, 8, ...; the others are for the deepest look. */
function warnRarely(event: { readonly attempt: number }, message: string): void {
  const isPowerOfTwo = (event.attempt & (event.attempt - 1)) === 0;
  if (isPowerOfTwo) log('kafka').warn(event, message);
  else log('kafka').debug(event, message);
}

/** By the same producer, as if it were sent for the first time: nothing is doubled. */
export function requestRepeated(event: { sender: string; repeats: number; retryInMs: number; error: string }): void {
  log('kafka').debug(event, 'a request failed and is repeated');
}

export function produceRepeated(event: { lane: string; attempt: number; retryInMs: number; error: string }): void {
  produceRetries.inc();
  warnRarely(event, 'a send failed and is repeated with a fresh producer');
}

/** A batch that the topic will never accept. */
export function produceGivenUp(event: { lane: string; reason: string }): void {
  log('kafka').warn(event, 'a send was refused for its size');
}

export function transactionalIdFenced(event: { transactionalId: string; fenceOffset: number; tookMs: number }): void {
  log('kafka').debug(event, 'earlier owners of the transactional id are fenced');
}

export function transactionCallFailed(event: { transactionalId: string; call: 'fence' | 'commit'; fenced: boolean; error: string }): void {
  transactionFailures.inc({ call: event.call, fenced: String(event.fenced) });
  log('kafka').warn(event, event.fenced ? 'another owner has fenced this transactional id' : 'a transactional call failed');
}

export function fetchFailed(event: { loop: string; attempt: number; retryInMs: number; error: string }): void {
  fetchFailures.inc();
  warnRarely(event, 'a fetch failed and is repeated');
}

export function partitionFetchRefused(event: {
  loop: string;
  topic: string;
  partition: number;
  kafkaCode: number;
  attempt: number;
  retryInMs: number;
}): void {
  fetchFailures.inc();
  warnRarely(event, 'a partition could not be fetched and is tried again');
}

export function offsetOutOfRange(event: { loop: string; topic: string; partition: number; offset: number }): void {
  log('kafka').error(event, 'the log does not hold the offset asked for');
}

export function groupJoined(event: { groupId: string; topic: string; partitions: readonly number[]; tookMs: number }): void {
  rebalances.inc();
  log('kafka').info(event, 'partitions assigned');
}

export function deadMemberEvicted(event: { groupId: string; memberId: string }): void {
  log('kafka').info(event, 'an earlier life of this process was made to leave the group');
}

export function membershipInterrupted(event: { groupId: string; attempt: number; retryInMs: number; error: string }): void {
  warnRarely(event, 'the group membership was interrupted and is taken up again');
}

/** The broker has just started, or the group's coordinator is moving. */
export function coordinatorAwaited(event: { groupId: string; attempt: number; retryInMs: number; error: string }): void {
  log('kafka').debug(event, "waiting for the group's coordinator");
}

export function membershipEnded(event: { groupId: string; error: string }): void {
  log('kafka').error(event, 'the group refuses this member');
}

const AWAITED_TOLD_EVERY_MS = 10_000;
let awaitedToldAtMs = Number.NEGATIVE_INFINITY;

/** Kafka did not answer at the start, and it is tried again: told at once, and then every ten seconds while it lasts. */
export function kafkaAwaited(event: { error: string; retryInMs: number }): void {
  const nowMs = performance.now();
  if (nowMs < awaitedToldAtMs + AWAITED_TOLD_EVERY_MS) return;
  awaitedToldAtMs = nowMs;
  log('kafka').warn(event, 'waiting for Kafka');
}
