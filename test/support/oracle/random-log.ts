// Random logs of one partition for property tests: small devices, small windows, values around thresholds, times on a coarse
// grid so that boundaries are hit often. A log is made from a list of independent moves, so that shrinking any of them, or
// leaving some out, gives a valid log again.

import fc from 'fast-check';
import type { OracleLevel, OracleProfile, OracleRule, OracleSettings, OracleSetup, OracleStep } from './fold-steps.ts';
import { partitionOfKey } from './murmur2.ts';
import { plainReading } from './plain-reading.ts';

export interface RandomLog {
  readonly setup: OracleSetup;
  readonly steps: readonly OracleStep[];
}

const BASE_MS = Date.UTC(2026, 0, 1);
const SECOND_MS = 1000;
const PARTITION = 1;
const PARTITION_COUNT = 3;
const [OWN_DEVICES, FOREIGN_DEVICES] = namesByRoute();

function namesByRoute(): [string[], string[]] {
  const names = Array.from({ length: 20 }, (_, index) => `d${index}`);
  const isOwn = (name: string) => partitionOfKey(name, PARTITION_COUNT) === PARTITION;
  return [names.filter(isOwn).slice(0, 4), names.filter((name) => !isOwn(name)).slice(0, 2)];
}

interface ReadMove {
  readonly kind: 'read';
  readonly device: number;
  readonly advanceMs: number;
  readonly lagMs: number;
  readonly values: { readonly temperature?: number; readonly vibration?: number; readonly drift?: number };
  /** A temperature among the metrics, where only other names belong. */
  readonly aside: number | null;
  readonly identity: number;
  readonly replay: { readonly waitedMs: number; readonly identity: string } | null;
  readonly isAggregatable: boolean;
  readonly offsetGap: number;
  readonly fault: 'none' | 'undecodable' | 'otherKey' | 'noKey' | 'foreign';
}
interface TickMove {
  readonly kind: 'tick';
  readonly advanceMs: number;
}
interface SettingsMove {
  readonly kind: 'settings';
  readonly settings: OracleSettings;
  /** Whether window, grace and idle stay as they were, so that parts stay open across the change. */
  readonly isKeepingParts: boolean;
}
interface ProfileMove {
  readonly kind: 'profiles';
  readonly changes: readonly { readonly device: number; readonly profile: OracleProfile | null }[];
}
type Move = ReadMove | TickMove | SettingsMove | ProfileMove;

const seconds = (...values: number[]) => fc.constantFrom(...values.map((value) => value * SECOND_MS));

/** Mostly a little, sometimes back, sometimes over the five minutes of the alerts' restart, seldom hours. */
const appendAdvance = fc.oneof(
  { weight: 10, arbitrary: seconds(0, 1, 2, 5, 10) },
  { weight: 3, arbitrary: seconds(20, 30, 60, 90) },
  { weight: 2, arbitrary: seconds(-1, -10, -60, -600, -3 * 3600) },
  { weight: 2, arbitrary: seconds(300, 301, 600, 3600, 24 * 3600, 25 * 3600) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 3000 }) },
);

/** How far the event time lies behind the append time. */
const eventLag = fc.oneof(
  { weight: 8, arbitrary: seconds(0, 1, 2, 5, 10) },
  { weight: 4, arbitrary: seconds(15, 20, 30, 60, 120, 299) },
  { weight: 2, arbitrary: seconds(-1, -10, -60, -61, 600, 3600, 6 * 3600) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 70_000 }) },
);

const values = fc.record(
  {
    temperature: fc.constantFrom(20, 94.9, 95, 97, 100, 100.1, 130.7),
    vibration: fc.constantFrom(-3, 0, 0.1, 0.2, 1, 2),
    drift: fc.double({ min: -1e6, max: 1e6, noNaN: true }),
  },
  { requiredKeys: [] },
);

/** How long a letter says that it waited, at times what cannot be, and an identity, at times none. */
const replay = fc.record({
  waitedMs: seconds(0, -1, 60, 600, 3600, 24 * 3600, 60 * 24 * 3600, 60 * 24 * 3600 + 1),
  identity: fc.constantFrom('1', '2', '3', '77', '0', '007', '-1', ''),
});

