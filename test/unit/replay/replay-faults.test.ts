import { describe, expect, test } from 'vitest';
import { partitionForKey } from '../../../src/core/murmur2.ts';
import { IngotError } from '../../../src/errors.ts';
import { replayDeadLetters } from '../../../src/replay/replay.ts';
import { LETTERS_PER_TRANSACTION } from '../../../src/replay/replay-batch.ts';
import type { ReplayContext } from '../../../src/replay/replay-ports.ts';
import type { CommitFault } from '../../support/memory-log.ts';
import {
  LETTERS_AT_MS,
  outcomes,
  REPLAY_PARTITIONS,
  REPLAY_TOPICS,
  ReplayWorld,
  replayRequest,
  transactionalId,
} from '../../support/replay-world.ts';

// What may happen to a transaction, and two runs at a time: no letter is lost, and none is replayed twice.

const PARTITION = partitionForKey(Buffer.from('d1'), REPLAY_PARTITIONS);

function worldOf(letters: number): ReplayWorld {
  const world = new ReplayWorld();
  for (let index = 0; index < letters; index++)
    world.message({ payload: JSON.stringify({ ts: LETTERS_AT_MS, temperature: index % 1000 }) });
  return world;
}

const values = (world: ReplayWorld) => world.replayed().map(({ reading }) => reading.temperature);
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

describe('a transaction', () => {
  test.each<CommitFault>(['committed', 'aborted', 'left-open'])('that fails and was %s is told by the marks', async (fault) => {
    const world = worldOf(5);
    world.log.scriptCommits(transactionalId(PARTITION), [fault]);
    expect(outcomes(await world.replay())).toEqual(Array<string>(5).fill('replayed'));
    expect(values(world)).toEqual(upTo(5));
    expect(world.committed(REPLAY_TOPICS.marks)).toHaveLength(5);
  });

  test('that fails again and again ends the run, and the next one goes on', async () => {
    const world = worldOf(5);
    world.log.scriptCommits(transactionalId(PARTITION), Array<CommitFault>(9).fill('aborted'));
    await expect(world.replay()).rejects.toMatchObject({ code: 'TRANSACTION_IN_DOUBT' });
    world.log.scriptCommits(transactionalId(PARTITION), []);
    expect(outcomes(await world.replay())).toEqual(Array<string>(5).fill('replayed'));
    expect(values(world)).toEqual(upTo(5));
  }, 30_000);

  test('holds a limited number of letters', async () => {
    const letters = 2 * LETTERS_PER_TRANSACTION + 1;
    const world = worldOf(letters);
    const sizes: number[] = [];
    const context = world.context();
    const counting: ReplayContext = {
      ...context,
      openLane: (partition) => {
        const lane = context.openLane(partition);
        const commit: typeof lane.commit = async (batches) => {
          sizes.push(batches.filter(({ topic }) => topic === REPLAY_TOPICS.readings).reduce((sum, { count }) => sum + count, 0));
          await lane.commit(batches);
        };
        return { fence: (to) => lane.fence(to), commit, isFenced: (error) => lane.isFenced(error), close: () => lane.close() };
      },
    };
    expect(await world.replay({}, counting)).toHaveLength(letters);
    expect(sizes).toEqual([100, 100, 1]);
  });
});

describe('two replays', () => {
  test('of one partition: who came first is fenced, says so, and does not fence back', async () => {
    const world = worldOf(150);
    const first = replayDeadLetters(world.context(), replayRequest());
    expect((await first.next()).value).toMatchObject({ outcome: 'replayed' });
    const second = await world.replay();
    expect(outcomes(second)).toEqual([...Array<string>(100).fill('already_replayed'), ...Array<string>(50).fill('replayed')]);
    const rest = async () => {
      for (let step = await first.next(); step.done !== true; step = await first.next());
    };
    await expect(rest()).rejects.toMatchObject({ code: 'REPLAY_FENCED', message: expect.stringContaining(`partition ${PARTITION}`) });
    expect(values(world)).toEqual(upTo(150));
  });

  test('one of which comes just before the other fences: what it has done is seen', async () => {
    const world = worldOf(3);
    const context = world.context();
    const late: ReplayContext = {
      ...context,
      openLane: (partition) => {
        const lane = context.openLane(partition);
        const fence: typeof lane.fence = async (to) => {
          await world.replay();
          return await lane.fence(to);
        };
        return { fence, commit: (batches) => lane.commit(batches), isFenced: (error) => lane.isFenced(error), close: () => lane.close() };
      },
    };
    expect(outcomes(await world.replay({}, late))).toEqual(Array<string>(3).fill('already_replayed'));
    expect(values(world)).toEqual(upTo(3));
  });

  test('one of which is in doubt while the other does its letters: they are not done again', async () => {
    const world = worldOf(3);
    const context = world.context();
    let isFirst = true;
    const hurt: ReplayContext = {
      ...context,
      openLane: (partition) => {
        const lane = context.openLane(partition);
        const commit: typeof lane.commit = async (batches) => {
          if (!isFirst) return await lane.commit(batches);
          isFirst = false;
          await lane.close();
          await world.replay();
          // The answer is lost before it says that this lane is fenced.
          return await lane.commit(batches).catch((cause: Error) => Promise.reject(inDoubt(cause)));
        };
        return { fence: (to) => lane.fence(to), commit, isFenced: (error) => lane.isFenced(error), close: () => lane.close() };
      },
    };
    expect(outcomes(await world.replay({}, hurt))).toEqual(Array<string>(3).fill('already_replayed'));
    expect(values(world)).toEqual(upTo(3));
  });
});

function inDoubt(cause: Error): IngotError {
  return new IngotError('TRANSACTION_IN_DOUBT', 'no answer', { cause });
}

describe('told to stop', () => {
  test('a replay leaves what it has not committed to the next one', async () => {
    const world = worldOf(150);
    const stop = new AbortController();
    const told: string[] = [];
    for await (const { outcome } of replayDeadLetters(world.context(stop.signal), replayRequest())) {
      told.push(outcome);
      stop.abort();
    }
    expect(told).toEqual(Array<string>(100).fill('replayed'));
    expect(values(world)).toEqual(upTo(100));
    expect(outcomes(await world.replay()).slice(100)).toEqual(Array<string>(50).fill('replayed'));
    expect(values(world)).toEqual(upTo(150));
  });
});
