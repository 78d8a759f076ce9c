import { announcement, showFiring, showRecent } from './alerts-list.js';
import { followEvents, giveToken } from './connection.js';
import { DevicePanel } from './device-panel.js';
import { DeviceTable } from './device-table.js';
import { el, replaceContent, setText } from './element.js';
import { count, time } from './format.js';
import { showLedger } from './ledger-bar.js';

// The page: a snapshot, then what has changed, every second.

const at = (id) => document.getElementById(id);

/** What the server's clock says, as far as is known from its last event: ages must not depend on this machine's clock. */
let serverAheadMs = 0;
const nowMs = () => Date.now() + serverAheadMs;

let alerts = null;
let ledgerText = '';
let lastEventMs = null;
let rate = { seen: null, atMs: 0, perSecond: null };

const openDevice = (deviceId) => panel.open(deviceId);
const panel = new DevicePanel(at('panel'), nowMs);
const table = new DeviceTable(at('device-table'), openDevice);

function onEvent(name, body) {
  serverAheadMs = body.nowMs - Date.now();
  lastEventMs = body.nowMs;
  if (name === 'snapshot') {
    table.reset(body.devices);
    rate = { seen: null, atMs: 0, perSecond: null };
  } else table.change(body.devices, body.removed);
  if (body.alerts !== null) takeAlerts(body.alerts);
  else if (alerts.firing.length > 0) showFiring(at('firing'), alertOptions());
  takeLedger(body.ledger);
  takeFigures(body.counts, body.nowMs);
  table.draw(body.nowMs, body.counts.isCut);
}

/** What was written before is history that is still being read, and is not spoken. */
const NEWS_MS = 60_000;

function takeAlerts(next) {
  const spokenUntilMs = Math.max(alerts?.recent[0]?.writtenAt ?? 0, nowMs() - NEWS_MS);
  if (alerts !== null) setText(at('announcer'), announcement(next, spokenUntilMs));
  alerts = next;
  showFiring(at('firing'), alertOptions());
  showRecent(at('recent'), alertOptions());
}

function alertOptions() {
  return { alerts, nowMs: nowMs(), onOpen: openDevice, lastValue: (deviceId, metric) => table.lastValue(deviceId, metric) };
}

function takeLedger(ledger) {
  const text = JSON.stringify(ledger);
  if (text === ledgerText) return;
  ledgerText = text;
  showLedger(at('ledger'), ledger);
}

function takeFigures({ devices, silent, firing, readingsSeen }, atMs) {
  if (rate.seen !== null && atMs > rate.atMs) {
    const now = ((readingsSeen - rate.seen) * 1000) / (atMs - rate.atMs);
    // Smoothed, because a tick may fall before or after a batch.
    rate.perSecond = rate.perSecond === null ? now : rate.perSecond * 0.7 + now * 0.3;
  }
  rate = { ...rate, seen: readingsSeen, atMs };
  const figure = (name, value, label) => el('li', { 'data-figure': name, 'data-none': String(value === '0') }, el('b', {}, value), ` ${label}`);
  replaceContent(at('figures'), [
    figure('devices', count(devices), devices === 1 ? 'device' : 'devices'),
    figure('silent', count(silent), 'silent'),
    figure('firing', count(firing), firing === 1 ? 'alert firing' : 'alerts firing'),
    figure('rate', rate.perSecond === null ? '–' : count(rate.perSecond), 'readings/s'),
  ]);
  document.title = firing > 0 ? `(${firing}) Ingot` : 'Ingot';
}

const TOKEN_WANTED = 401;
/** The server answers before the page's own routes are there. */
const NOT_THERE_YET = 404;

function onState(state) {
  const { kind } = state;
  document.body.dataset.connection = kind;
  setText(at('connection'), kind === 'live' ? 'live' : kind === 'lost' ? 'lost connection' : 'refused');
  const asOf = lastEventMs === null ? '' : ` What you see is as of ${time(lastEventMs, nowMs())}.`;
  const needsToken = kind === 'refused' && state.status === TOKEN_WANTED;
  const text = bannerText(state, asOf);
  at('banner').hidden = text === '';
  setText(at('banner'), text);
  if (at('token-form').hidden === needsToken) showTokenForm(needsToken, state.text);
  return needsToken ? tokenGiven() : undefined;
}

function bannerText({ kind, status, text }, asOf) {
  if (kind === 'lost') return `Lost the connection to Ingot; trying again.${asOf}`;
  if (kind === 'live' || status === TOKEN_WANTED) return '';
  return status === NOT_THERE_YET ? `Ingot is starting; one moment.${asOf}` : text;
}

function showTokenForm(isShown, why) {
  at('token-form').hidden = !isShown;
  at('main').hidden = isShown;
  setText(at('token-why'), why ?? '');
  if (isShown) at('token').focus();
}

function tokenGiven() {
  return new Promise((resolve) => {
    const onSubmit = (event) => {
      event.preventDefault();
      giveToken(at('token').value);
      at('token').value = '';
      resolve();
    };
    at('token-form').addEventListener('submit', onSubmit, { once: true });
  });
}

at('filter').addEventListener('input', () => {
  table.filter = at('filter').value;
});
document.addEventListener('keydown', (event) => {
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key === '/' && !isTyping && !at('panel').open) {
    event.preventDefault();
    at('filter').focus();
  }
});

await followEvents({ onEvent, onState });
