import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { freePort, isPortFree, keptPorts } from '../../../src/local-stack/ports.ts';

let folder: string;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ingot-ports-'));
  // Where the claims are.
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
});
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
  vi.unstubAllEnvs();
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

test('a preferred port is given to one process only, although nobody listens on it yet', async () => {
  const port = await freePort();
  const module = new URL('../../../src/local-stack/ports.ts', import.meta.url).href;
  const script = `import { keptPorts } from '${module}';
    console.log((await keptPorts(process.argv[1], { one: ${port} })).one);
    setInterval(() => {}, 1000);`;
  const first = spawn(process.execPath, ['--input-type=module', '-e', script, join(folder, 'first', 'ports.json')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [said] = (await once(first.stdout, 'data')) as [Buffer];
    expect(Number(said.toString())).toBe(port);
    expect((await keptPorts(file(), { one: port })).one).not.toBe(port);
  } finally {
    first.kill('SIGKILL');
    await once(first, 'close');
  }
  expect((await keptPorts(join(folder, 'then', 'ports.json'), { one: port })).one).toBe(port);
});

test('a damaged file is as none', async () => {
  const ports = await keptPorts(file(), { one: null });
  writeFileSync(file(), '{"one":');
  expect(ports.one).toBeGreaterThan(0);
  expect((await keptPorts(file(), { one: null })).one).toBeGreaterThan(0);
});
