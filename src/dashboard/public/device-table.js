import { el, setText } from './element.js';
import { ago, count, iso, quantity, span } from './format.js';
import { sparkline } from './sparkline.js';

const ROWS_STEP = 200;
/** A reading that is this far from the time it came is worth a word. */
const CLOCK_NOTE_MS = 60_000;
const SEVERITY_RANK = { CRITICAL: 3, WARNING: 2, INFO: 1 };

const byName = (a, b) => (a.deviceId < b.deviceId ? -1 : a.deviceId > b.deviceId ? 1 : 0);
const stateRank = (row) => (row.firing ? -1 - (SEVERITY_RANK[row.firing.severity] ?? 0) : row.isSilent ? 1 : 0);

const COLUMNS = [
  { key: 'device', title: 'Device', compare: byName },
  { key: 'state', title: 'State', compare: (a, b) => stateRank(a) - stateRank(b) },
  { key: 'heard', title: 'Heard', compare: (a, b) => (b.heardMs ?? 0) - (a.heardMs ?? 0) },
  { key: 'reading', title: 'Last reading', compare: (a, b) => (b.values[0]?.value ?? -Infinity) - (a.values[0]?.value ?? -Infinity) },
  { key: 'trend', title: 'Last windows, mean', compare: null },
];

/** The table of devices. Its rows are kept and changed in place, so that focus and selection stay where they are. */
export class DeviceTable {
  #rows = new Map();
  #shown = new Map();
  #limit = ROWS_STEP;
  #filter = '';
  #sort = { key: 'state', isReversed: false };
  #onOpen;
  #head = el('tr');
  #body = el('tbody');
  #table;
  #more = el('button', { on: { click: () => this.#showMore() } });
  #note = el('p', { class: 'note' });
  #empty = emptyState();
  #nowMs = 0;
  #isCut = false;

