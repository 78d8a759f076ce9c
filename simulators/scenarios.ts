import { between, STREAMS, type Stream } from './random.ts';

// Named stories. A story says, for a device and a moment of the run, how far its machine is heated and whether it is online; it
// repeats every `cycleMs`, with a jitter of its own for each device and cycle. Everything is in closed form: nothing is remembered.

export const SCENARIOS = ['steady', 'heatwave', 'flapping', 'late-burst', 'mix'] as const;
export type Scenario = (typeof SCENARIOS)[number];

export const SCENARIO_MEANINGS: Readonly<Record<Scenario, string>> = {
  steady: 'every machine keeps well below 100 Cel',
  heatwave: 'every third machine goes above 100 Cel once a cycle and comes back below 95',
  flapping: 'every second machine trembles around 100 Cel for a while: without a deadband it would raise dozens of alerts',
  'late-burst': 'every second device loses its network once a cycle, overheats meanwhile, and sends its backlog in order when it is back',
  mix: 'of five devices one plays heatwave, one flapping, one late-burst and two steady',
};

/** One cycle of a story: long enough to watch, short enough that a newcomer sees an alert raised and resolved within half of it. */
export const DEFAULT_CYCLE_MS = 60_000;

export interface Story {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly cycleMs: number;
}

/** What the story does to a machine: its temperature is drawn to `targetCel` by `weight` (0 none, 1 wholly), and it trembles. */
export interface Influence {
  readonly targetCel: number;
  readonly weight: number;
  readonly trembleCel: number;
}

type Part = 'steady' | 'heatwave' | 'flapping' | 'late-burst';

const NO_INFLUENCE: Influence = { targetCel: 0, weight: 0, trembleCel: 0 };
const MIXED_PARTS: readonly Part[] = ['heatwave', 'flapping', 'late-burst', 'steady', 'steady'];

/** Which part a device plays: by its number, so that even a fleet of one has something to show. */
export function partOf(scenario: Scenario, device: number): Part {
  switch (scenario) {
    case 'steady':
      return 'steady';
    case 'heatwave':
      return device % 3 === 0 ? 'heatwave' : 'steady';
    case 'flapping':
      return device % 2 === 0 ? 'flapping' : 'steady';
    case 'late-burst':
      return device % 2 === 0 ? 'late-burst' : 'steady';
    case 'mix':
      return MIXED_PARTS[device % MIXED_PARTS.length] ?? 'steady';
  }
}

/** `elapsedMs` counts from the device's first reading of the run. */
export function influenceAt(story: Story, device: number, elapsedMs: number): Influence {
  const part = partOf(story.scenario, device);
  if (part === 'steady') return NO_INFLUENCE;
  const cycle = Math.floor(elapsedMs / story.cycleMs);
  // The pulse before may still be cooling down; the one before that is below any sensor's resolution.
  const weight = pulseWeight(story, device, cycle, elapsedMs) + pulseWeight(story, device, cycle - 1, elapsedMs);
  if (part === 'flapping') return { targetCel: 100, weight, trembleCel: 3 * weight };
  const targetCel = between(address(story, STREAMS.pulse, device, 3 * cycle), 108, 118);
  return { targetCel, weight, trembleCel: 0 };
}

/** Whether the device has its network at that moment of the run. What it measures offline it sends, in order, when it is back. */
export function isOnline(story: Story, device: number, elapsedMs: number): boolean {
  if (partOf(story.scenario, device) !== 'late-burst') return true;
  const cycle = Math.floor(elapsedMs / story.cycleMs);
  const from = between(address(story, STREAMS.outage, device, 2 * cycle), 0.08, 0.14);
  const length = between(address(story, STREAMS.outage, device, 2 * cycle + 1), 0.22, 0.3);
  const at = elapsedMs / story.cycleMs - cycle;
  return at < from || at >= from + length;
}

/**
 * The first-order response (thermal lag) of a machine to a heating that is on during one part of one cycle: the closed form of
 * tau * dw/dt = u - w, with u = 1 while it is on.
 */
function pulseWeight(story: Story, device: number, cycle: number, elapsedMs: number): number {
  if (cycle < 0) return 0;
  const { cycleMs } = story;
  const onAtMs = (cycle + between(address(story, STREAMS.pulse, device, 3 * cycle + 1), 0.05, 0.12)) * cycleMs;
  const onForMs = between(address(story, STREAMS.pulse, device, 3 * cycle + 2), 0.17, 0.25) * cycleMs;
  const tauMs = 0.025 * cycleMs;
  const sinceOnMs = elapsedMs - onAtMs;
  if (sinceOnMs <= 0) return 0;
  if (sinceOnMs <= onForMs) return 1 - Math.exp(-sinceOnMs / tauMs);
  return (1 - Math.exp(-onForMs / tauMs)) * Math.exp(-(sinceOnMs - onForMs) / tauMs);
}

function address(story: Story, stream: Stream, device: number, b: number): Parameters<typeof between>[0] {
  return { seed: story.seed, stream, a: device, b };
}
