import { type ActualAlert, compareAlerts } from './compare-alerts.ts';
import { type ActualAggregate, compareWindows } from './compare-windows.ts';
import type { Difference } from './difference.ts';
import type { TruthRule } from './truth-alerts.ts';
import type { TruthReading } from './truth-file.ts';

// Compares what came out of the pipeline with what was sent. Pure: arrays in, a list of differences out.

export interface ComparisonSettings {
  readonly windowSizeMs: number;
  readonly rules: readonly TruthRule[];
}

export interface Comparison {
  readonly readingsSent: number;
  readonly readingsAcked: number;
  /** Merged windows and alerts that the truth demands, and how many of them came out as demanded. */
  readonly windowsExpected: number;
  readonly windowsEqual: number;
  readonly alertsExpected: number;
  readonly alertsEqual: number;
  /** Not judged: they depend on readings that were never acknowledged, or on a silence that ends too close to a limit. */
  readonly windowsUndecided: number;
  readonly alertsUndecided: number;
  readonly differences: readonly Difference[];
}

/**
 * Rows of devices that the truth does not know, and rows from before a device's first reading or after its last, belong to somebody
 * else and are left out.
 */
export function compare(
  readings: readonly TruthReading[],
  settings: ComparisonSettings,
  actual: { readonly aggregates: readonly ActualAggregate[]; readonly alerts: readonly ActualAlert[] },
): Comparison {
  const spans = deviceSpans(readings);
  const windows = compareWindows(readings, settings.windowSizeMs, ownAggregates(actual.aggregates, spans, settings.windowSizeMs));
  const alerts = compareAlerts(readings, settings.rules, ownAlerts(actual.alerts, spans));
  return {
    readingsSent: readings.length,
    readingsAcked: readings.filter((reading) => reading.acked).length,
    windowsExpected: windows.expected,
    windowsEqual: windows.equal,
    windowsUndecided: windows.undecided,
    alertsExpected: alerts.expected,
    alertsEqual: alerts.equal,
    alertsUndecided: alerts.undecided,
    differences: [...windows.differences, ...alerts.differences],
  };
}

interface Span {
  firstTs: number;
  lastTs: number;
}

function deviceSpans(readings: readonly TruthReading[]): ReadonlyMap<string, Span> {
  const spans = new Map<string, Span>();
  for (const { device, ts } of readings) {
    const span = spans.get(device);
    if (span === undefined) spans.set(device, { firstTs: ts, lastTs: ts });
    else {
      span.firstTs = Math.min(span.firstTs, ts);
      span.lastTs = Math.max(span.lastTs, ts);
    }
  }
  return spans;
}

function ownAggregates(rows: readonly ActualAggregate[], spans: ReadonlyMap<string, Span>, windowSizeMs: number): ActualAggregate[] {
  return rows.filter((row) => {
    const span = spans.get(row.deviceId);
    return span !== undefined && row.windowStart > span.firstTs - windowSizeMs && row.windowStart <= span.lastTs;
  });
}

function ownAlerts(rows: readonly ActualAlert[], spans: ReadonlyMap<string, Span>): ActualAlert[] {
  return rows.filter((row) => {
    const span = spans.get(row.deviceId);
    return span !== undefined && row.raisedAt >= span.firstTs && row.raisedAt <= span.lastTs;
  });
}
