// Who of several partitions may do something now. The others wait in line.

/** Does the work when its turn has come. */
export type Slot = <T>(work: () => Promise<T>) => Promise<T>;

/** Runs at most `limit` of the given works at once. */
export function limitConcurrency(limit: number): Slot {
  const waiting: (() => void)[] = [];
  let active = 0;
  return async (work) => {
    if (active < limit) active += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The place is handed on, so that nobody who comes just now takes it too.
      const next = waiting.shift();
      if (next === undefined) active -= 1;
      else next();
    }
  };
}

/**
 * Runs one work after the other, but does not let one that stands still hold up the rest: the next one begins when the one before has ended,
 * or `patienceMs` after that one began; at most `limit` at once.
 */
export function oneAfterAnother({ patienceMs, limit }: { patienceMs: number; limit: number }): Slot {
  const limited = limitConcurrency(limit);
  let lastBegun: Promise<unknown> = Promise.resolve();
  return async (work) => {
    const before = lastBegun;
    const { promise: isOver, resolve: end } = Promise.withResolvers<void>();
    lastBegun = isOver;
    await before;
    return await limited(async () => {
      const timer = setTimeout(end, patienceMs);
      try {
        return await work();
      } finally {
        clearTimeout(timer);
        end();
      }
    });
  };
}