const readMove: fc.Arbitrary<ReadMove> = fc.record({
  kind: fc.constant('read' as const),
  device: fc.nat({ max: OWN_DEVICES.length - 1 }),
  advanceMs: appendAdvance,
  lagMs: eventLag,
  values: fc.oneof(
    { weight: 3, arbitrary: fc.record({ temperature: fc.constantFrom(20, 97, 100, 101, 105, 110, 111, 121) }) },
    { weight: 4, arbitrary: values },
  ),
  aside: fc.oneof({ weight: 12, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constantFrom(20, 101) }),
  identity: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.integer({ min: 1, max: 6 }) }),
  replay: fc.oneof({ weight: 6, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: replay }),
  isAggregatable: fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  offsetGap: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) }),
  fault: fc.oneof(
    { weight: 20, arbitrary: fc.constant('none' as const) },
    { weight: 1, arbitrary: fc.constantFrom('undecodable' as const, 'otherKey' as const, 'noKey' as const, 'foreign' as const) },
  ),
});

const tickMove: fc.Arbitrary<TickMove> = fc.record({
  kind: fc.constant('tick' as const),
  advanceMs: seconds(-5, 0, 1, 5, 10, 30, 60, 120, 600, 8 * 24 * 3600),
});

/** Ladders upwards and downwards, also such as no rules file may hold: the fold has an answer to everything. */
function ladder(threshold: number): fc.Arbitrary<readonly OracleLevel[]> {
  const level = (distance: number, severity: OracleLevel['severity']) => ({ threshold: threshold + distance, severity });
  return fc.oneof(
    { weight: 4, arbitrary: fc.constant([]) },
    { weight: 3, arbitrary: fc.constant([level(1, 'WARNING'), level(10, 'CRITICAL')]) },
    { weight: 1, arbitrary: fc.constantFrom([level(10, 'CRITICAL')], [level(-3, 'WARNING')], [level(10, 'INFO'), level(1, 'CRITICAL')]) },
  );
}

function thresholdArbitrary(threshold: number) {
  return fc.record({
    threshold: fc.constantFrom(threshold, threshold - 3, threshold + 1, threshold + 10),
    deadband: fc.constantFrom(null, null, 0, 5),
    levels: fc.option(ladder(threshold), { freq: 1 }),
  });
}

const profile: fc.Arbitrary<OracleProfile> = fc.record({
  labels: fc.constantFrom({}, { site: 'south' }, { floor: '2' }, { site: 'west', floor: '3' }),
  thresholds: fc.record(
    { hot: thresholdArbitrary(100), shaky: thresholdArbitrary(0.1), gone: thresholdArbitrary(1) },
    { requiredKeys: [] },
  ),
  disabledRules: fc.subarray(['hot', 'cold', 'shaky', 'gone'], { maxLength: 2 }),
});

const profileMove: fc.Arbitrary<ProfileMove> = fc.record({
  kind: fc.constant('profiles' as const),
  changes: fc.array(fc.record({ device: fc.nat({ max: OWN_DEVICES.length - 1 }), profile: fc.option(profile, { freq: 3 }) }), {
    minLength: 1,
    maxLength: 3,
  }),
});

function ruleArbitrary(id: string, metric: string, threshold: number, unit: string): fc.Arbitrary<OracleRule> {
  return fc.record({
    id: fc.constant(id),
    version: fc.constant(1),
    metric: fc.constant(metric),
    direction: fc.oneof({ weight: 4, arbitrary: fc.constant('above' as const) }, { weight: 1, arbitrary: fc.constant('below' as const) }),
    threshold: fc.constant(threshold),
    deadband: fc.constantFrom(0, 0, 5),
    forMs: seconds(0, 0, 10, 60, 600),
    offDelayMs: seconds(0, 0, 10, 60, 600),
    severity: fc.constantFrom('INFO' as const, 'WARNING' as const, 'CRITICAL' as const),
    unit: fc.constantFrom(unit, ''),
    labels: fc.constantFrom({}, { site: 'north' }),
    levels: ladder(threshold),
    staleAfterMs: fc.option(seconds(1, 30, 60, 300, 8 * 24 * 3600), { freq: 1 }),
  });
}

const rules: fc.Arbitrary<OracleRule[]> = fc
  .tuple(
    fc.option(ruleArbitrary('hot', 'temperature', 100, 'K'), { freq: 8 }),
    fc.option(ruleArbitrary('cold', 'temperature', 97, 'Cel'), { freq: 2 }),
    fc.option(ruleArbitrary('shaky', 'vibration', 0.1, 'mm/s'), { freq: 2 }),
    fc.option(ruleArbitrary('Shaky', 'vibration', 1, 'um/s'), { freq: 1 }),
  )
  .map((all) => all.filter((rule) => rule !== null));

