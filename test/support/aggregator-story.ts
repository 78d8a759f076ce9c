// Random stories of several aggregators on one log: what is written and how it is sliced, who is killed, expelled, stopped or started
// when, what becomes of commits. A story is a list of independent happenings, so that leaving some out gives a story again.

import fc from 'fast-check';
import type { AggregatorWorld } from './aggregator-world.ts';
import type { CommitFault } from './memory-log.ts';
import type { ProfilesStep, RecordStep, SettingsStep } from './oracle/fold-steps.ts';
import { type RandomLog, randomLog } from './oracle/random-log.ts';
import { foldSettingsOf } from './scenario-text/core-driver.ts';

export type Happening =
  | { readonly kind: 'append'; readonly records: number; readonly schemaId: number; readonly as: 'plain' | 'commit' | 'abort' | 'open' }
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'kill' | 'expel' | 'rejoin'; readonly process: number }
  | { readonly kind: 'stop'; readonly process: number; readonly deadlineMs: number }
  | { readonly kind: 'start'; readonly hasNewSettings: boolean; readonly version: number }
  | { readonly kind: 'rebalance'; readonly owners: readonly number[] }
  | { readonly kind: 'commits'; readonly faults: readonly (CommitFault | null)[] }
  | { readonly kind: 'registry'; readonly isAway: boolean }
  | { readonly kind: 'outage'; readonly ms: number }
  | { readonly kind: 'profiles' }
  | { readonly kind: 'expelDead' | 'expireTransaction' | 'endForeign' };

export interface Story {
  readonly log: RandomLog;
  readonly happenings: readonly Happening[];
  readonly pace: { readonly recordsMax: number; readonly intervalMs: number };
  readonly dueDevicesMax: number;
  readonly fetchBytes: number;
  readonly longPollMs: number;
  readonly latenciesMs: readonly number[];
}

const process = fc.nat({ max: 3 });

const faults = fc.array(
  fc.constantFrom<CommitFault | null>(null, null, 'committed', 'committed', 'aborted', 'left-open', 'left-open', 'fenced'),
  { minLength: 1, maxLength: 4 },
);

const append = fc.record({
  kind: fc.constant('append' as const),
  records: fc.integer({ min: 1, max: 6 }),
  schemaId: fc.oneof({ weight: 8, arbitrary: fc.constant(1) }, { weight: 2, arbitrary: fc.integer({ min: 2, max: 4 }) }),
  as: fc.oneof(
    { weight: 6, arbitrary: fc.constant('plain' as const) },
    { weight: 3, arbitrary: fc.constantFrom('commit' as const, 'abort' as const, 'open' as const) },
  ),
});

const time = fc.record({
  kind: fc.constant('time' as const),
  ms: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 40 }) },
    { weight: 4, arbitrary: fc.integer({ min: 40, max: 400 }) },
    { weight: 2, arbitrary: fc.integer({ min: 400, max: 5_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 5_000, max: 60_000 }) },
  ),
});

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 12, arbitrary: append },
  { weight: 12, arbitrary: time },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('kill' as const, 'expel' as const, 'rejoin' as const), process }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('stop' as const), process, deadlineMs: fc.constantFrom(5, 10_000, 10_000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('start' as const),
      hasNewSettings: fc.boolean(),
      version: fc.constantFrom(0, 0, 0, 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('rebalance' as const), owners: fc.array(process, { minLength: 3, maxLength: 3 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('commits' as const), faults }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'profiles' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('registry' as const), isAway: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('outage' as const), ms: fc.integer({ min: 1, max: 500 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('expelDead' as const, 'expireTransaction' as const, 'endForeign' as const) }),
  },
);

export const story: fc.Arbitrary<Story> = fc.record({
  log: randomLog({ maxMoves: 60 }),
  happenings: fc.array(happening, { minLength: 1, maxLength: 50, size: 'max' }),
  pace: fc.record({ recordsMax: fc.integer({ min: 1, max: 8 }), intervalMs: fc.constantFrom(5, 50, 200) }),
  dueDevicesMax: fc.constantFrom(1, 2, 5_000),
  fetchBytes: fc.constantFrom(1, 400, 2_000, 100_000),
  longPollMs: fc.constantFrom(500, 5_000, 5_000),
  latenciesMs: fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 7 }),
});

/** Plays a story in a world, to the point where everything that was going to happen has happened. */
export class StoryPlayer {
  readonly #world: AggregatorWorld;
  readonly #records: readonly RecordStep[];
  readonly #changes: readonly SettingsStep[];
  readonly #profiles: readonly ProfilesStep[];
  #nextRecord = 0;
  #nextChange = 0;
  #nextProfiles = 0;
  #settings;

  constructor(world: AggregatorWorld, { setup, steps }: RandomLog) {
    this.#world = world;
    this.#records = steps.filter((step) => step.kind === 'record');
    this.#changes = steps.filter((step) => step.kind === 'settings');
    this.#profiles = steps.filter((step) => step.kind === 'profiles');
    this.#settings = foldSettingsOf(setup.settings);
  }

  async play(happenings: readonly Happening[]): Promise<void> {
    this.#world.start(this.#settings, 0);
    for (const happening of happenings) {
      await this.#happen(happening);
      await this.#world.clock.advance(1);
    }
    this.#append({ records: Number.POSITIVE_INFINITY, schemaId: 1, as: 'plain' });
    await this.#world.heal(this.#settings);
  }

  async #happen(happening: Happening): Promise<void> {
    const world = this.#world;
    switch (happening.kind) {
      case 'append':
        return this.#append(happening);
      case 'time':
        return world.clock.advance(happening.ms);
      case 'kill':
      case 'expel':
      case 'rejoin':
      case 'stop':
        return this.#happenToProcess(happening);
      case 'start':
        return this.#start(happening);
      case 'rebalance':
        return world.rebalance(happening.owners);
      case 'commits':
        return world.scriptCommits(happening.faults);
      case 'registry':
        world.isRegistryAway = happening.isAway;
        return;
      case 'outage':
        world.log.beginOutage();
        await world.clock.advance(happening.ms);
        return world.log.endOutage();
      case 'profiles':
        return world.appendProfiles(this.#profiles[this.#nextProfiles++]?.changes ?? []);
      case 'expelDead':
        return world.expelDead();
      case 'expireTransaction':
        return world.expireTransaction();
      case 'endForeign':
        return world.endForeignTransaction();
    }
  }

  #happenToProcess(happening: Extract<Happening, { process: number }>): void {
    const world = this.#world;
    const one = world.alive[happening.process % Math.max(1, world.alive.length)];
    if (one === undefined) return;
    if (happening.kind === 'kill') one.kill();
    else if (happening.kind === 'stop') world.stop(one, happening.deadlineMs);
    else if (happening.kind === 'expel') world.expel(one.name);
    else one.rejoin();
  }

  #start(happening: { hasNewSettings: boolean; version: number }): void {
    if (happening.hasNewSettings && this.#nextChange < this.#changes.length) {
      this.#settings = foldSettingsOf(this.#changes[this.#nextChange++]!.settings);
    }
    this.#world.start(this.#settings, happening.version);
  }

  #append({ records: count, schemaId, as }: Pick<Extract<Happening, { kind: 'append' }>, 'records' | 'schemaId' | 'as'>): void {
    const records = this.#records.slice(this.#nextRecord, this.#nextRecord + count);
    // What a foreign producer aborts was never there; the same readings come again in good order.
    if (as !== 'abort') this.#nextRecord += records.length;
    if (as === 'plain') this.#world.append(records, schemaId);
    else this.#world.appendInTransaction(records, { schemaId, end: as });
  }
}
