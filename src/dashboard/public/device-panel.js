import { request } from './connection.js';
import { el, replaceContent, svg } from './element.js';
import { ago, count, iso, number, quantity, time } from './format.js';
import { linePath } from './sparkline.js';

const REFRESH_MS = 2_000;
const WIDTH = 560;
const HEIGHT = 130;
const LEFT = 6;
const TOP = 8;

/** One device, in a dialog over the page: its values, a plot per metric, its alerts. Fetched anew while it is open. */
export class DevicePanel {
  #dialog;
  #deviceId = null;
  #timer = null;
  #content = el('div', { class: 'panel' });
  #title = el('h2', { id: 'panel-title' });
  #now;

  constructor(dialog, now) {
    this.#dialog = dialog;
    this.#now = now;
    const close = el('button', { class: 'close', 'aria-label': 'Close', on: { click: () => dialog.close() } }, '×');
    dialog.replaceChildren(el('div', { class: 'bar' }, this.#title, close), this.#content);
    dialog.addEventListener('close', () => this.#closed());
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog) dialog.close();
    });
  }

  open(deviceId) {
    this.#deviceId = deviceId;
    this.#title.textContent = deviceId;
    this.#content.replaceChildren(el('p', { class: 'note' }, 'One moment …'));
    if (!this.#dialog.open) this.#dialog.showModal();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
    this.#refresh();
  }

  #closed() {
    clearInterval(this.#timer);
    this.#deviceId = null;
  }

  async #refresh() {
    const deviceId = this.#deviceId;
    try {
      const response = await request(`/api/devices/${encodeURIComponent(deviceId)}`, { signal: AbortSignal.timeout(REFRESH_MS) });
      const content = response.ok ? this.#view(await response.json()) : [el('p', { class: 'note' }, await response.text())];
      if (deviceId === this.#deviceId) this.#draw(content);
    } catch {
      // The page says that the connection is lost; the panel keeps what it shows.
    }
  }

  /** A table that was opened stays open. */
  #draw(content) {
    const isOpen = new Set([...this.#content.querySelectorAll('details[open]')].map((node) => node.dataset.metric));
    replaceContent(this.#content, content);
    for (const node of this.#content.querySelectorAll('details')) node.open = isOpen.has(node.dataset.metric);
  }

  #view(device) {
    const nowMs = this.#now();
    const { firing, isSilent, heardMs, eventTimeMs, status, values, series, alerts } = device;
    const state = firing ? 'firing' : isSilent ? 'silent' : 'live';
    const value = ({ metric, unit, value }) => el('div', {}, el('dt', {}, metric), el('dd', {}, quantity(value, unit)));
    return [
      el(
        'p',
        { class: 'about', 'data-state': state, 'data-severity': firing?.severity ?? '' },
        el('span', { class: 'chip' }, state),
        heardMs === null ? 'not heard since this page began to read' : `heard ${ago(nowMs - heardMs)}`,
        ', measured ',
        el('time', { datetime: iso(eventTimeMs), title: iso(eventTimeMs) }, time(eventTimeMs, nowMs)),
        status === null ? null : `, status ${status}`,
      ),
      el('dl', { class: 'values' }, values.map(value)),
      ...series.filter(({ windows }) => windows.length > 0).map((each) => plot(each, alerts, nowMs)),
      series.length === 0 ? el('p', { class: 'note' }, 'No window of this device has closed since the page began to read.') : null,
      el('h3', {}, 'Alerts'),
      history(alerts, nowMs),
    ].filter((node) => node !== null);
  }
}

function history({ firing, recent }, nowMs) {
  const known = new Set(recent.map((alert) => alert.alertId));
  const rows = [...firing.filter((alert) => !known.has(alert.alertId)), ...recent];
  if (rows.length === 0) return el('p', { class: 'note' }, 'None known.');
  const row = (alert) =>
    el(
      'li',
      { 'data-transition': alert.transition, 'data-severity': alert.severity },
      el('time', { datetime: iso(alert.transitionAt) }, time(alert.transitionAt, nowMs)),
      el('span', { class: 'chip' }, alert.transition),
      el('span', {}, alert.summary === '' ? `${alert.ruleId}: ${alert.metric}` : alert.summary),
    );
  return el('ul', { class: 'recent' }, rows.map(row));
}

/** The windows of one metric: the mean as a line, minimum to maximum as a band, thresholds of what fires as dashes. */
function plot({ metric, unit, windows }, alerts, nowMs) {
  const thresholds = [...new Set(alerts.firing.filter((alert) => alert.metric === metric).map((alert) => alert.threshold))];
  const low = Math.min(...windows.map((window) => window.min), ...thresholds);
  const high = Math.max(...windows.map((window) => window.max), ...thresholds);
  const [first, last] = [windows[0], windows.at(-1)];
  const middle = (window) => (window.startMs + window.endMs) / 2;
  const spanMs = last.endMs - first.startMs;
  const x = (ms) => LEFT + ((ms - first.startMs) / spanMs) * (WIDTH - 2 * LEFT);
  const y = (value) => (high === low ? HEIGHT / 2 : HEIGHT - TOP - ((value - low) / (high - low)) * (HEIGHT - 2 * TOP));
  const dash = (threshold) => svg('line', { class: 'threshold', x1: LEFT, x2: WIDTH - LEFT, y1: y(threshold), y2: y(threshold) });
  const runs = unbroken(windows);
  const runPath = (run) => linePath(run.map((window) => window.mean), (index) => x(middle(run[index])), y);
  const dashes = thresholds.map((threshold) => `, dashed: threshold ${quantity(threshold, unit)}`).join('');
  const extent = `${quantity(low, unit)} to ${quantity(high, unit)}${dashes}`;
  const label = `${metric} over ${windows.length} windows, ${extent}`;
  return el(
    'figure',
    {},
    el('figcaption', {}, el('b', {}, metric), ` last mean ${quantity(last.mean, unit)}`, el('span', { class: 'note' }, ` ${extent}`)),
    svg(
      'svg',
      { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label },
      runs.map((run) => svg('path', { class: 'band', d: bandPath(run, x, y) })),
      thresholds.map(dash),
      runs.map((run) => svg('path', { class: 'mean', d: runPath(run) })),
      windows.map((window) => svg('circle', { cx: x(middle(window)), cy: y(window.mean), r: 2.5 }, svg('title', {}, windowText(window, unit, nowMs)))),
    ),
    el('p', { class: 'axis' }, el('span', {}, time(first.startMs, nowMs)), el('span', {}, time(last.endMs, nowMs))),
    el('details', { 'data-metric': metric }, el('summary', { 'data-focus': `table of ${metric}` }, 'as a table'), windowTable(windows, nowMs)),
  );
}

/** Runs of windows that follow each other without a gap. */
function unbroken(windows) {
  const runs = [];
  for (const window of windows) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1).endMs === window.startMs) run.push(window);
    else runs.push([window]);
  }
  return runs;
}