  constructor(parent, onOpen) {
    this.#onOpen = onOpen;
    this.#table = el('table', {}, el('caption', { class: 'unseen' }, 'Devices, what they said last, and the means of their last windows'));
    this.#table.append(el('thead', {}, this.#head), this.#body);
    parent.replaceChildren(this.#empty, el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Devices' }, this.#table), this.#note, this.#more);
    this.#drawHead();
  }

  reset(rows) {
    this.#rows = new Map(rows.map((row) => [row.deviceId, row]));
    this.#shown.clear();
    this.#body.replaceChildren();
  }

  change(rows, removed) {
    for (const row of rows) this.#rows.set(row.deviceId, row);
    for (const deviceId of removed) this.#rows.delete(deviceId);
  }

  /** What the device said last of a metric, as far as its row tells; null otherwise. */
  lastValue(deviceId, metric) {
    return this.#rows.get(deviceId)?.values.find((value) => value.metric === metric)?.value ?? null;
  }

  set filter(text) {
    this.#filter = text.trim().toLowerCase();
    this.#limit = ROWS_STEP;
    this.draw(this.#nowMs, this.#isCut);
  }

  draw(nowMs, isCut) {
    this.#nowMs = nowMs;
    this.#isCut = isCut;
    const matching = this.#sorted();
    const visible = matching.slice(0, this.#limit);
    this.#arrange(visible.map((row) => this.#rowFor(row)));
    this.#empty.hidden = this.#rows.size > 0;
    this.#table.hidden = this.#rows.size === 0;
    this.#more.hidden = visible.length === matching.length;
    setText(this.#more, `Show ${count(Math.min(ROWS_STEP, matching.length - visible.length))} more of ${count(matching.length)}`);
    setText(this.#note, this.#noteText(matching.length));
  }

  #noteText(matching) {
    if (this.#rows.size > 0 && matching === 0) return 'No device matches the filter.';
    return this.#isCut ? 'The table is full: not all devices are in it. The topics and SQL have them all.' : '';
  }

  #sorted() {
    const { key, isReversed } = this.#sort;
    const { compare } = COLUMNS.find((column) => column.key === key);
    const wanted = (row) => `${row.deviceId}\n${row.status ?? ''}`.toLowerCase().includes(this.#filter);
    const rows = [...this.#rows.values()].filter(wanted);
    return rows.sort((a, b) => (isReversed ? -compare(a, b) : compare(a, b)) || byName(a, b));
  }

  #rowFor(row) {
    let shown = this.#shown.get(row.deviceId);
    if (shown === undefined) {
      shown = new DeviceLine(row.deviceId, this.#onOpen);
      this.#shown.set(row.deviceId, shown);
    }
    shown.show(row, this.#nowMs);
    return shown.line;
  }

  /** Moves only what is in the wrong place; a moved element loses the focus, so it is given back. */
  #arrange(lines) {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null;
    lines.forEach((line, index) => {
      if (this.#body.children[index] !== line) this.#body.insertBefore(line, this.#body.children[index] ?? null);
    });
    while (this.#body.children.length > lines.length) this.#body.lastChild.remove();
    if (this.#shown.size > 2 * this.#limit) for (const [id, { line }] of this.#shown) if (!line.isConnected) this.#shown.delete(id);
    if (focused !== null && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  #drawHead() {
    const { key, isReversed } = this.#sort;
    const cell = (column) => {
      const isSorted = column.key === key;
      const sign = isSorted ? (isReversed ? ' ▲' : ' ▼') : '';
      const sorted = isSorted ? (isReversed ? 'descending' : 'ascending') : null;
      if (column.compare === null) return el('th', { scope: 'col' }, column.title);
      const button = el('button', { 'data-sort': column.key, on: { click: () => this.#sortBy(column.key) } }, column.title, el('span', { 'aria-hidden': 'true' }, sign));
      return el('th', { scope: 'col', 'aria-sort': sorted }, button);
    };
    this.#head.replaceChildren(...COLUMNS.map(cell));
  }

  #sortBy(key) {
    this.#sort = { key, isReversed: this.#sort.key === key && !this.#sort.isReversed };
    this.#drawHead();
    this.#head.querySelector(`[data-sort=${key}]`).focus();
    this.draw(this.#nowMs, this.#isCut);
  }

  #showMore() {
    this.#limit += ROWS_STEP;
    this.draw(this.#nowMs, this.#isCut);
  }
}

/** One device's line of the table. */
class DeviceLine {
  #state = el('td', { class: 'state' });
  #heard = el('td', { class: 'heard' });
  #status = el('span', { class: 'status' });
  #reading = el('td', { class: 'reading' });
  #trend = el('td', { class: 'trend' });
  #shownRow = null;
  line;

  constructor(deviceId, onOpen) {
    const name = el('button', { class: 'link', on: { click: () => onOpen(deviceId) } }, deviceId);
    this.line = el('tr', {}, el('th', { scope: 'row' }, name, this.#status), this.#state, this.#heard, this.#reading, this.#trend);
  }

  show(row, nowMs) {
    setText(this.#heard, row.heardMs === null ? 'before' : ago(nowMs - row.heardMs));
    if (row === this.#shownRow) return;
    this.#shownRow = row;
    const { firing, isSilent } = row;
    this.line.dataset.state = firing ? 'firing' : isSilent ? 'silent' : 'live';
    this.line.dataset.severity = firing?.severity ?? '';
    setText(this.#state, firing ? `${firing.severity.toLowerCase()}${firing.count > 1 ? ` ×${firing.count}` : ''}` : isSilent ? 'silent' : 'live');
    setText(this.#status, row.status ?? '');
    this.#heard.title = `measured ${iso(row.eventTimeMs)}`;
    this.#reading.replaceChildren(...readingCell(row));
    this.#trend.replaceChildren(...(row.spark === null || row.spark.means.length === 0 ? [] : [sparkline(row.spark)]));
  }
}

function readingCell({ values, heardMs, eventTimeMs }) {
  const [first, ...others] = values;
  if (first === undefined) return [el('span', { class: 'note' }, '–')];
  const main = el('b', { title: first.metric }, quantity(first.value, first.unit));
  const rest = others.map(({ metric, unit, value }) => el('span', { class: 'other', title: metric }, unit === '' ? `${metric} ${quantity(value, unit)}` : quantity(value, unit)));
  const offMs = heardMs === null ? 0 : heardMs - eventTimeMs;
  const off = Math.abs(offMs) < CLOCK_NOTE_MS ? null : el('span', { class: 'off' }, offMs > 0 ? `${span(offMs)} late` : `clock ${span(offMs)} ahead`);
  const name = first.metric === 'temperature' ? null : el('span', { class: 'other' }, first.metric);
  return [main, name, ...rest, off].filter((node) => node !== null);
}

function emptyState() {
  return el(
    'div',
    { class: 'card empty' },
    el('p', { class: 'big' }, 'No device has spoken yet.'),
    el('p', {}, 'Start some simulated ones in another terminal:'),
    el('code', { class: 'line' }, './ingot simulate --devices 25'),
    el('p', {}, 'or publish a reading to the MQTT broker yourself, on the topic ', el('code', {}, 'devices/my-sensor/telemetry'), ':'),
    el('code', { class: 'line' }, '{"temperature": 21.5}'),
  );
}