/** Settings with everything small. `duplicateOffsets` is fixed per log: what a table held before it grew is not part of the specification. */
function settingsArbitrary(duplicateOffsets: number): fc.Arbitrary<OracleSettings> {
  return fc.record({
    windowMs: seconds(60, 60, 20, 10, 7),
    graceMs: seconds(10, 10, 2, 0),
    idleMs: seconds(30, 30, 5, 0),
    batchSize: fc.constantFrom(0, 0, 0, 1, 2, 3),
    skewMs: seconds(60, 60, 0),
    pastLimitMs: fc.constantFrom(null, 3_600_000, 3_600_000, 600_000, 60_000),
    maxOpenParts: fc.constantFrom(100, 100, 3, 2, 1),
    maxDevices: fc.constantFrom(100, 100, 3, 2, 1),
    duplicateOffsets: fc.constant(duplicateOffsets),
    rules,
  });
}

/** Plays the moves: a clock for append times, a counter for offsets. */
function logOfMoves(settings: OracleSettings, moves: readonly Move[]): RandomLog {
  let now = BASE_MS;
  let highest = BASE_MS;
  let offset = 0;
  let { windowMs, graceMs, idleMs } = settings;
  const steps = moves.map((move): OracleStep => {
    if (move.kind === 'settings') {
      if (!move.isKeepingParts) ({ windowMs, graceMs, idleMs } = move.settings);
      return { kind: 'settings', settings: { ...move.settings, windowMs, graceMs, idleMs } };
    }
    if (move.kind === 'profiles') {
      return { kind: 'profiles', changes: move.changes.map(({ device, profile }) => [OWN_DEVICES[device]!, profile] as const) };
    }
    if (move.kind === 'tick') {
      highest = Math.max(highest, highest + move.advanceMs);
      now = highest;
      return { kind: 'tick', P: highest + Math.min(0, move.advanceMs) };
    }
    now += move.advanceMs;
    highest = Math.max(highest, now);
    offset += 1 + move.offsetGap;
    const deviceId = move.fault === 'foreign' ? FOREIGN_DEVICES[move.device % FOREIGN_DEVICES.length]! : OWN_DEVICES[move.device]!;
    const { temperature = null, ...others } = move.values;
    const reading = plainReading({
      deviceId,
      eventTime: now - move.lagMs,
      receivedAt: now,
      identity: move.identity,
      aggregatable: move.isAggregatable,
      temperature,
      metrics: move.aside === null ? others : { ...others, temperature: move.aside },
    });
    return {
      kind: 'record',
      offset,
      appendTime: now,
      key: keyOf(move.fault, deviceId),
      headers: headersOf(move.replay, now),
      reading: move.fault === 'undecodable' ? null : reading,
    };
  });
  return { setup: { partition: PARTITION, partitionCount: PARTITION_COUNT, settings }, steps };
}

function headersOf(claims: ReadMove['replay'], now: number): Record<string, string> {
  return claims === null ? {} : { 'first-append-time': String(now - claims.waitedMs), 'replay-identity': claims.identity };
}

function keyOf(fault: ReadMove['fault'], deviceId: string): string | null {
  if (fault === 'noKey') return null;
  return fault === 'otherKey' ? OWN_DEVICES.find((name) => name !== deviceId)! : deviceId;
}

/** A log of up to `maxMoves` records, ticks and changes of settings and profiles. */
export function randomLog(options: { maxMoves?: number } = {}): fc.Arbitrary<RandomLog> {
  return fc.constantFrom(20, 3, 0).chain((duplicateOffsets) => {
    const settings = settingsArbitrary(duplicateOffsets);
    const settingsMove = fc.record({ kind: fc.constant('settings' as const), settings, isKeepingParts: fc.boolean() });
    const move: fc.Arbitrary<Move> = fc.oneof(
      { weight: 30, arbitrary: readMove },
      { weight: 4, arbitrary: tickMove },
      { weight: 2, arbitrary: settingsMove },
      { weight: 2, arbitrary: profileMove },
    );
    const moves = fc.array(move, { maxLength: options.maxMoves ?? 60, size: 'max' });
    return fc.tuple(settings, moves).map(([initial, list]) => logOfMoves(initial, list));
  });
}
