import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configureLog } from '../../src/ops/log.ts';
import { type PageBrowser, startBrowser } from '../support/page-browser.ts';
import { anAlert, aReading, aWindow } from '../support/page-rows.ts';
import { type PageServer, startPageServer } from '../support/page-server.ts';
import { waitUntil } from '../support/wait-until.ts';

// The page in a real browser, fed by a model that the test feeds. What is asserted is what a person sees.

const INTERVAL_MS = 100;
const WAIT = { timeout: 30_000 };

let browser: PageBrowser;
beforeAll(async () => {
  configureLog({ level: 'silent', format: 'json' });
  browser = await startBrowser();
});
afterAll(() => browser[Symbol.asyncDispose]());

interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Errors, refusals of the policy, dialogs, and requests to other hosts: there must be none. */
  readonly troubles: readonly string[];
}

async function openPage(url: string, prepare: (page: Page) => Promise<unknown> = async () => undefined): Promise<OpenPage> {
  const page = await browser.context.newPage();
  await prepare(page);
  const troubles: string[] = [];
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('dialog', (dialog) => {
    troubles.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('console', (message) => {
    // The browser reports refused and failed requests here too; the tests that cause them say so on the page.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) troubles.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(url)) troubles.push(`request to ${request.url()}`);
  });
  await page.goto(url);
  return { page, troubles, [Symbol.asyncDispose]: () => page.close() };
}

const live = (page: Page) => page.waitForSelector('[data-connection=live]', WAIT);
const sees = (page: Page, text: string | RegExp) => page.getByText(text).first().waitFor(WAIT);

function feed({ model }: PageServer, ids: readonly string[]): void {
  const now = Date.now();
  for (const [index, id] of ids.entries()) {
    for (let window = 0; window < 6; window++) {
      const windowStart = now - (now % 10_000) - (7 - window) * 10_000;
      model.observeAggregate(aWindow(id, { windowStart, mean: 20 + index + Math.sin(window) }), now);
    }
    model.observeReading(aReading(id, { eventTime: now, temperature: 20 + index, humidity: 40, status: 'ok' }), now);
  }
}

describe('what is shown', () => {
  test('the ledger in words and numbers, and that it does not balance when it does not', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS });
    const bridge = { received: 1_200, produced: 1_180, deadLettered: 15, ignored: 2, shed: 0, inFlight: 3, unprotected: 0 };
    server.ledger = { bridge, aggregator: { consumed: 1_180, outcomes: { counted: 1_100, duplicate: 75, future: 5 } } };
    await using opened = await openPage(server.url);
    const { page, troubles } = opened;
    const sum = (stage: string) => page.locator(`[data-stage=${stage}]`);
    await sum('bridge').waitFor(WAIT);
    expect(await sum('bridge').locator('.equation').textContent()).toMatch(
      /^1,200 received= 1,180 produced\+ 15 dead-lettered\+ 2 ignored\+ 0 shed\+ 3 in flight$/,
    );
    expect(await sum('bridge').locator('.verdict').textContent()).toContain('Balanced');
    expect(await sum('aggregator').locator('.equation').textContent()).toMatch(
      /^1,180 consumed= 1,100 counted\+ 0 not aggregatable\+ 75 duplicate\+ 5 future$/,
    );
    server.ledger = { bridge: { ...bridge, produced: 1_177 }, aggregator: null };
    await sees(page, 'Not balanced: 3 not accounted for');
    expect(troubles).toEqual([]);
  });

  test('nothing yet: what to do; alone: where the ledger is', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS });
    await using opened = await openPage(server.url);
    const { page } = opened;
    await sees(page, 'No device has spoken yet.');
    await sees(page, './ingot simulate --devices 25');
    await sees(page, 'Nothing is firing.');
    await sees(page, 'The ledger is kept by the bridge and the aggregator');
    feed(server, ['sensor-1']);
    await page.getByRole('button', { name: 'sensor-1' }).waitFor(WAIT);
    expect(await page.getByText('No device has spoken yet.').isVisible()).toBe(false);
  });

  test('an alert appears and goes without a reload, with its device first in the table', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS });
    feed(server, ['sensor-1', 'sensor-2', 'sensor-3']);
    await using opened = await openPage(server.url);
    const { page, troubles } = opened;
    const firstDevice = () => page.locator('tbody tr').first().locator('th button').textContent();
    await page.locator('tbody tr').nth(2).waitFor(WAIT);
    await page.evaluate('globalThis.isStillTheSamePage = true');
    expect(await firstDevice()).toBe('sensor-1');

    server.model.observeReading(aReading('sensor-3', { eventTime: Date.now(), temperature: 104.2 }), Date.now());
    server.model.observeAlert(anAlert('sensor-3', { raisedAt: Date.now(), transitionAt: Date.now() }), Date.now());
    const card = page.locator('.alert', { hasText: 'sensor-3' });
    await card.waitFor(WAIT);
    expect(await card.textContent()).toMatch(/^CRITICALsensor-3temperature 104.2\s°Craised .*threshold 100\s°C \(high-temperature\)$/);
    await page.waitForSelector('tbody tr[data-state=firing]', WAIT);
    expect(await firstDevice()).toBe('sensor-3');
    expect(await page.title()).toBe('(1) Ingot');
    await page.locator('#announcer', { hasText: 'CRITICAL RAISED: sensor-3' }).waitFor({ state: 'attached', ...WAIT });

    server.model.observeAlert(anAlert('sensor-3', { transition: 'RESOLVED', value: 94 }), Date.now() + 1);
    await card.waitFor({ state: 'detached', ...WAIT });
    await page.locator('#recent li', { hasText: 'RESOLVED' }).waitFor(WAIT);
    expect(await page.title()).toBe('Ingot');
    expect(await page.evaluate('globalThis.isStillTheSamePage')).toBe(true);
    expect(troubles).toEqual([]);
  });

  test('one device, with a plot per metric, that goes on living', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS });
    feed(server, ['sensor-1']);
    await using opened = await openPage(server.url);
    const { page } = opened;
    await page.getByRole('button', { name: 'sensor-1' }).click();
    const plot = page.getByRole('dialog').getByRole('img', { name: /^temperature over 6 windows/ });
    await plot.waitFor(WAIT);
    await page.getByText('as a table').click();
    expect(await page.getByRole('dialog').locator('tbody tr').count()).toBe(6);
    server.model.observeReading(aReading('sensor-1', { temperature: 55.5, eventTime: Date.now() }), Date.now());
    await page.getByRole('dialog').getByText('55.5').first().waitFor(WAIT);
    expect(await page.locator('details').getAttribute('open')).not.toBeNull();
  });

  test('hostile names are text wherever they appear', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS });
    const name = '<img src=x onerror=alert(1)>';
    const status = '"><script>alert(2)</script>';
    const metric = '<svg onload=alert(3)>';
    const now = Date.now();
    server.model.observeReading(aReading(name, { eventTime: now, status, metrics: { [metric]: 1 } }), now);
    server.model.observeAggregate(aWindow(name, { metric, unit: '<b>', windowStart: now - 20_000, mean: 1 }), now);
    const ruleId = '<iframe src="javascript:alert(4)">';
    server.model.observeAlert(anAlert(name, { metric, ruleId, summary: '<a href="javascript:alert(5)">x</a>', unit: '<i>' }), now);
    await using opened = await openPage(server.url);
    const { page, troubles } = opened;
    await page.locator('tbody').getByRole('button', { name }).waitFor(WAIT);
    await sees(page, status);
    await page.locator('.alert').getByText(ruleId).waitFor(WAIT);
    await page.locator('tbody').getByRole('button', { name }).click();
    await page.getByRole('dialog').locator('figure').waitFor(WAIT);
    expect(await page.getByRole('dialog').textContent()).toContain(metric);
    expect(await page.locator('img, script:not([src="/page.js"]), iframe, a:not(.skip), [onload], [onerror]').count()).toBe(0);
    expect(troubles).toEqual([]);
  });
});

