import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { configureLog } from '../../../src/ops/log.ts';
import { anAlert, aReading, aWindow } from '../../support/page-rows.ts';
import { type PageServer, startPageServer } from '../../support/page-server.ts';
import { waitUntil } from '../../support/wait-until.ts';

beforeAll(() => configureLog({ level: 'silent', format: 'json' }));

const ledger = {
  bridge: { received: 2, produced: 2, deadLettered: 0, ignored: 0, shed: 0, inFlight: 0, unprotected: 0 },
  aggregator: null,
};
const json = async (url: string) => (await fetch(url)).json() as Promise<Record<string, unknown>>;

interface Event {
  readonly name: string;
  readonly body: Record<string, unknown>;
}

/** Reads events until one is wanted. */
async function* eventsOf(response: Response): AsyncGenerator<Event> {
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split('\n\n');
    text = parts.pop()!;
    for (const part of parts) {
      const [, name = '', data = ''] = /^event: (\w+)\ndata: (.*)$/.exec(part)!;
      yield { name, body: JSON.parse(data) as Record<string, unknown> };
    }
  }
}

const openEvents = async (server: PageServer) => {
  const response = await fetch(`${server.url}/events`);
  return { response, events: eventsOf(response) };
};

describe('the API', () => {
  test('gives the ledger, the alerts, the devices and one device', async () => {
    await using server = await startPageServer();
    expect(await json(`${server.url}/api/ledger`)).toEqual({ ledger: null });
    server.ledger = ledger;
    server.model.observeReading(aReading('a', { temperature: 20 }), Date.now());
    server.model.observeAggregate(aWindow('a', { windowStart: 0, mean: 20 }), 11_000);
    server.model.observeAlert(anAlert('a'), 1_000);
    expect(await json(`${server.url}/api/ledger`)).toMatchObject({ ledger: [{ stage: 'bridge', difference: 0 }] });
    expect(await json(`${server.url}/api/alerts`)).toMatchObject({ firingCount: 1, firing: [{ deviceId: 'a' }] });
    expect(await json(`${server.url}/api/devices`)).toMatchObject({
      counts: { devices: 1 },
      devices: [{ deviceId: 'a', isSilent: false }],
    });
    expect(await json(`${server.url}/api/devices/a`)).toMatchObject({ deviceId: 'a', series: [{ metric: 'temperature' }] });
  });

  test('finds a device whatever its id looks like, and says when there is none', async () => {
    await using server = await startPageServer();
    const id = 'a/b?c#<d> %é';
    server.model.observeReading(aReading(id), Date.now());
    expect(await json(`${server.url}/api/devices/${encodeURIComponent(id)}`)).toMatchObject({ deviceId: id });
    expect((await fetch(`${server.url}/api/devices/nobody`)).status).toBe(404);
    expect((await fetch(`${server.url}/api/devices/%E0%A4`)).status).toBe(404);
  });

  test('asks for the token, the page itself does not', async () => {
    await using server = await startPageServer({ token: 'secret-token' });
    for (const path of ['/api/ledger', '/api/alerts', '/api/devices', '/api/devices/a', '/events']) {
      expect((await fetch(server.url + path)).status, path).toBe(401);
    }
    const headers = { authorization: 'Bearer secret-token' };
    expect((await fetch(`${server.url}/api/devices`, { headers })).status).toBe(200);
    expect((await fetch(server.url)).status).toBe(200);
  });
});

describe('the files of the page', () => {
  test('are served with a policy that lets nothing in from elsewhere', async () => {
    await using server = await startPageServer();
    for (const [path, type] of [
      ['/', 'text/html'],
      ['/page.js', 'text/javascript'],
      ['/page.css', 'text/css'],
      ['/favicon.svg', 'image/svg+xml'],
    ] as const) {
      const response = await fetch(server.url + path);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toContain(type);
      const policy = response.headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|https?:|\*|data:/);
    }
    expect((await fetch(`${server.url}/../dashboard-routes.ts`)).status).toBe(404);
  });

  test('make no markup out of texts, and name no other host', () => {
    const folder = new URL('../../../src/dashboard/public/', import.meta.url);
    for (const name of readdirSync(folder)) {
      const text = readFileSync(new URL(name, folder), 'utf8');
      expect(text, name).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/);
      expect(text.replaceAll('http://www.w3.org/2000/svg', ''), name).not.toMatch(/https?:\/\//);
      expect(text.split('\n').length, name).toBeLessThan(300);
    }
  });
});

describe('events', () => {
  test('are a snapshot, then what has changed', async () => {
    await using server = await startPageServer({ intervalMs: 10 });
    server.ledger = ledger;
    server.model.observeReading(aReading('a'), Date.now());
    const { events } = await openEvents(server);
    const snapshot = (await events.next()).value!;
    expect(snapshot).toMatchObject({
      name: 'snapshot',
      body: { devices: [{ deviceId: 'a' }], alerts: { firingCount: 0 }, ledger: [{ stage: 'bridge' }] },
    });
    server.model.observeReading(aReading('b'), Date.now());
    server.model.observeAlert(anAlert('b'), Date.now());
    const seen: Event[] = [];
    for await (const event of events) {
      seen.push(event);
      if (event.body['alerts'] !== null) break;
    }
    expect(seen.every((event) => event.name === 'delta')).toBe(true);
    expect(seen.at(-1)!.body).toMatchObject({
      devices: [{ deviceId: 'b', firing: { count: 1 } }],
      alerts: { firing: [{ deviceId: 'b' }] },
    });
  });

  test('come also when nothing has changed, as a sign of life', async () => {
    await using server = await startPageServer({ intervalMs: 10 });
    const { events } = await openEvents(server);
    for (let index = 0; index < 3; index++) expect((await events.next()).value!.body['nowMs']).toEqual(expect.any(Number));
  });

  test('go to so many pages at once; one that goes makes room', async () => {
    await using server = await startPageServer({ clientsMax: 1 });
    const first = await openEvents(server);
    await first.events.next();
    const second = await fetch(`${server.url}/events`);
    expect(second.status).toBe(503);
    expect(await second.text()).toContain('Close one of them');
    await first.response.body!.cancel().catch(() => undefined);
    await first.events.return(undefined);
    await waitUntil(() => server.events.clientCount === 0, 'the first page to be forgotten');
    expect((await fetch(`${server.url}/events`, { method: 'HEAD' })).status).toBe(200);
  });

  test('a page that does not read is dropped', async () => {
    await using server = await startPageServer({ intervalMs: 5, unreadBytesMax: 64 * 1024 });
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.pause();
    socket.write('GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    await waitUntil(() => server.events.clientCount === 1, 'the page to be fed');
    const status = 'x'.repeat(80);
    await waitUntil(() => {
      for (let index = 0; index < 1_000; index++) server.model.observeReading(aReading(`device-${index}`, { status }), Date.now());
      return server.events.clientCount === 0;
    }, 'the page to be dropped');
    socket.destroy();
  });

  test('end when the process stops', async () => {
    await using server = await startPageServer();
    const { events } = await openEvents(server);
    await events.next();
    server.events.close();
    expect((await events.next()).done).toBe(true);
    expect((await fetch(`${server.url}/events`)).status).toBe(503);
  });
});