/** Steps as wide as their windows, there along the maxima and back along the minima. */
function bandPath(run, x, y) {
  const point = (ms, value) => `${x(ms).toFixed(1)} ${y(value).toFixed(1)}`;
  const there = run.flatMap((window) => [point(window.startMs, window.max), point(window.endMs, window.max)]);
  const back = run.toReversed().flatMap((window) => [point(window.endMs, window.min), point(window.startMs, window.min)]);
  return `M${[...there, ...back].join('L')}Z`;
}

const windowText = (window, unit, nowMs) =>
  `${time(window.startMs, nowMs)}: mean ${quantity(window.mean, unit)}, ${quantity(window.min, unit)} to ${quantity(window.max, unit)}, ${count(window.count)} readings`;

function windowTable(windows, nowMs) {
  const titles = ['from', 'readings', 'min', 'mean', 'max'];
  const row = ({ startMs, count: readings, min, mean, max }) =>
    el('tr', {}, el('td', {}, el('time', { datetime: iso(startMs) }, time(startMs, nowMs))), [count(readings), number(min), number(mean), number(max)].map((text) => el('td', {}, text)));
  const head = el('tr', {}, titles.map((title) => el('th', { scope: 'col' }, title)));
  return el('table', { class: 'windows' }, el('thead', {}, head), el('tbody', {}, windows.toReversed().map(row)));
}
