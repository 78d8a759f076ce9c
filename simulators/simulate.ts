import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { TlsTexts } from './device-link.ts';
import { type DeviceFeed, replayFeed, simulatedFeeds } from './feed.ts';
import { type EndReason, Fleet, type FleetCounts } from './fleet.ts';
import { readSeries } from './replay.ts';
import type { RunSettings } from './settings.ts';
import { TruthWriter } from './truth-file.ts';

// One run of the fleet, from its settings to its exit code. Progress: lines for people on stderr, or JSON lines on stdout.

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Aborted: send nothing more, wait for the acknowledgements, leave. */
  readonly stop: AbortSignal;
}

/** One line of `--progress jsonl`. */
export type ProgressEvent = { readonly event: 'started' | 'progress' | 'ended' } & FleetCounts;

const CONNECT_DEADLINE_MS = 5_000;
const LEAVE_DEADLINE_MS = 1_000;
const PROGRESS_JSONL_MS = 1_000;
const PROGRESS_TEXT_MS = 5_000;
/** Readings of the past that the aggregator refuses unless it is told otherwise. */
const DEFAULT_PAST_LIMIT_MS = 7 * 86_400_000;

/** Resolves with the exit code: 0 everything acknowledged, 1 not, 3 no broker. Rejects when the truth file cannot be written or the series not read. */
export async function simulate(settings: RunSettings, { env, stdout, stderr, stop }: Surroundings): Promise<number> {
  const say = (text: string): void => void stderr.write(`simulate: ${text}\n`);
  const series = settings.replay === null ? null : await readSeries(settings.replay.path);
  const firstTs = series?.[0]?.ts;
  if (firstTs !== undefined && firstTs < Date.now() - DEFAULT_PAST_LIMIT_MS) {
    say(`the series begins ${new Date(firstTs).toISOString()}: the aggregator takes it only with EVENT_TIME_PAST_LIMIT=unlimited`);
  }
  // The start is set once more below; the number of readings depends only on how long the run is.
  const clock = { startedAtMs: 0 };
  const feeds =
    settings.replay === null || series === null
      ? simulatedFeeds(simulation(settings, clock))
      : [replayFeed({ ...settings.replay, points: series })];
  const truth =
    settings.truthPath === null ? null : new TruthWriter(settings.truthPath, { startedAt: Date.now(), settings: headerOf(settings) });
  const fleet = makeFleet(feeds, settings, { env, truth, say });

  try {
    await Promise.race([fleet.connect(), whenAborted(stop)]);
    if (stop.aborted) {
      fleet.abandon();
      truth?.close({ endedAt: Date.now(), endedBy: 'stopped', sent: 0, acked: 0 });
      return 0;
    }
  } catch (error) {
    fleet.abandon();
    const { message } = error as Error;
    say(`no MQTT broker took us at ${withoutPassword(settings.url)} (${message}). Start one with 'ingot up', or set MQTT_URL.`);
    return 3;
  }
  say(describe(settings, fleet));
  clock.startedAtMs = Date.now();
  const progress = reportProgress(fleet, settings, { stdout, say });
  const onStop = (): void => fleet.stop();
  stop.addEventListener('abort', onStop, { once: true });
  if (stop.aborted) fleet.stop();
  let reason: EndReason | 'failed' = 'failed';
  try {
    reason = await fleet.run();
  } finally {
    stop.removeEventListener('abort', onStop);
    const { sent, acked } = fleet.counts;
    truth?.close({ endedAt: Date.now(), endedBy: reason, sent, acked });
    progress.end();
  }
  return fleet.counts.acked === fleet.counts.sent ? 0 : 1;
}

async function whenAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

