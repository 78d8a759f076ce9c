import type { GroupMembership } from '../kafka/log-port.ts';
import * as events from '../ops/aggregator-events.ts';

// The group's committed offsets, for lag tools. They follow the progress records, which are the truth, and a commit that is refused is
// tried again with the next one.

const INTERVAL_MS = 2_000;

export interface OffsetCommits {
  /** From now on, about every two seconds. */
  start(): void;
  /** No more of them. */
  stop(): void;
  /** Once more, after a stop. */
  commitLast(): Promise<void>;
}

export function createOffsetCommits(
  membership: Pick<GroupMembership, 'commitOffsets'>,
  positions: () => ReadonlyMap<number, number>,
): OffsetCommits {
  let timer: NodeJS.Timeout | undefined;
  let inFlight: Promise<void> = Promise.resolve();
  let isStopped = false;

  async function commit(): Promise<void> {
    const offsets = positions();
    if (offsets.size > 0) await membership.commitOffsets(offsets).catch(events.offsetCommitFailed);
  }

  function schedule(): void {
    if (isStopped) return;
    timer = setTimeout(() => {
      inFlight = commit();
      void inFlight.then(schedule);
    }, INTERVAL_MS);
  }

  return {
    start: schedule,
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
    async commitLast() {
      await inFlight;
      await commit();
    },
  };
}
