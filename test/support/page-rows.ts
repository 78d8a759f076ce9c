import type { Alert } from '../../src/core/alert-record.ts';
import type { Reading } from '../../src/core/reading.ts';
import type { WindowAggregate } from '../../src/core/window-aggregate.ts';

// Values of the topics that the page reads, with what a test does not care about filled in.

export function aReading(deviceId: string, fields: Partial<Reading> = {}): Reading {
  return {
    deviceId,
    eventTime: 0,
    receivedAt: 0,
    eventTimeSource: 'DEVICE',
    sequence: null,
    messageId: null,
    identity: 0,
    aggregatable: true,
    status: null,
    temperature: null,
    humidity: null,
    pressure: null,
    battery: null,
    voltage: null,
    current: null,
    power: null,
    co2: null,
    illuminance: null,
    metrics: {},
    attributes: {},
    ...fields,
  };
}

export function aWindow(deviceId: string, fields: Partial<WindowAggregate> & { mean: number; windowStart: number }): WindowAggregate {
  const { mean, windowStart, count = 10 } = fields;
  return {
    deviceId,
    metric: 'temperature',
    unit: 'Cel',
    windowEnd: windowStart + 10_000,
    part: 0,
    count,
    min: mean - 1,
    max: mean + 1,
    sum: mean * count,
    m2: 0,
    first: mean,
    firstTime: windowStart,
    last: mean,
    lastTime: windowStart + 9_000,
    closedBy: 'TIME',
    labels: {},
    ...fields,
  };
}

export function anAlert(deviceId: string, fields: Partial<Alert> = {}): Alert {
  const { transition = 'RAISED', value = 104.2 } = fields;
  return {
    alertId: `alert of ${deviceId}`,
    fingerprint: deviceId,
    ruleId: 'high-temperature',
    ruleVersion: 1,
    deviceId,
    metric: 'temperature',
    severity: 'CRITICAL',
    state: transition === 'RAISED' ? 'FIRING' : 'RESOLVED',
    transition,
    value,
    peakValue: value,
    threshold: 100,
    clearThreshold: 95,
    unit: 'Cel',
    raisedAt: 0,
    transitionAt: 0,
    resolvedAt: null,
    transitionNumber: transition === 'RAISED' ? 1 : 2,
    sampleCount: 1,
    suppressed: false,
    acknowledgedBy: null,
    summary: '',
    labels: {},
    evidence: [],
    ...fields,
  };
}
