// Cuts what is to be sent into requests: one partition leader per request, each partition at most once, and below the size at which a broker
// drops the connection.

/** socket.request.max.bytes is 100 MiB by default; a request beyond it ends the connection without an answer. */
export const MAX_CALL_BYTES = 32 * 1024 * 1024;

/** What the plan needs to know of a batch. */
export interface Plannable {
  readonly topic: string;
  readonly partition: number;
  readonly payload: { readonly length: number };
}

export interface PlannedCall<T> {
  /** Node id. */
  readonly leader: string;
  /** Those of one topic stand together. */
  readonly batches: readonly T[];
}

/** The requests, in an order that keeps the batches of each partition in theirs. */
export function planCalls<T extends Plannable>(batches: readonly T[], leaderOf: (batch: T) => string): PlannedCall<T>[] {
  const calls: PlannedCall<T>[] = [];
  for (const [leader, ofLeader] of Map.groupBy(batches, leaderOf)) {
    let call: T[] = [];
    let bytes = 0;
    for (const batch of ofLeader) {
      const isThere = call.some((other) => other.partition === batch.partition && other.topic === batch.topic);
      if (call.length > 0 && (isThere || bytes + batch.payload.length > MAX_CALL_BYTES)) {
        calls.push({ leader, batches: byTopic(call) });
        call = [];
        bytes = 0;
      }
      call.push(batch);
      bytes += batch.payload.length;
    }
    calls.push({ leader, batches: byTopic(call) });
  }
  return calls;
}

function byTopic<T extends Plannable>(batches: readonly T[]): readonly T[] {
  const { topic } = batches[0]!;
  if (batches.every((batch) => batch.topic === topic)) return batches;
  return [...Map.groupBy(batches, (batch) => batch.topic).values()].flat();
}
