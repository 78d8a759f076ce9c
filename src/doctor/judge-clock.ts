import { type Finding, fail, ok, spanText, warn } from './finding.ts';

const CHECK = 'clock';

/** The aggregator stops at a record that is stamped further ahead of its machine's clock. */
const AHEAD_MS_MAX = 3_600_000;
const WARN_MS = 5_000;

export interface ClockReading {
  /** How the broker stamped a record. */
  readonly appendTimeMs: number;
  /** This machine's clock before the record was sent, and after its answer. */
  readonly beforeMs: number;
  readonly afterMs: number;
}

/** The broker's clock against this machine's: readings are judged by the broker's, the bridge stamps them by its own. */
export function judgeClock({ appendTimeMs, beforeMs, afterMs }: ClockReading): Finding {
  const uncertainMs = (afterMs - beforeMs) / 2;
  const aheadMs = appendTimeMs - (beforeMs + afterMs) / 2;
  const apartMs = Math.max(0, Math.abs(aheadMs) - uncertainMs);
  const how = `by the time that the broker stamped on a record, to within ${spanText(uncertainMs)}`;
  if (apartMs < WARN_MS) return ok(CHECK, `Kafka's and this machine's agree, ${how}`);
  const what = `Kafka's clock is ${spanText(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's, ${how}`;
  if (aheadMs > AHEAD_MS_MAX) return fail(CHECK, what, 'Correct one of them (NTP): an aggregator here would stop with APPEND_TIME_AHEAD');
  return warn(CHECK, what, 'Correct one of them (NTP): EVENT_TIME_SKEW and the latencies shown are measured across both');
}
