import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PubackQueue } from '../../src/core/puback-queue.ts';

/** The plain model: a list of entries, and what was ever pushed. */
interface ModelEntry {
  readonly packetId: number;
  readonly ticket: number;
  isDone: boolean;
}

const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), packetId: fc.integer({ min: 1, max: 65_535 }) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('complete' as const), choice: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('release' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const) }) },
);

describe('PubackQueue', () => {
  it('does what a list does: any order of completion, packet ids come out in the order they came in, once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), fc.array(command, { maxLength: 200 }), (capacity, commands) => {
        const queue = new PubackQueue(capacity);
        let model: ModelEntry[] = [];
        const everyTicket: number[] = [];
        for (const step of commands) {
          if (step.kind === 'push' && model.length === capacity) {
            expect(() => queue.push(step.packetId)).toThrow(RangeError);
          } else if (step.kind === 'push') {
            const ticket = queue.push(step.packetId);
            expect(everyTicket).not.toContain(ticket);
            everyTicket.push(ticket);
            model.push({ packetId: step.packetId, ticket, isDone: false });
          } else if (step.kind === 'complete') {
            // Any ticket that ever was: also released ones and those of an earlier connection.
            const ticket = everyTicket[step.choice % Math.max(1, everyTicket.length)];
            if (ticket === undefined) continue;
            queue.complete(ticket);
            const entry = model.find((candidate) => candidate.ticket === ticket);
            if (entry !== undefined) entry.isDone = true;
          } else if (step.kind === 'release') {
            const firstWaiting = model.findIndex((entry) => !entry.isDone);
            const released = model.slice(0, firstWaiting === -1 ? model.length : firstWaiting);
            model = model.slice(released.length);
            expect(queue.release()).toEqual(released.map((entry) => entry.packetId));
          } else {
            expect(queue.forget()).toBe(model.length);
            model = [];
          }
          expect(queue.size).toBe(model.length);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('releases nothing behind an entry that waits', () => {
    const queue = new PubackQueue(3);
    const [first, second, third] = [queue.push(11), queue.push(12), queue.push(13)];
    queue.complete(third);
    queue.complete(second);
    expect(queue.release()).toEqual([]);
    queue.complete(first);
    expect(queue.release()).toEqual([11, 12, 13]);
  });

  it('ignores completions of an earlier connection, also when the packet id is in use again', () => {
    const queue = new PubackQueue(2);
    const earlier = queue.push(7);
    queue.forget();
    queue.push(7);
    queue.complete(earlier);
    expect(queue.release()).toEqual([]);
  });

  it('refuses a capacity that is none', () => {
    for (const capacity of [0, -1, 1.5, Number.NaN]) expect(() => new PubackQueue(capacity)).toThrow(RangeError);
  });
});
