import { request } from 'node:http';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Health } from '../../../src/ops/health.ts';
import { type HttpServer, type HttpServerOptions, sendText, startHttpServer } from '../../../src/ops/http-server.ts';
import { configureLog } from '../../../src/ops/log.ts';
import { operationsRoutes } from '../../../src/ops/operations-routes.ts';
import { observeProcess } from '../../../src/ops/process-events.ts';

beforeAll(() => configureLog({ level: 'silent', format: 'json' }));

let server: HttpServer;
afterEach(() => server.close(100));

const secretRoute = {
  method: 'GET' as const,
  path: '/api/',
  isOpen: false,
  handle: (_request: unknown, response: Parameters<typeof sendText>[0]) => sendText(response, 200, 'devices'),
};
const failingRoute = { method: 'GET' as const, path: '/fail', isOpen: true, handle: () => Promise.reject(new Error('inside')) };

async function start(options: Partial<HttpServerOptions> & { health?: Health } = {}): Promise<void> {
  const routes = [...operationsRoutes(options.health ?? new Health()), secretRoute, failingRoute];
  server = await startHttpServer({ host: '127.0.0.1', port: 0, token: null, routes, ...options });
}

/** node:http, because fetch does not let a Host header be set. */
async function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const port = new URL(server.url).port;
  request({ host: '127.0.0.1', port, path, method, headers }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
  })
    .on('error', reject)
    .end();
  return promise;
}

describe('health', () => {
  test('readyz names every dependency, and is 503 until all are up and while draining', async () => {
    const health = new Health();
    await start({ health });
    const kafka = health.dependency('kafka');
    expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('"name":"kafka","isUp":false') });
    kafka.up();
    expect(await get('/readyz')).toMatchObject({ status: 200, text: expect.stringContaining('"state":"ready"') });
    kafka.down('connection refused');
    expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('connection refused') });
    kafka.up();
    health.startDraining();
    expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('"state":"draining"') });
    expect((await get('/healthz')).status).toBe(200);
  });

  test('metrics have dependency_up and build_info', async () => {
    const health = new Health();
    health.dependency('registry').up();
    observeProcess({ version: '1.2.3', role: 'test' });
    await start({ health });
    const { text } = await get('/metrics');
    expect(text).toContain('ingot_dependency_up{dependency="registry"} 1');
    expect(text).toMatch(/ingot_build_info\{version="1.2.3",node="[\d.]+",role="test"\} 1/);
    expect(text).toContain('nodejs_eventloop_lag_seconds');
    expect(text).toContain('process_resident_memory_bytes');
  });
});

describe('answers', () => {
  test('to what is not there, to other methods, and to failures', async () => {
    await start();
    expect((await get('/nothing')).status).toBe(404);
    expect((await get('/healthz', {}, 'POST')).status).toBe(405);
    expect((await get('/healthz', {}, 'HEAD')).status).toBe(200);
    expect(await get('/fail')).toMatchObject({ status: 500, text: expect.not.stringContaining('inside') });
  });
});

describe('who may look', () => {
  test('on this machine: whoever uses a name of this machine', async () => {
    await start();
    expect((await get('/api/devices')).status).toBe(200);
    expect((await get('/api/devices', { host: 'localhost:1' })).status).toBe(200);
    expect((await get('/api/devices', { host: 'evil.example' })).status).toBe(403);
    expect((await get('/healthz', { host: 'evil.example' })).status).toBe(200);
  });
  test('open to others without a token: health only', async () => {
    await start({ host: '0.0.0.0' });
    expect((await get('/api/devices')).status).toBe(403);
    expect((await get('/metrics')).status).toBe(200);
  });
  test('with a token: who has it', async () => {
    await start({ host: '0.0.0.0', token: 'abcdefgh' });
    expect((await get('/api/devices')).status).toBe(401);
    expect((await get('/api/devices', { authorization: 'Bearer abcdefgX' })).status).toBe(401);
    expect((await get('/api/devices', { authorization: 'Bearer abcdefgh' })).status).toBe(200);
    expect((await get('/api/devices', { cookie: 'a=b; ingot_token=abcdefgh' })).status).toBe(200);
  });
});

test('a taken port is a clear error', async () => {
  await start();
  const port = Number(new URL(server.url).port);
  await expect(startHttpServer({ host: '127.0.0.1', port, token: null, routes: [] })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    exitCode: 2,
  });
});
