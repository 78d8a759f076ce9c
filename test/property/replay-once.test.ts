// Whatever becomes of the runs of a replay, each letter that can be a reading is one exactly once, and each message counts once (I11).

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { replayDeadLetters } from '../../src/replay/replay.ts';
import type { CommitFault } from '../support/memory-log.ts';
import { plainReading } from '../support/oracle/plain-reading.ts';
import { LETTERS_AT_MS, REPLAY_PARTITIONS, REPLAY_TOPICS, ReplayWorld, replayRequest, transactionalId } from '../support/replay-world.ts';

const numRuns = Number(process.env['INGOT_PROPERTY_RUNS'] ?? 200);
const DEVICES = ['d1', 'd2', 'd3'];

interface RandomLetter {
  readonly device: string;
  /** Two messages of a device with the same number are the same message; 0 says nothing that tells it apart. */
  readonly message: number;
  readonly kind: 'message' | 'reading' | 'hopeless';
}

const letter: fc.Arbitrary<RandomLetter> = fc.record({
  device: fc.constantFrom(...DEVICES),
  message: fc.nat({ max: 6 }),
  kind: fc.constantFrom('message', 'message', 'reading', 'hopeless'),
});

const faults = fc.array(fc.constantFrom<CommitFault | null>(null, 'committed', 'aborted', 'left-open', 'fenced'), { maxLength: 4 });

/** A run that is left after some results, as a killed one leaves it; a second one may begin where the first has come to. */
const run = fc.record({
  faults,
  results: fc.nat({ max: 30 }),
  second: fc.option(fc.nat({ max: 30 })),
  replaysMax: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 5 })),
  newLetters: fc.array(letter, { maxLength: 5 }),
});

/** Messages of different devices are never equal. */
const identityBase = (device: string) => 1_000 * (1 + DEVICES.indexOf(device));

function write(world: ReplayWorld, { device, message, kind }: RandomLetter): void {
  world.nowMs += 1;
  if (kind === 'hopeless') world.message({ device, payload: '{' });
  else if (kind === 'reading') {
    world.refused({
      reading: plainReading({ deviceId: device, eventTime: LETTERS_AT_MS, identity: message === 0 ? 0 : identityBase(device) + message }),
    });
  } else world.message({ device, payload: message === 0 ? '{"temperature":20}' : JSON.stringify({ seq: message, temperature: 20 }) });
}

/** Takes so many results and leaves the rest; a run that has given up has no more. */
async function take(results: AsyncGenerator, count: number): Promise<void> {
  for (let taken = 0; taken < count; taken++) {
    const step = await results.next().catch(() => null);
    if (step === null || step.done === true) return;
  }
}

/** What has to be replayed: each message with an identity once, each without as often as it came. */
function wanted(letters: readonly RandomLetter[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { device, message, kind } of letters) {
    if (kind === 'hopeless') continue;
    const name = `${device} ${kind} ${message}`;
    counts.set(name, message === 0 ? (counts.get(name) ?? 0) + 1 : 1);
  }
  return counts;
}

function found(world: ReplayWorld): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { reading, headers } of world.replayed()) {
    const isMessage = headers['replay-of']?.startsWith(REPLAY_TOPICS.bridgeDeadLetters);
    const message = isMessage ? (reading.sequence ?? 0) : Math.max(0, reading.identity - identityBase(reading.deviceId));
    const name = `${reading.deviceId} ${isMessage ? 'message' : 'reading'} ${message}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

test('each letter becomes a reading once, however often its replay is killed, fenced or in doubt', {
  timeout: 120_000 + numRuns * 200,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(letter, { maxLength: 40 }), fc.array(run, { maxLength: 5 }), async (letters, runs) => {
      const world = new ReplayWorld();
      const all = [...letters];
      for (const each of letters) write(world, each);
      for (const each of runs) {
        for (let partition = 0; partition < REPLAY_PARTITIONS; partition++)
          world.log.scriptCommits(transactionalId(partition), each.faults);
        const first = replayDeadLetters(world.context(), replayRequest({ replaysMax: each.replaysMax }));
        await take(first, each.results);
        if (each.second !== null) await take(replayDeadLetters(world.context(), replayRequest()), each.second);
        // Who was fenced meanwhile finds that out now.
        await take(first, each.results);
        for (const another of each.newLetters) write(world, another);
        all.push(...each.newLetters);
      }
      for (let partition = 0; partition < REPLAY_PARTITIONS; partition++) world.log.scriptCommits(transactionalId(partition), []);
      const last = await world.replay();
      expect(last.filter(({ outcome }) => outcome === 'refused')).toHaveLength(all.filter(({ kind }) => kind === 'hopeless').length);
      expect(new Map([...found(world)].sort())).toEqual(new Map([...wanted(all)].sort()));
      expect((await world.replay()).filter(({ outcome }) => outcome === 'replayed' || outcome === 'duplicate')).toEqual([]);
      const marked = world.committed(REPLAY_TOPICS.marks).map(({ key }) => key);
      expect(new Set(marked).size).toBe(marked.length);
    }),
    { numRuns },
  );
});
