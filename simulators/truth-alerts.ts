import type { TruthReading } from './truth-file.ts';

// What one rule makes of one device's readings. A few things decide here that the truth file cannot know exactly: whether a reading
// without acknowledgement arrived, and on which side of a limit a silence fell (the aggregator measures silence on the log's clock, the file
// has the sender's). There the story branches, and each branch is followed; branches that come to the same state are one again. An
// alert that is not the same in all of them is undecided. Rules without `for` and `offDelay` practically never branch.

export interface TruthRule {
  readonly id: string;
  readonly metric: string;
  /** Exactly one of the two. Equality is no breach. */
  readonly above?: number | undefined;
  readonly below?: number | undefined;
  /** How far back over the threshold a value must come to end the episode; 0 = any value that is no breach ends it. */
  readonly deadband: number;
  /** A breach must last for so long, in event time, before an alert is raised. */
  readonly forMs: number;
  /** Values must stay clear for so long, in event time, before it is resolved. */
  readonly offDelayMs: number;
}

/** One alert: from the first breach to the reading (or the timer) that ended it. */
export interface Episode {
  /** Event time of the first breach. */
  readonly raisedAt: number;
  /** Null: still raised after the last reading. */
  readonly resolvedAt: number | null;
  /** The most extreme value among the readings judged in the episode, the one that ended it included. */
  readonly peak: number;
}

export interface ExpectedEpisode extends Episode {
  readonly device: string;
  readonly ruleId: string;
}

export interface Watched {
  /** In the order in which they were raised. */
  readonly episodes: readonly Episode[];
  /** Ranges of `raisedAt`, both ends inclusive. */
  readonly undecided: readonly { readonly fromMs: number; readonly toMs: number }[];
}

/** After this long without a judged reading, an earlier event time is taken for a clock that was set back. */
const TIMELINE_RESTART_MS = 5 * 60_000;
/** Between sending and the log's append time lie moments; a silence this close to its limit may fall on either side. */
const SILENCE_TOLERANCE_MS = 2_000;
/** More branches than this are given up: everything from there on is undecided. */
const BRANCHES_MAX = 32;

/** Everything that decides what comes next. Values are mirrored for `below`, so that a breach is always upwards. */
interface State {
  readonly judgedTs: number;
  readonly judgedAt: number;
  /** Highest event time of the device, and when it was last heard, whatever it said. */
  readonly maxTs: number;
  readonly heardAt: number;
  /** pending: a breach that has not lasted for `for`; recovering: clear, but not for `offDelay`. */
  readonly phase: 'normal' | 'pending' | 'raised' | 'recovering';
  readonly raisedAt: number;
  readonly peak: number;
  readonly clearSince: number;
  readonly timerAt: number;
}

interface Branch {
  readonly state: State;
  /** Ended since this branch left the others. */
  readonly ended: readonly Episode[];
  /** raisedAt of episodes about which branches that are one now did not agree. */
  readonly doubtful: ReadonlySet<number>;
}

interface Limits {
  readonly sign: 1 | -1;
  readonly threshold: number;
  readonly rule: TruthRule;
}

const START: State = {
  judgedTs: Number.NEGATIVE_INFINITY,
  judgedAt: 0,
  maxTs: Number.NEGATIVE_INFINITY,
  heardAt: 0,
  phase: 'normal',
  raisedAt: 0,
  peak: 0,
  clearSince: 0,
  timerAt: 0,
};

