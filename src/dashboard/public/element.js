// Every node of the page is made here. Texts become text nodes, never markup: what a device calls itself is not to be trusted.

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element. `on` holds listeners; the other attributes are set as they are, those that are null or false are left out. */
export function el(tag, { on = {}, ...attributes } = {}, ...children) {
  return filled(document.createElement(tag), on, attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), {}, attributes, children);
}

function filled(node, on, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== false) node.setAttribute(name, value);
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children.flat().filter((child) => child !== null && child !== false));
  return node;
}

/** Changes a text only when it differs: selections and screen readers stay undisturbed. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Replaces the content unless it would be the same, and keeps the focus on the element with the same data-focus. */
export function replaceContent(parent, children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  parent.replaceChildren(...children);
  if (focused === undefined) return;
  [...parent.querySelectorAll('[data-focus]')].find((node) => node.dataset.focus === focused)?.focus({ preventScroll: true });
}
