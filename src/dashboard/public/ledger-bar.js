import { el, replaceContent } from './element.js';
import { count } from './format.js';

const NAMES = { bridge: 'Bridge, messages', aggregator: 'Aggregator, readings' };

/** `sums` is null when this page runs alone. */
export function showLedger(parent, sums) {
  replaceContent(parent, sums === null ? [elsewhere()] : sums.map(article));
}

function elsewhere() {
  return el(
    'p',
    { class: 'card note' },
    'The ledger is kept by the bridge and the aggregator, which run in other processes: look at their /metrics, or at the page of ',
    el('code', {}, './ingot up'),
    '.',
  );
}

function article({ stage, total, terms, difference, unknown }) {
  const isBalanced = difference === 0;
  return el(
    'article',
    { class: 'card sum', 'data-stage': stage, 'data-balanced': String(isBalanced) },
    el('h3', {}, NAMES[stage] ?? stage),
    el('p', { class: 'verdict' }, verdict(total, difference)),
    bar(total, terms, difference),
    el('p', { class: 'equation' }, el('span', { class: 'term total' }, el('b', {}, count(total.count)), ` ${total.label}`), terms.map(term)),
    unknown === null ? [] : el('p', { class: 'note' }, unknown),
  );
}

function verdict(total, difference) {
  if (total.count === 0 && difference === 0) return 'Nothing yet';
  if (difference === 0) return '✓ Balanced: every one is accounted for';
  return difference > 0 ? `✗ Not balanced: ${count(difference)} not accounted for` : `✗ Not balanced: ${count(-difference)} too many`;
}

function term({ label, count: value, kind }, position) {
  const attributes = { class: 'term', 'data-kind': kind, 'data-none': String(value === 0) };
  const operator = el('span', { class: 'operator' }, position === 0 ? '= ' : '+ ');
  // A term never breaks over two lines: the sign stays with its number.
  return el('span', attributes, operator, el('i', { class: 'swatch' }), el('b', {}, count(value)), ` ${label}`);
}

/** The shares are also said in words below, so that the bar is only for the eye. */
function bar(total, terms, difference) {
  const missing = difference > 0 ? [{ kind: 'missing', count: difference }] : [];
  const segments = [...terms, ...missing]
    .filter((each) => each.count > 0)
    .map((each) => {
      const segment = el('span', { 'data-kind': each.kind });
      segment.style.flexGrow = String(each.count / Math.max(1, total.count));
      return segment;
    });
  return el('div', { class: 'shares', 'aria-hidden': 'true' }, segments);
}