/** `readings` are all those of one device, in the order in which they were sent. Throws when the rule has not exactly one threshold. */
export function watch(rule: TruthRule, readings: readonly TruthReading[]): Watched {
  const limits = limitsOf(rule);
  const episodes: Episode[] = [];
  const undecided: { fromMs: number; toMs: number }[] = [];
  const settle = (branch: Branch): Branch => {
    episodes.push(...branch.ended);
    for (const ts of branch.doubtful) undecided.push({ fromMs: ts, toMs: ts });
    return { state: branch.state, ended: [], doubtful: new Set() };
  };

  let branches: Branch[] = [{ state: START, ended: [], doubtful: new Set() }];
  for (const reading of readings) {
    branches = joined(branches.flatMap((branch) => afterReading(branch, reading, limits)));
    const [only] = branches;
    if (branches.length === 1 && only !== undefined) branches = [settle(only)];
    if (branches.length > BRANCHES_MAX) {
      const since = branches.filter((branch) => branch.state.phase !== 'normal').map((branch) => branch.state.raisedAt);
      undecided.push({ fromMs: Math.min(reading.ts, ...since), toMs: Number.POSITIVE_INFINITY });
      break;
    }
  }
  settle(endOf(branches));
  return { episodes: episodes.map((episode) => ({ ...episode, peak: limits.sign * episode.peak })), undecided };
}

function limitsOf(rule: TruthRule): Limits {
  const { above, below } = rule;
  if (above !== undefined && below === undefined) return { sign: 1, threshold: above, rule };
  if (below !== undefined && above === undefined) return { sign: -1, threshold: -below, rule };
  throw new Error(`rule ${rule.id} must have either 'above' or 'below'`);
}

function afterReading(branch: Branch, reading: TruthReading, limits: Limits): Branch[] {
  const heard = afterSilence(branch, reading.sentAt).flatMap((current) => {
    const { state } = current;
    const moved = { ...current, state: { ...state, maxTs: Math.max(state.maxTs, reading.ts), heardAt: reading.sentAt } };
    return judgedOrNot(moved, reading, limits).map(fireWhatHasPassed);
  });
  return reading.acked ? heard : [...heard, branch];
}

/** Silence moves a device's timers on, because other devices (or ticks) move the clock of its partition. */
function afterSilence(branch: Branch, sentAt: number): Branch[] {
  const { state } = branch;
  if (!hasTimer(state)) return [branch];
  const overdueMs = sentAt - (state.heardAt + Math.max(0, state.timerAt - state.maxTs));
  if (overdueMs <= -SILENCE_TOLERANCE_MS) return [branch];
  return overdueMs >= SILENCE_TOLERANCE_MS ? [fire(branch)] : [branch, fire(branch)];
}

/** Alerts judge in event-time order; equal times are in order. */
function judgedOrNot(branch: Branch, reading: TruthReading, limits: Limits): Branch[] {
  const { state } = branch;
  const value = reading.metrics[limits.rule.metric];
  if (value === undefined) return [branch];
  const judged = (from: State): Branch =>
    judge({ ...branch, state: from }, { ts: reading.ts, sentAt: reading.sentAt, value: limits.sign * value }, limits);
  if (reading.ts >= state.judgedTs) return [judged(state)];
  const quietMs = reading.sentAt - state.judgedAt;
  if (quietMs < TIMELINE_RESTART_MS - SILENCE_TOLERANCE_MS) return [branch];
  // The timeline restarts: what was counted on the old one begins anew.
  const phases = { normal: 'normal', pending: 'normal', raised: 'raised', recovering: 'raised' } as const;
  const restarted = judged({ ...state, phase: phases[state.phase] });
  return quietMs > TIMELINE_RESTART_MS + SILENCE_TOLERANCE_MS ? [restarted] : [branch, restarted];
}

