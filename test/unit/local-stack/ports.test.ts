import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort, isPortFree, keptPorts } from '../../../src/local-stack/ports.ts';

let folder: string;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-ports-'));
});
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

async function occupy(port: number): Promise<void> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
}

const file = (): string => join(folder, 'part', 'ports.json');

test('a port that somebody listens on is not free', async () => {
  const port = await freePort();
  expect(await isPortFree(port)).toBe(true);
  await occupy(port);
  expect(await isPortFree(port)).toBe(false);
});

test('are those of the last start, as long as they are free', async () => {
  const first = await keptPorts(file(), { one: null, two: null });
  expect(first.one).not.toBe(first.two);
  expect(await keptPorts(file(), { one: null, two: null })).toEqual(first);
  await occupy(first.one);
  const then = await keptPorts(file(), { one: null, two: null });
  expect(then.one).not.toBe(first.one);
  expect(then.two).toBe(first.two);
});

test('are the preferred ones at the first start, when they are free', async () => {
  const [free, taken] = [await freePort(), await freePort()];
  await occupy(taken);
  const ports = await keptPorts(file(), { one: free, two: taken });
  expect(ports.one).toBe(free);
  expect(ports.two).not.toBe(taken);
});

test('a preferred port is given to one name only', async () => {
  const port = await freePort();
  const { one, two } = await keptPorts(file(), { one: port, two: port });
  expect(one).toBe(port);
  expect(two).not.toBe(port);
});

test('a damaged file is as none', async () => {
  const ports = await keptPorts(file(), { one: null });
  writeFileSync(file(), '{"one":');
  expect(ports.one).toBeGreaterThan(0);
  expect((await keptPorts(file(), { one: null })).one).toBeGreaterThan(0);
});
