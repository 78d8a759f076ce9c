// What an aggregator does with a state that is not for it: it refuses before it has written anything.

import { expect, test, vi } from 'vitest';
import { encodeJson, PROGRESS_KEY, type Progress } from '../../../src/aggregator/progress.ts';
import { FOLD_VERSION } from '../../../src/core/fold-settings.ts';
import { RecordsEncoder } from '../../../src/core/record-batch.ts';
import { PLAIN_SETTINGS, playScene, START_MS } from '../../support/aggregator-scene.ts';
import { type AggregatorWorld, TOPICS } from '../../support/aggregator-world.ts';
import { plainReading } from '../../support/oracle/plain-reading.ts';

vi.mock('node:timers/promises', async () => ({ setTimeout: (await import('../../support/virtual-clock.ts')).promisedTimeout }));

const STATE = { topic: TOPICS.state, partition: 0 };

function writeProgress({ log, progress }: AggregatorWorld, change: Partial<Progress>): void {
  const encoder = new RecordsEncoder();
  encoder.reset(START_MS);
  encoder.add(Buffer.from(PROGRESS_KEY), encodeJson({ ...progress!, ...change }), START_MS);
  log.partition(STATE).append({ ...STATE, records: encoder.take(), count: encoder.count, baseTimestampMs: START_MS }, null);
}

test.each([
  ['of a later version, after a step back', { foldVersion: FOLD_VERSION + 1 }, 'STATE_UNREADABLE', /newer version of Ingot/],
  ['of another consumer group', { groupId: 'somebody' }, 'STATE_OF_OTHER_GROUP', /the state of group somebody/],
] as const)('a state %s', (_what, change, code, said) =>
  playScene({}, async (world, clock) => {
    const first = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(1_000);
    const reading = plainReading({ deviceId: 'd1', eventTime: START_MS });
    world.append([{ kind: 'record', offset: 0, appendTime: START_MS, key: 'd1', reading }], 1);
    await clock.advance(1_000);
    world.stop(first, 10_000);
    await clock.advance(1_000);
    expect(world.progress).toMatchObject({ nextOffset: 1, foldVersion: FOLD_VERSION });

    writeProgress(world, change);
    const journalBefore = world.log.partition({ topic: TOPICS.journal, partition: 0 }).highWatermark;
    const second = world.start(PLAIN_SETTINGS, 0);
    await clock.advance(5_000);
    expect(second.failure).toMatchObject({ code, message: expect.stringMatching(said) });
    expect(world.log.partition({ topic: TOPICS.journal, partition: 0 }).highWatermark).toBe(journalBefore);
  }),
);
