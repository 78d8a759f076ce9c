// The transactions of one process take turns. Several at once are no less work for the broker and for this thread than one after the other, so
// each of them would be ready when the last one is; and who waits for his turn gathers what would otherwise be his next transaction.

/** Called when a transaction has ended, by which a turn may have become free. */
export type OnTurnFree = () => unknown;

export interface CommitTurns {
  readonly isFree: boolean;
  /** Whoever commits, with a turn or without; of those that follow he is asked last from then on. */
  begin(who: OnTurnFree): void;
  end(): void;
  /** From now on `who` is told of turns, until the function that this returns is called. */
  follow(who: OnTurnFree): () => void;
}

/** atOnce: how many transactions at the same time leave no turn free; asked each time. */
export function createCommitTurns(atOnce: () => number): CommitTurns {
  const following = new Set<OnTurnFree>();
  let inFlight = 0;
  return {
    get isFree() {
      return inFlight < atOnce();
    },
    begin(who) {
      inFlight += 1;
      if (following.delete(who)) following.add(who);
    },
    end() {
      inFlight -= 1;
      for (const who of following) who();
    },
    follow(who) {
      following.add(who);
      return () => following.delete(who);
    },
  };
}