function simulation(settings: RunSettings, clock: { startedAtMs: number }): Parameters<typeof simulatedFeeds>[0] {
  const { devices, ratePerSecond, scenario, seed, cycleMs, durationMs, namePrefix } = settings;
  return {
    story: { scenario, seed, cycleMs },
    schedule: {
      devices,
      ratePerSecond,
      // Read at every reading: a run starts when its connections stand, not when it was planned.
      get startedAtMs() {
        return clock.startedAtMs;
      },
    },
    durationMs,
    namePrefix,
  };
}

function makeFleet(
  feeds: readonly DeviceFeed[],
  settings: RunSettings,
  { env, truth, say }: { env: NodeJS.ProcessEnv; truth: TruthWriter | null; say: (text: string) => void },
): Fleet {
  return new Fleet(feeds, {
    url: settings.url,
    username: env['MQTT_USERNAME'],
    password: env['MQTT_PASSWORD'],
    tls: tlsTexts(env),
    // Two fleets with the same client ids would throw each other out, over and over.
    clientIdPrefix: `ingot-sim-${process.pid}`,
    connectionsMax: settings.connectionsMax,
    inFlightMax: settings.inFlightMax,
    connectDeadlineMs: CONNECT_DEADLINE_MS,
    leaveDeadlineMs: LEAVE_DEADLINE_MS,
    truth,
    warn: say,
  });
}

function tlsTexts(env: NodeJS.ProcessEnv): TlsTexts {
  const paths = { ca: env['MQTT_TLS_CA_FILE'], cert: env['MQTT_TLS_CERT_FILE'], key: env['MQTT_TLS_KEY_FILE'] };
  return Object.fromEntries(Object.entries(paths).flatMap(([name, path]) => (path ? [[name, readFileSync(path, 'utf8')]] : [])));
}

function headerOf(settings: RunSettings): Record<string, string | number | null> {
  const { seed, scenario, devices, ratePerSecond, cycleMs, durationMs, replay } = settings;
  if (replay !== null) return { replay: replay.path, metric: replay.metric, device: replay.device, speed: replay.speed };
  return { seed, scenario, devices, ratePerSecond, cycleMs, durationMs: Number.isFinite(durationMs) ? durationMs : null };
}

function describe(settings: RunSettings, fleet: Fleet): string {
  const { devices, connections } = fleet.counts;
  const shared = connections < devices ? `, sharing ${connections} connections (so their status has no last will)` : '';
  const version = fleet.protocolVersion === 5 ? 'MQTT 5' : 'MQTT 3.1.1';
  const where = `over ${version} to ${withoutPassword(settings.url)}`;
  if (settings.replay !== null) {
    return `replaying ${settings.replay.path} as ${settings.replay.metric} of ${settings.replay.device}, speed ${settings.replay.speed}, ${where}`;
  }
  const plural = devices === 1 ? 'device' : 'devices';
  return `${devices} ${plural}, ${settings.ratePerSecond} readings/s, scenario ${settings.scenario}, seed ${settings.seed}, ${where}${shared}`;
}

function reportProgress(
  fleet: Fleet,
  settings: RunSettings,
  { stdout, say }: { stdout: NodeJS.WritableStream; say: (text: string) => void },
): { end: () => void } {
  const isJson = settings.progress === 'jsonl';
  const report = (event: ProgressEvent['event']): void => {
    const { counts } = fleet;
    if (isJson) stdout.write(`${JSON.stringify({ event, ...counts } satisfies ProgressEvent)}\n`);
    else if (event !== 'started') {
      const trouble = `${counts.refused > 0 ? `, refused ${counts.refused}` : ''}${counts.broken > 0 ? `, broken connections ${counts.broken}` : ''}`;
      say(`${event === 'ended' ? 'done: ' : ''}sent ${counts.sent}, acknowledged ${counts.acked}${trouble}`);
    }
  };
  report('started');
  const timer = setInterval(() => report('progress'), isJson ? PROGRESS_JSONL_MS : PROGRESS_TEXT_MS);
  return {
    end: () => {
      clearInterval(timer);
      report('ended');
    },
  };
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
