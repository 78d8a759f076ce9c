import type { Cluster } from './kafkajs-internals.ts';
import type { EncodedRecords } from './log-port.ts';

// Cuts what is to be sent into calls of the library: one partition leader per call (with several, one request may still be pending
// while the library already retries), each partition at most once, and below the size at which a broker drops the connection.

/** socket.request.max.bytes is 100 MiB by default; a request beyond it ends the connection without an answer. */
export const MAX_CALL_BYTES = 32 * 1024 * 1024;

/** A partition of which the metadata say nothing (yet). The library would silently not send its records. */
export class UnknownLeaderError extends Error {
  constructor(batch: EncodedRecords) {
    super(`no leader is known for ${batch.topic}-${batch.partition}`);
    this.name = 'UnknownLeaderError';
  }
}

/** Node id of the leader, as the cluster's metadata have it now. Throws UnknownLeaderError. */
export function leaderOf(cluster: Cluster, batch: EncodedRecords): string {
  const [leader] = Object.keys(cluster.findLeaderForPartitions(batch.topic, [batch.partition]));
  if (leader === undefined || Number(leader) < 0) throw new UnknownLeaderError(batch);
  return leader;
}

/** The calls, in an order that keeps the batches of each partition in theirs. */
export function planCalls(batches: readonly EncodedRecords[], leader: (batch: EncodedRecords) => string): EncodedRecords[][] {
  const calls: EncodedRecords[][] = [];
  for (const ofLeader of Map.groupBy(batches, leader).values()) {
    let call: EncodedRecords[] = [];
    let bytes = 0;
    for (const batch of ofLeader) {
      const isThere = call.some((other) => other.topic === batch.topic && other.partition === batch.partition);
      if (call.length > 0 && (isThere || bytes + batch.records.length > MAX_CALL_BYTES)) {
        calls.push(call);
        call = [];
        bytes = 0;
      }
      call.push(batch);
      bytes += batch.records.length;
    }
    calls.push(call);
  }
  return calls;
}

/** What the library answers for each partition of a call. */
export interface AnsweredPartition {
  readonly topicName: string;
  readonly partition: number;
  readonly baseOffset?: string;
}

/** The library resolves even when it has left partitions out; that must not count as acknowledged. */
export function requireAllAnswered(call: readonly EncodedRecords[], answered: readonly AnsweredPartition[]): void {
  const missing = call.find((batch) => !answered.some((row) => row.topicName === batch.topic && row.partition === batch.partition));
  if (missing !== undefined) throw new UnknownLeaderError(missing);
}