function judge(branch: Branch, { ts, sentAt, value }: { ts: number; sentAt: number; value: number }, { threshold, rule }: Limits): Branch {
  const state: State = { ...branch.state, judgedTs: ts, judgedAt: sentAt };
  const isBreach = value > threshold;
  const isClear = rule.deadband === 0 ? !isBreach : value < threshold - rule.deadband;
  const timerStart = Math.max(ts, state.maxTs);
  if (state.phase === 'normal') {
    if (!isBreach) return { ...branch, state };
    const phase = rule.forMs === 0 ? 'raised' : 'pending';
    return { ...branch, state: { ...state, phase, raisedAt: ts, peak: value, timerAt: timerStart + rule.forMs } };
  }
  if (state.phase === 'pending' && !isBreach) return { ...branch, state: { ...state, phase: 'normal' } };
  const higher: State = { ...state, peak: Math.max(state.peak, value) };
  if (state.phase === 'pending') {
    return { ...branch, state: { ...higher, phase: ts - state.raisedAt >= rule.forMs ? 'raised' : 'pending' } };
  }
  if (!isClear) return { ...branch, state: { ...higher, phase: 'raised' } };
  if (rule.offDelayMs === 0) return resolved({ ...branch, state: higher }, ts);
  if (state.phase === 'raised') {
    return { ...branch, state: { ...higher, phase: 'recovering', clearSince: ts, timerAt: timerStart + rule.offDelayMs } };
  }
  return ts - state.clearSince >= rule.offDelayMs ? resolved({ ...branch, state: higher }, ts) : { ...branch, state: higher };
}

function hasTimer(state: State): boolean {
  return state.phase === 'pending' || state.phase === 'recovering';
}

function fire(branch: Branch): Branch {
  const { state } = branch;
  return state.phase === 'pending' ? { ...branch, state: { ...state, phase: 'raised' } } : resolved(branch, state.timerAt);
}

/** What the device's own clock has passed has lasted, even when the reading said nothing about the metric. */
function fireWhatHasPassed(branch: Branch): Branch {
  return hasTimer(branch.state) && branch.state.timerAt <= branch.state.maxTs ? fire(branch) : branch;
}

function resolved(branch: Branch, at: number): Branch {
  const { raisedAt, peak } = branch.state;
  return { ...branch, state: { ...branch.state, phase: 'normal' }, ended: [...branch.ended, { raisedAt, resolvedAt: at, peak }] };
}

/** Branches in the same state are one; what they did not agree upon is doubtful. */
function joined(branches: readonly Branch[]): Branch[] {
  if (branches.length === 1) return [...branches];
  const byState = Map.groupBy(branches, ({ state }) => JSON.stringify(relevant(state)));
  return [...byState.values()].map((group) => group.reduce(agreement));
}

/** Of a phase that has no timer or no episode, the left-over numbers do not matter. */
function relevant(state: State): State {
  const { phase } = state;
  return {
    ...state,
    ...(phase === 'normal' ? { raisedAt: 0, peak: 0 } : {}),
    clearSince: phase === 'recovering' ? state.clearSince : 0,
    timerAt: hasTimer(state) ? state.timerAt : 0,
  };
}

function agreement(a: Branch, b: Branch): Branch {
  const texts = (branch: Branch): Set<string> => new Set(branch.ended.map((episode) => JSON.stringify(episode)));
  const [inA, inB] = [texts(a), texts(b)];
  const isShared = (episode: Episode): boolean => inA.has(JSON.stringify(episode)) && inB.has(JSON.stringify(episode));
  const disputed = [...a.ended, ...b.ended].filter((episode) => !isShared(episode));
  const doubtful = new Set([...a.doubtful, ...b.doubtful, ...disputed.map((episode) => episode.raisedAt)]);
  return { state: a.state, ended: a.ended.filter(isShared), doubtful };
}

/** After the last reading a timer that still runs elapses, or not, depending on how long somebody waits. */
function endOf(branches: readonly Branch[]): Branch {
  const ends = branches.flatMap((branch) => (hasTimer(branch.state) ? [branch, fire(branch)] : [branch]));
  return ends
    .map(({ state, ended, doubtful }) => {
      const isOpen = state.phase === 'raised' || state.phase === 'recovering';
      const open = { raisedAt: state.raisedAt, resolvedAt: null, peak: state.peak };
      return { state, ended: isOpen ? [...ended, open] : ended, doubtful };
    })
    .reduce(agreement);
}
