import { openGivenFile } from './given-file.ts';

// CSV series of one metric with their own times, such as those of the Numenta Anomaly Benchmark: a header line
// `timestamp,<name>`, then one reading a line, in the order in which they are to be sent.

export interface SeriesPoint {
  /** Epoch ms. */
  readonly ts: number;
  readonly value: number;
}

/** The points of the file, in its order. An error names the line. Times without a zone are UTC. */
export async function readSeries(path: string): Promise<readonly SeriesPoint[]> {
  const points: SeriesPoint[] = [];
  let number = 0;
  const file = await openGivenFile(path, '--replay');
  try {
    for await (const line of file.readLines()) {
      number += 1;
      if (number === 1) {
        if (!/^\uFEFF?timestamp,[^,]+$/.test(line.trim()))
          throw new Error(`${path}: the first line must be 'timestamp,value', not '${line.slice(0, 60)}'`);
      } else if (line.trim() !== '') points.push(parsePoint(line, `${path}, line ${number}`));
    }
  } finally {
    await file.close();
  }
  if (points.length === 0) throw new Error(`${path}: there is no reading in it`);
  return points;
}

function parsePoint(line: string, where: string): SeriesPoint {
  const [time = '', value = '', ...rest] = line.trim().split(',');
  if (rest.length > 0) throw new Error(`${where}: more than two columns`);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) throw new Error(`${where}: '${value}' is not a number`);
  // Adding 0 turns -0 into 0, which JSON would not tell apart.
  return { ts: parseTime(time, where), value: Number(value) + 0 };
}

/** `2013-12-02 21:15:00`, the same with `T`, with a fraction, with a zone, or whole epoch milliseconds. */
function parseTime(text: string, where: string): number {
  if (/^\d{12,14}$/.test(text)) return Number(text);
  const parts = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?$/.exec(text);
  const ts = parts === null ? Number.NaN : Date.parse(`${parts[1]}T${parts[2]}${parts[3] ?? 'Z'}`);
  if (Number.isNaN(ts)) throw new Error(`${where}: '${text}' is not a time such as 2013-12-02 21:15:00`);
  return ts;
}

/** A replay goes on at this many times the speed of the original; `max` is as fast as acknowledgements come. */
export type ReplaySpeed = number | 'max';

/** When a point is due, ms after the start of the replay. A clock that was set back in the series does not go back here. */
export function dueTimes(points: readonly SeriesPoint[], speed: ReplaySpeed): readonly number[] {
  const first = points[0]?.ts ?? 0;
  let latest = first;
  return points.map(({ ts }) => {
    latest = Math.max(latest, ts);
    return speed === 'max' ? 0 : (latest - first) / speed;
  });
}