describe('by keyboard', () => {
  test('the filter, the order, and one device and back', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS });
    feed(server, ['pump-1', 'pump-2', 'fan-1']);
    await using opened = await openPage(server.url);
    const { page } = opened;
    await page.locator('tbody tr').nth(2).waitFor(WAIT);
    const focused = () => page.evaluate<string>('document.activeElement.textContent || document.activeElement.id');
    const names = () => page.locator('tbody th button').allInnerTexts();

    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Skip to the devices');
    await page.keyboard.press('/');
    expect(await focused()).toBe('filter');
    await page.keyboard.type('PUMP');
    expect(await names()).toEqual(['pump-1', 'pump-2']);
    await page.keyboard.press('Control+A');
    await page.keyboard.press('Delete');
    expect(await names()).toEqual(['fan-1', 'pump-1', 'pump-2']);

    await page.getByRole('button', { name: 'Device' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    expect(await names()).toEqual(['pump-2', 'pump-1', 'fan-1']);
    expect(await page.locator('th[aria-sort]').getAttribute('aria-sort')).toBe('descending');

    await page.getByRole('button', { name: 'pump-1' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'pump-1' }).waitFor(WAIT);
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden', ...WAIT });
    expect(await focused()).toBe('pump-1');
  });

  test('the focus stays on a device whose line moves, and can be seen', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS });
    feed(server, ['a', 'b', 'c']);
    await using opened = await openPage(server.url);
    const { page } = opened;
    await page.locator('tbody tr').nth(2).waitFor(WAIT);
    const button = page.locator('tbody').getByRole('button', { name: 'c' });
    await page.keyboard.press('Tab');
    await button.focus();
    server.model.observeAlert(anAlert('c'), Date.now());
    await page.waitForSelector('tbody tr:first-child[data-state=firing]', WAIT);
    expect(await page.evaluate('document.activeElement.textContent')).toBe('c');
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
  });
});

