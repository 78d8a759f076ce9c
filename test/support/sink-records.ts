import type { Alert } from '../../src/core/alert-record.ts';
import type { WindowAggregate } from '../../src/core/window-aggregate.ts';
import type { SinkRecord, SinkSlice } from '../../src/sql/sink-slice.ts';

// Rows for tests of the sink.

const MINUTE_MS = 60_000;
const START_MS = 1_700_000_040_000;

export function aggregate(change: Partial<WindowAggregate> = {}): WindowAggregate {
  return {
    deviceId: 'pump-1',
    metric: 'temperature',
    unit: 'Cel',
    windowStart: START_MS,
    windowEnd: START_MS + MINUTE_MS,
    part: 7,
    count: 3,
    min: 20.1,
    max: 22.25,
    mean: 21,
    sum: 63,
    m2: 2.5,
    first: 20.1,
    firstTime: START_MS + 1,
    last: 22.25,
    lastTime: START_MS + 59_999,
    closedBy: 'TIME',
    labels: { site: 'd\'or "1"' },
    ...change,
  };
}

export function alert(change: Partial<Alert> = {}): Alert {
  return {
    alertId: '6f1d3c52-8a0e-5b7c-9f44-2d1e6c0a7b38',
    fingerprint: 'b2b6f1d3-8a0e-5b7c-9f44-2d1e6c0a7b38',
    ruleId: 'high-temperature',
    ruleVersion: 1,
    deviceId: 'pump-1',
    metric: 'temperature',
    severity: 'CRITICAL',
    state: 'FIRING',
    transition: 'RAISED',
    value: 101.5,
    peakValue: 101.5,
    threshold: 100,
    clearThreshold: 95,
    unit: 'Cel',
    raisedAt: START_MS,
    transitionAt: START_MS,
    resolvedAt: null,
    transitionNumber: 1,
    sampleCount: 1,
    suppressed: false,
    acknowledgedBy: null,
    summary: 'temperature 101.5 Cel is above 100',
    labels: {},
    evidence: [{ topic: 'telemetry.readings', partition: 3, offset: 12 }],
    ...change,
  };
}

export function resolved(change: Partial<Alert> = {}): Alert {
  const resolvedAt = START_MS + 5_000;
  return alert({
    state: 'RESOLVED',
    transition: 'RESOLVED',
    value: 90,
    transitionAt: resolvedAt,
    resolvedAt,
    transitionNumber: 2,
    ...change,
  });
}

/** A slice of a partition that holds these rows from `from` on, one offset each. */
export function slice(change: Partial<SinkSlice> & { rows?: readonly WindowAggregate[]; transitions?: readonly Alert[] }): SinkSlice {
  const { rows = [], transitions = [], ...rest } = change;
  const from = change.from ?? 0;
  const record = <Value>(value: Value, index: number): SinkRecord<Value> => {
    const buffer = Buffer.from(`key${index}value`);
    return { value, offset: from + index, buffer, keyStart: 0, keyEnd: 4, valueStart: 4, valueEnd: buffer.length };
  };
  const count = rows.length + transitions.length;
  return {
    topic: 'aggregates',
    partition: 0,
    from,
    to: from + count,
    last: count === 0 ? null : { offset: from + count - 1, appendedAtMs: START_MS + from + count },
    aggregates: rows.map(record),
    alerts: transitions.map(record),
    rejected: [],
    ...rest,
  };
}
