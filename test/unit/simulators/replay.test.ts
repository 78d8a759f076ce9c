import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dueTimes, readSeries } from '../../../simulators/replay.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-series-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function seriesOf(text: string): Promise<readonly { ts: number; value: number }[]> {
  const path = join(folder, 'series.csv');
  writeFileSync(path, text);
  return readSeries(path);
}

describe('a series', () => {
  test.each([
    ['2014-01-07 02:00:00', Date.UTC(2014, 0, 7, 2)],
    ['2014-01-07T02:00:00Z', Date.UTC(2014, 0, 7, 2)],
    ['2014-01-07 02:00:00.250', Date.UTC(2014, 0, 7, 2, 0, 0, 250)],
    ['2014-01-07T02:00+01:00', Date.UTC(2014, 0, 7, 1)],
    ['1389060000000', 1_389_060_000_000],
  ])('the time %s is UTC unless it says otherwise', async (text, ts) => {
    expect(await seriesOf(`timestamp,value\n${text},1.5\n`)).toEqual([{ ts, value: 1.5 }]);
  });

  test('keeps the order of the file, and Windows line ends do not matter', async () => {
    const points = await seriesOf('timestamp,value\r\n2014-01-01 01:00:00,2\r\n2014-01-01 00:00:00,-0\r\n\r\n');
    expect(points.map((point) => point.value)).toEqual([2, 0]);
    expect(Object.is(points[1]?.value, 0)).toBe(true);
  });

  test.each([
    ['time;value\n', "the first line must be 'timestamp,value'"],
    ['timestamp,value\n2014-01-01 00:00:00,NaN\n', "line 2: 'NaN' is not a number"],
    ['timestamp,value\n2014-01-01 00:00:00,\n', 'is not a number'],
    ['timestamp,value\n2014-01-01 00:00:00,1\n2014-01-01 00:00:00,1,2\n', 'line 3: more than two columns'],
    ['timestamp,value\n01/02/2014,1\n', "'01/02/2014' is not a time"],
    ['timestamp,value\n2014-13-01 00:00:00,1\n', 'is not a time'],
    ['timestamp,value\n', 'there is no reading'],
  ])('%j is refused', async (text, message) => {
    await expect(seriesOf(text)).rejects.toThrow(message);
  });

  test('is due by its own times, divided by the speed; a clock set back does not go back', () => {
    const points = [0, 1000, 500, 3000].map((ts) => ({ ts, value: 1 }));
    expect(dueTimes(points, 10)).toEqual([0, 100, 100, 300]);
    expect(dueTimes(points, 'max')).toEqual([0, 0, 0, 0]);
  });
});
