import { describe, expect, test } from 'vitest';
import { ReadModel, type ReadModelLimits } from '../../../src/dashboard/read-model.ts';
import { shortText } from '../../../src/dashboard/short-text.ts';
import { anAlert, aReading, aWindow } from '../../support/page-rows.ts';

const LIMITS: ReadModelLimits = {
  devicesMax: 3,
  valuesPerDeviceMax: 4,
  seriesPerDeviceMax: 2,
  windowsPerSeries: 4,
  silentAfterMs: 10_000,
  firingMax: 3,
  firingShownMax: 2,
  recentMax: 4,
  rowsPerDeltaMax: 2,
};

const model = (limits: Partial<ReadModelLimits> = {}) => new ReadModel({ ...LIMITS, ...limits });
const idsOf = (rows: readonly { readonly deviceId: string }[]) => rows.map((row) => row.deviceId);

describe('devices', () => {
  test('show what they said last, common metrics first', () => {
    const read = model();
    read.observeReading(aReading('a', { eventTime: 900, temperature: 20, metrics: { zeal: 1, vigour: 2 }, status: 'ok' }), 1_000);
    read.observeReading(aReading('a', { eventTime: 1_900, temperature: 21, humidity: 40, metrics: { zeal: 3 }, status: 'warm' }), 2_000);
    const values = [
      { metric: 'temperature', unit: 'Cel', value: 21 },
      { metric: 'humidity', unit: '%RH', value: 40 },
      { metric: 'zeal', unit: '', value: 3 },
    ];
    const expected = {
      deviceId: 'a',
      heardMs: 2_000,
      eventTimeMs: 1_900,
      status: 'warm',
      values,
      isSilent: false,
      firing: null,
      spark: null,
    };
    expect(read.snapshot(3_000).devices).toEqual([expected]);
  });

  test('are silent when nothing was heard for long enough, and live again with the next reading', () => {
    const read = model();
    read.observeReading(aReading('a'), 1_000);
    expect(read.snapshot(11_000).counts.silent).toBe(0);
    read.takeDelta(11_000);
    expect(read.takeDelta(11_001)).toMatchObject({ counts: { silent: 1 }, devices: [{ deviceId: 'a', isSilent: true }] });
    expect(read.takeDelta(11_002).devices).toEqual([]);
    read.observeReading(aReading('a'), 12_000);
    expect(read.takeDelta(12_000).devices).toMatchObject([{ isSilent: false }]);
  });

  test('are known from their windows before they speak', () => {
    const read = model();
    read.observeAggregate(aWindow('a', { windowStart: 10_000, mean: 20 }), 21_000);
    const spark = { metric: 'temperature', unit: 'Cel', means: [20] };
    expect(read.snapshot(22_000).devices).toMatchObject([
      { deviceId: 'a', heardMs: null, eventTimeMs: 19_000, isSilent: true, values: [], spark },
    ]);
  });

  test('have the line of their temperature, or of what they say first', () => {
    const read = model({ seriesPerDeviceMax: 3 });
    read.observeReading(aReading('a', { metrics: { x: 1 } }), 1_000);
    read.observeAggregate(aWindow('a', { metric: 'y', windowStart: 0, mean: 2 }), 1_000);
    read.observeAggregate(aWindow('a', { metric: 'x', windowStart: 0, mean: 1 }), 1_000);
    expect(read.snapshot(2_000).devices[0]!.spark).toMatchObject({ metric: 'x', means: [1] });
  });

  test('are shown alone with all windows and their alerts', () => {
    const read = model();
    read.observeReading(aReading('a', { temperature: 101 }), 1_000);
    read.observeAggregate(aWindow('a', { windowStart: 0, mean: 20 }), 11_000);
    read.observeAggregate(aWindow('a', { windowStart: 0, mean: 30 }), 12_000);
    read.observeAlert(anAlert('a'), 1_500);
    read.observeAlert(anAlert('b'), 1_600);
    const detail = read.device('a', 2_000)!;
    expect(detail.series).toEqual([
      { metric: 'temperature', unit: 'Cel', windows: [{ startMs: 0, endMs: 10_000, count: 20, min: 19, mean: 25, max: 31 }] },
    ]);
    expect(idsOf(detail.alerts.firing)).toEqual(['a']);
    expect(idsOf(detail.alerts.recent)).toEqual(['a']);
    expect(detail.firing).toEqual({ count: 1, severity: 'CRITICAL' });
    expect(read.device('nobody', 2_000)).toBeNull();
  });
});

