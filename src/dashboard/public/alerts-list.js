import { el, replaceContent } from './element.js';
import { ago, count, iso, quantity, time } from './format.js';

/** What fires, worst first. `lastValue(deviceId, metric)` is what the device said last; `onOpen(deviceId)` shows it alone. */
export function showFiring(parent, { alerts, nowMs, lastValue, onOpen }) {
  const { firing, firingCount, isCut } = alerts;
  const hidden = firingCount - firing.length;
  const notes = [
    hidden > 0 ? `${count(hidden)} more fire. They are on the alerts topic: ` : null,
    isCut ? 'Alerts that were raised before the page began to read are not known here. ' : null,
  ].filter((note) => note !== null);
  const cards = firing.map((alert) => card(alert, { nowMs, lastValue, onOpen }));
  const list = cards.length === 0 ? nothingFires() : el('ul', { class: 'firing' }, cards);
  replaceContent(parent, [list, notes.length === 0 ? '' : el('p', { class: 'note' }, ...notes, el('code', {}, './ingot alerts tail'))]);
}

function nothingFires() {
  return el(
    'div',
    { class: 'card empty' },
    el('p', { class: 'big' }, 'Nothing is firing.'),
    el('p', {}, 'An alert appears here when a reading breaks a rule; without a rules file that is a temperature above 100 °C. Try '),
    el('code', { class: 'line' }, './ingot simulate --scenario heatwave'),
  );
}

function card(alert, { nowMs, lastValue, onOpen }) {
  const { alertId, severity, deviceId, metric, unit, value, threshold, raisedAt, ruleId, summary, state } = alert;
  const isSilent = state === 'STALE';
  const last = lastValue(deviceId, metric) ?? value;
  const raisedWith = value === null ? '' : ` at ${quantity(value, unit)}`;
  return el(
    'li',
    { class: 'card alert', 'data-severity': severity, title: summary },
    el('span', { class: 'chip' }, severity),
    el('button', { class: 'link', 'data-focus': alertId, on: { click: () => onOpen(deviceId) } }, deviceId),
    el('span', { class: 'value' }, isSilent ? 'silent' : last === null ? metric : `${metric} ${quantity(last, unit)}`),
    el(
      'span',
      { class: 'note' },
      'raised ',
      el('time', { datetime: iso(raisedAt), title: iso(raisedAt) }, time(raisedAt, nowMs)),
      isSilent ? ` (${ruleId})` : `${raisedWith}, threshold ${quantity(threshold, unit)} (${ruleId})`,
    ),
  );
}

/** The last transitions that were written, by the time of the devices, newest first: what came late stands where it belongs. */
export function showRecent(parent, { alerts, nowMs, onOpen }) {
  if (alerts.recent.length === 0) return replaceContent(parent, [el('p', { class: 'note' }, 'None yet.')]);
  const row = (alert) => {
    const key = `${alert.alertId} ${alert.transition} ${alert.writtenAt}`;
    return el(
      'li',
      { 'data-transition': alert.transition, 'data-severity': alert.severity, title: `${alert.summary} (${ago(nowMs - alert.writtenAt)})` },
      el('time', { datetime: iso(alert.transitionAt) }, time(alert.transitionAt, nowMs)),
      el('span', { class: 'chip' }, alert.transition),
      el('button', { class: 'link', 'data-focus': key, on: { click: () => onOpen(alert.deviceId) } }, alert.deviceId),
      el('span', { class: 'value', title: alert.metric }, shortValue(alert)),
    );
  };
  const newestFirst = alerts.recent.toSorted((a, b) => b.transitionAt - a.transitionAt);
  return replaceContent(parent, [el('ul', { class: 'recent' }, newestFirst.map(row))]);
}

/** A unit says enough of the metric. */
function shortValue({ metric, unit, value }) {
  if (value === null) return metric;
  return unit === '' ? `${metric} ${quantity(value, unit)}` : quantity(value, unit);
}

/** What a screen reader shall say: the transitions that were written after `sinceMs`. */
export function announcement(alerts, sinceMs) {
  const fresh = alerts.recent.filter((alert) => alert.writtenAt > sinceMs);
  if (fresh.length > 3) return `${fresh.length} changes of alerts`;
  return fresh.map((alert) => `${alert.severity} ${alert.transition}: ${alert.deviceId}, ${alert.metric}`).join('. ');
}
