import { svg } from './element.js';
import { quantity } from './format.js';

const WIDTH = 132;
const HEIGHT = 28;
const MARGIN = 3;

/** The means of the last windows as a line; null is a gap. A flat series lies in the middle. */
export function sparkline({ metric, unit, means }) {
  const present = means.filter((mean) => mean !== null);
  const low = Math.min(...present);
  const range = Math.max(...present) - low;
  const x = (index) => MARGIN + (index * (WIDTH - 2 * MARGIN)) / Math.max(1, means.length - 1);
  const y = (mean) => (range === 0 ? HEIGHT / 2 : HEIGHT - MARGIN - ((mean - low) / range) * (HEIGHT - 2 * MARGIN));
  const last = means.length - 1;
  const label = `${metric}, means of the last ${present.length} windows: ${quantity(low, unit)} to ${quantity(low + range, unit)}, last ${quantity(present.at(-1), unit)}`;
  return svg(
    'svg',
    { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: 'img', 'aria-label': label },
    svg('title', {}, label),
    svg('path', { d: linePath(means, x, y) }),
    svg('circle', { cx: x(last), cy: y(means[last]), r: 2.2 }),
  );
}

/** An SVG path through the values, interrupted where one is null. */
export function linePath(values, x, y) {
  let isDown = false;
  return values
    .map((value, index) => {
      if (value === null) {
        isDown = false;
        return '';
      }
      const step = `${isDown ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      isDown = true;
      return step;
    })
    .join('');
}
