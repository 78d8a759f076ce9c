import { describe, expect, test } from 'vitest';
import type { Alert } from '../../../src/core/alert-record.ts';
import { FiringAlerts } from '../../../src/notices/firing-alerts.ts';

const ALERT: Alert = {
  alertId: 'a1',
  fingerprint: 'f1',
  ruleId: 'hot',
  ruleVersion: 1,
  deviceId: 'd1',
  metric: 'temperature',
  severity: 'WARNING',
  state: 'FIRING',
  transition: 'RAISED',
  value: 101,
  peakValue: 101,
  threshold: 100,
  clearThreshold: 95,
  unit: 'Cel',
  raisedAt: 1_000,
  transitionAt: 1_000,
  resolvedAt: null,
  transitionNumber: 1,
  sampleCount: 1,
  suppressed: false,
  acknowledgedBy: null,
  summary: 'temperature 101 Cel is above 100 Cel',
  labels: { site: 'hall-3' },
  evidence: [],
};
const RESOLVED = { ...ALERT, state: 'RESOLVED', transition: 'RESOLVED', transitionNumber: 2 } as const;
const at = (offset: number, partition = 0) => ({ partition, offset });
const retainedOf = (entries: Record<string, string>) => new Map(Object.entries(entries).map(([topic, text]) => [topic, Buffer.from(text)]));

describe('alerts that fire', () => {
  test('are retained, with everything but evidence; their end is told and nothing is left', () => {
    const firing = new FiringAlerts('plant/alerts/');
    const [raised] = firing.apply(ALERT, at(7));
    expect(raised).toMatchObject({ topic: 'plant/alerts/d1/hot', retain: true });
    expect(JSON.parse(raised!.payload)).toMatchObject({ alertId: 'a1', transitionNumber: 1, labels: { site: 'hall-3' }, record: at(7) });
    expect(JSON.parse(raised!.payload)).not.toHaveProperty('evidence');
    const ended = firing.apply(RESOLVED, at(8));
    expect(ended).toMatchObject([
      { topic: 'plant/alerts/d1/hot', retain: false },
      { topic: 'plant/alerts/d1/hot', payload: '', retain: true },
    ]);
    expect(JSON.parse(ended[0]!.payload)).toMatchObject({ state: 'RESOLVED', transitionNumber: 2 });
    expect(firing.size).toBe(0);
  });

  test('a silence is an alert of its own', () => {
    const firing = new FiringAlerts('alerts/');
    firing.apply(ALERT, at(0));
    expect(firing.apply({ ...ALERT, ruleId: 'hot:stale', state: 'STALE' }, at(1))).toMatchObject([
      { topic: 'alerts/d1/hot:stale', retain: true },
    ]);
    expect(firing.size).toBe(2);
  });

  test.each([{ deviceId: 'a/b' }, { deviceId: '+' }, { deviceId: '' }, { ruleId: '#' }, { ruleId: 'hot:other' }])(
    'what would be another topic is left out: %j',
    (change) => {
      const firing = new FiringAlerts('alerts/');
      expect(firing.apply({ ...ALERT, ...change }, at(0))).toEqual([]);
      expect(firing.size).toBe(0);
    },
  );

  test('are bounded; what is kept goes on to be told', () => {
    const firing = new FiringAlerts('alerts/');
    for (let device = 0; device < 50_000; device++) firing.apply({ ...ALERT, deviceId: `d${device}` }, at(device));
    expect(firing.isFull).toBe(true);
    expect(firing.apply({ ...ALERT, deviceId: 'one-more' }, at(60_000))).toEqual([]);
    expect(firing.apply({ ...ALERT, deviceId: 'd5', transitionNumber: 2 }, at(60_001))).toHaveLength(1);
    expect(firing.apply({ ...RESOLVED, deviceId: 'one-more' }, at(60_002))).toHaveLength(2);
    expect(firing.size).toBe(50_000);
  });
});

describe('reconciling', () => {
  test('publishes what is missing or older, and takes away what does not fire', () => {
    const firing = new FiringAlerts('alerts/');
    const [kept] = firing.apply(ALERT, at(5));
    const [missing] = firing.apply({ ...ALERT, deviceId: 'd2' }, at(6));
    const [newer] = firing.apply({ ...ALERT, deviceId: 'd3', transitionNumber: 2 }, at(7));
    const retained = retainedOf({
      'alerts/d1/hot': kept!.payload,
      'alerts/d3/hot': JSON.stringify({ ...JSON.parse(newer!.payload), transitionNumber: 1 }),
      'alerts/gone/hot': JSON.stringify({ record: at(3) }),
      'alerts/foreign/hot': 'who knows',
    });
    expect(firing.reconcile(retained, [0])).toEqual([
      { topic: 'alerts/gone/hot', payload: '', retain: true },
      { topic: 'alerts/foreign/hot', payload: '', retain: true },
      missing,
      newer,
    ]);
  });

  test('leaves alone what was raised before the topic begins', () => {
    const firing = new FiringAlerts('alerts/');
    const retained = retainedOf({
      'alerts/old/hot': JSON.stringify({ record: at(9, 1) }),
      'alerts/new/hot': JSON.stringify({ record: at(9, 0) }),
    });
    expect(firing.reconcile(retained, [5, 10])).toEqual([{ topic: 'alerts/new/hot', payload: '', retain: true }]);
  });
});
