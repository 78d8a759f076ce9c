import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createSchemaRegistry } from '../../src/registry/registry-client.ts';
import { stack } from '../support/stack.ts';
import { registryContract } from './registry-contract.ts';

registryContract(() => createSchemaRegistry({ url: stack().registryUrl }));

describe('what is no registry', () => {
  const servers: { close(): unknown }[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  /** The URL of a server that answers every request in one way. */
  async function answering(status: number, body: string): Promise<string> {
    const server: Server = createServer((_, response) => response.writeHead(status, { 'content-type': 'text/html' }).end(body));
    return listening(server);
  }
  async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<string> {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it.each([
    ['a page that is not found', 404, '<h1>Not found</h1>'],
    ['a proxy without a registry behind it', 502, '<h1>Bad gateway</h1>'],
    ['too many requests', 429, ''],
    ['a page of somebody else', 200, '<h1>Welcome</h1>'],
  ])('%s is no answer to the question for a schema', async (_, status, body) => {
    const registry = createSchemaRegistry({ url: await answering(status, body) });
    await expect(registry.schemaOf(1)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE', canRetry: true });
  });

  it.each([
    [503, '<h1>Bad\n  gateway</h1>', 'HTTP status 503: <h1>Bad gateway</h1>'],
    [500, '{"error_code":50001}', 'HTTP status 500'],
    [500, '{"error_code":50001,"message":"no leader"}', 'no leader'],
    [403, '{"detail":"x"}', 'HTTP status 403'],
  ])('status %i with %s is said as: %s', async (status, body, said) => {
    const type = body.startsWith('{') ? 'application/json' : 'text/html';
    const server = createServer((_, response) => response.writeHead(status, { 'content-type': type }).end(body));
    const registry = createSchemaRegistry({ url: await listening(server) });
    await expect(registry.subjects()).rejects.toThrow(new RegExp(`: ${said}\\.?( |$)`));
  });

  it('an answer that breaks off, or never ends, is none', async () => {
    const isCut = [true, false];
    for (const cut of isCut) {
      const server = createServer((request, response) => {
        response.writeHead(200, { 'content-length': 100 }).write('[', () => cut && request.socket.destroy());
      });
      const registry = createSchemaRegistry({ url: await listening(server), requestTimeoutMs: 100 });
      await expect(registry.subjects()).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
      server.closeAllConnections();
    }
  });

  it('a path that the registry does not have is no answer either', async () => {
    const registry = createSchemaRegistry({ url: `${stack().registryUrl}/elsewhere` });
    await expect(registry.schemaOf(1)).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });

  it('a refusal is told apart', async () => {
    const registry = createSchemaRegistry({ url: await answering(401, 'who are you?') });
    await expect(registry.subjects()).rejects.toMatchObject({ code: 'REGISTRY_REFUSED', canRetry: false });
  });

  it('nobody listening is an error at once, and a server that says nothing is one after the deadline', async () => {
    const silent = createTcpServer((socket) => socket.on('error', () => {}));
    const url = await listening(silent);
    const registry = createSchemaRegistry({ url, requestTimeoutMs: 100 });
    await expect(registry.subjects()).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    const closed = createSchemaRegistry({ url: 'http://127.0.0.1:1' });
    await expect(closed.subjects()).rejects.toThrow(
      'The Schema Registry at http://127.0.0.1:1 does not answer: connect ECONNREFUSED 127.0.0.1:1. Check SCHEMA_REGISTRY_URL.',
    );
    await expect(registry.subjects()).rejects.toThrow('does not answer: no answer in time.');
  });

  it('user and password are sent', async () => {
    let seen: string | undefined;
    const server = createServer((request, response) => {
      seen = request.headers.authorization;
      response.end('[]');
    });
    const registry = createSchemaRegistry({ url: await listening(server), auth: 'ann:pass:word' });
    expect(await registry.subjects()).toEqual([]);
    expect(seen).toBe(`Basic ${Buffer.from('ann:pass:word').toString('base64')}`);
  });
});