describe('the connection', () => {
  test('is said to be lost, and comes back by itself', async () => {
    const first = await startPageServer({ intervalMs: INTERVAL_MS });
    await using opened = await openPage(first.url);
    const { page } = opened;
    await live(page);
    await first[Symbol.asyncDispose]();
    await page.waitForSelector('[data-connection=lost]', WAIT);
    await sees(page, /Lost the connection to Ingot; trying again. What you see is as of \d\d:\d\d:\d\d/);
    await using second = await startPageServer({ intervalMs: INTERVAL_MS, port: Number(new URL(first.url).port) });
    feed(second, ['sensor-9']);
    await live(page);
    await page.getByRole('button', { name: 'sensor-9' }).waitFor(WAIT);
    expect(await page.locator('#banner').isVisible()).toBe(false);
  });

  test('is said to be lost when the server falls silent, and is made anew', async () => {
    await using server = await startPageServer({ intervalMs: 3_600_000 });
    await using opened = await openPage(server.url, (page) => page.clock.install());
    const { page } = opened;
    await live(page);
    const asked = page.waitForRequest(/\/events$/, WAIT);
    await page.clock.fastForward(7_000);
    await page.waitForSelector('[data-connection=lost]', WAIT);
    await asked;
    await live(page);
  });

  test('needs the token when there is one', async () => {
    await using server = await startPageServer({ intervalMs: INTERVAL_MS, token: 'open-sesame' });
    feed(server, ['sensor-1']);
    await using opened = await openPage(server.url);
    const { page, troubles } = opened;
    const token = page.getByLabel('HTTP_TOKEN of this Ingot');
    await token.waitFor(WAIT);
    await token.fill('wrong-token');
    await page.keyboard.press('Enter');
    await waitUntil(async () => (await token.inputValue()) === '', 'the wrong token to be refused');
    expect(await page.getByRole('button', { name: 'sensor-1' }).isVisible()).toBe(false);
    await token.fill('open-sesame');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'sensor-1' }).waitFor(WAIT);
    await page.reload();
    await page.getByRole('button', { name: 'sensor-1' }).waitFor(WAIT);
    expect(troubles).toEqual([]);
  });
});

/** Contrast of each text with what is behind it (WCAG 2.2, 1.4.3), as a function of the page. */
const LOW_CONTRASTS = `(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim() !== ''));
  return texts.flatMap((node) => {
    const [low, high] = [luminance(rgb(getComputedStyle(node).color)), luminance(ground(node))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    return ratio >= 4.5 ? [] : [node.tagName + '.' + node.className + ' ' + node.textContent.slice(0, 30) + ' ' + ratio.toFixed(2)];
  });
})()`;

test('every text can be read in the light and in the dark', async () => {
  await using server = await startPageServer({ intervalMs: INTERVAL_MS });
  server.ledger = {
    bridge: { received: 9, produced: 5, deadLettered: 1, ignored: 1, shed: 1, inFlight: 1, unprotected: 2 },
    aggregator: null,
  };
  const now = Date.now();
  feed(server, ['sensor-1', 'sensor-2', 'sensor-3', 'sensor-4']);
  server.model.observeReading(aReading('sensor-5', { eventTime: now - 7_200_000, temperature: 1 }), now - 90_000);
  server.model.observeReading(aReading('sensor-4', { eventTime: now - 7_200_000, temperature: 1 }), now);
  server.model.observeAlert(anAlert('sensor-1'), now);
  server.model.observeAlert(anAlert('sensor-2', { severity: 'WARNING' }), now);
  server.model.observeAlert(anAlert('sensor-3', { severity: 'INFO' }), now);
  server.model.observeAlert(anAlert('sensor-4', { transition: 'RESOLVED' }), now);
  server.model.observeAlert(anAlert('sensor-4', { transition: 'EXPIRED' }), now);
  await using opened = await openPage(server.url);
  const { page } = opened;
  await page.locator('tbody tr').nth(4).waitFor(WAIT);
  const grounds = new Set<string>();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    grounds.add(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
    expect(await page.evaluate(LOW_CONTRASTS), colorScheme).toEqual([]);
  }
  expect(grounds.size).toBe(2);
});