describe('bounds', () => {
  test('a full table takes nobody new, unless a device has fallen silent: the longest unheard makes room', () => {
    const read = model();
    for (const [index, id] of ['a', 'b', 'c'].entries()) read.observeReading(aReading(id), 1_000 + index);
    read.observeReading(aReading('a'), 5_000);
    expect(read.snapshot(5_000).counts.isCut).toBe(false);
    read.observeReading(aReading('d'), 11_001);
    expect(read.snapshot(11_001)).toMatchObject({ counts: { devices: 3, isCut: true } });
    read.takeDelta(11_001);
    read.observeReading(aReading('d'), 11_002);
    expect(idsOf(read.snapshot(11_002).devices).sort()).toEqual(['a', 'c', 'd']);
    expect(read.takeDelta(11_002).removed).toEqual(['b']);
  });

  test('a device keeps so many values, metrics and windows, and short texts', () => {
    const read = model();
    const metrics = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`m${index}`, index]));
    read.observeReading(aReading('a', { metrics, status: 'x'.repeat(10_000) }), 1_000);
    for (const metric of ['p', 'q', 'temperature', 'r']) {
      for (let index = 0; index < 9; index++) read.observeAggregate(aWindow('a', { metric, windowStart: index * 10_000, mean: 1 }), 1_000);
    }
    const detail = read.device('a', 1_000)!;
    expect(detail.values).toHaveLength(4);
    expect(detail.status).toHaveLength(80);
    expect(detail.series.map(({ metric, windows }) => [metric, windows.length])).toEqual([
      ['temperature', 4],
      ['p', 4],
    ]);
  });

  test('an id that cannot come from the bridge is left out', () => {
    const read = model();
    read.observeReading(aReading('x'.repeat(129)), 1_000);
    expect(read.snapshot(1_000).counts).toMatchObject({ devices: 0, readingsSeen: 1, isCut: true });
  });

  test('a delta has so many rows; the others follow', () => {
    const read = model();
    for (const id of ['a', 'b', 'c']) read.observeReading(aReading(id), 1_000);
    expect(idsOf(read.takeDelta(1_000).devices)).toEqual(['a', 'b']);
    read.observeReading(aReading('a'), 1_000);
    expect(idsOf(read.takeDelta(1_000).devices)).toEqual(['c', 'a']);
    expect(read.takeDelta(1_000).devices).toEqual([]);
  });

  test('what has changed while nobody looks is not remembered', () => {
    const read = model();
    read.observeReading(aReading('a'), 1_000);
    read.observeAlert(anAlert('a'), 1_000);
    read.forgetChanges();
    expect(read.takeDelta(1_000)).toMatchObject({ devices: [], alerts: null });
  });

  test('a text that is cut says so, and is a copy', () => {
    expect(shortText('abcdef', 6)).toBe('abcdef');
    expect(shortText('abcdefg', 6)).toBe('abcde…');
  });
});

describe('alerts', () => {
  test('fire until they are resolved or expired, worst first, then the newest', () => {
    const read = model({ firingShownMax: 3 });
    read.observeAlert(anAlert('a', { severity: 'WARNING', raisedAt: 1 }), 1_000);
    read.observeAlert(anAlert('b', { severity: 'CRITICAL', raisedAt: 2 }), 1_001);
    read.observeAlert(anAlert('c', { severity: 'CRITICAL', raisedAt: 3 }), 1_002);
    expect(idsOf(read.alerts().firing)).toEqual(['c', 'b', 'a']);
    read.observeAlert(anAlert('c', { transition: 'RESOLVED' }), 1_003);
    read.observeAlert(anAlert('a', { transition: 'EXPIRED' }), 1_004);
    expect(idsOf(read.alerts().firing)).toEqual(['b']);
    expect(read.alerts().recent.map(({ deviceId, transition }) => `${deviceId} ${transition}`)).toEqual([
      'a EXPIRED',
      'c RESOLVED',
      'c RAISED',
      'b RAISED',
    ]);
  });

  test('mark their device, at once and until they end', () => {
    const read = model();
    read.observeReading(aReading('a'), 1_000);
    read.takeDelta(1_000);
    read.observeAlert(anAlert('a', { severity: 'WARNING' }), 1_000);
    read.observeAlert(anAlert('a', { alertId: 'other', severity: 'INFO' }), 1_000);
    const raised = read.takeDelta(1_000);
    expect(raised.devices).toMatchObject([{ deviceId: 'a', firing: { count: 2, severity: 'WARNING' } }]);
    expect(raised.alerts).toMatchObject({ firingCount: 2 });
    read.observeAlert(anAlert('a', { transition: 'RESOLVED' }), 1_000);
    read.observeAlert(anAlert('a', { alertId: 'other', transition: 'RESOLVED' }), 1_000);
    expect(read.takeDelta(1_000).devices).toMatchObject([{ firing: null }]);
    expect(read.takeDelta(1_000).alerts).toBeNull();
  });

  test('are listed by the time they were written, though partitions are read side by side', () => {
    const read = model();
    for (const [id, writtenAt] of [
      ['a', 30],
      ['b', 10],
      ['c', 20],
      ['d', 40],
      ['e', 5],
    ] as const)
      read.observeAlert(anAlert(id), writtenAt);
    expect(idsOf(read.alerts().recent)).toEqual(['d', 'a', 'c', 'b']);
  });

  test('beyond the bounds are counted, and the view says that it is cut', () => {
    const read = model();
    for (const id of ['a', 'b', 'c']) read.observeAlert(anAlert(id), 1_000);
    expect(read.alerts()).toMatchObject({ firingCount: 3, isCut: false, firing: { length: 2 } });
    read.observeAlert(anAlert('d'), 1_000);
    expect(read.alerts()).toMatchObject({ firingCount: 3, isCut: true });
    const other = model();
    other.markAlertsCut();
    expect(other.takeDelta(0).alerts).toMatchObject({ isCut: true });
  });

  test('under an id that another device uses do not confuse the two', () => {
    const read = model();
    read.observeAlert(anAlert('a', { alertId: 'same' }), 1_000);
    read.observeAlert(anAlert('b', { alertId: 'same' }), 1_001);
    read.observeAlert(anAlert('a', { alertId: 'same', transition: 'RESOLVED' }), 1_002);
    expect(read.alerts().firingCount).toBe(0);
    read.observeReading(aReading('b'), 1_000);
    expect(read.snapshot(1_000).devices).toMatchObject([{ firing: null }]);
  });
});
